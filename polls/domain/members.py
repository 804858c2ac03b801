"""Members of polls: whom the owner lets run a poll, or see its results whatever its rule."""

import uuid

from django.conf import settings
from django.db import transaction

from accounts.models import User, caseless
from polls import events
from polls.domain.access import MAX_MEMBERS
from polls.domain.database import clock
from polls.domain.lifecycle import lock_poll
from polls.domain.rate_limits import guess_name
from polls.enums import Role
from polls.errors import Code, FieldError, Refusal
from polls.models import Member


def members_of(poll_id: uuid.UUID) -> list[Member]:
    """Return a poll's members in the order of their names, their accounts fetched with them."""
    members = Member.objects.filter(poll=poll_id).select_related("user")
    return list(members.order_by("user__username_key"))


def set_member(poll_id: uuid.UUID, owner_id: int, username: str, role: str) -> tuple[Member, bool]:
    """Give an account a role in a poll, or another one; return the member and whether it is new.

    Raises `not_found` where nobody has the name, `too_many` after too many such names, and
    `invalid_member` for the owner or where the poll has as many members as it may.
    """
    if role not in Role.values:
        raise _invalid("invalid_choice", "It is `organiser` or `viewer`.", field="role")
    user = _looked_up(username, owner_id)
    with transaction.atomic():
        poll = lock_poll(poll_id)
        if user.pk == poll.owner_id:
            raise _invalid("owner", "The owner has all rights already, and no other role.")
        member = Member.objects.filter(poll=poll, user=user).first()
        if member is not None and member.role == role:
            member.user = user
            return member, False
        new = member is None
        if new and Member.objects.filter(poll=poll).count() >= MAX_MEMBERS:
            raise _invalid("too_many", f"A poll has {MAX_MEMBERS} members at most.")
        member = Member(poll=poll, user=user, role=role, changed_at=clock())
        member.save(force_insert=new, force_update=not new)
    events.publish(poll_id, events.Event.AUDIENCE)
    return member, new


def remove_member(poll_id: uuid.UUID, username: str) -> None:
    """Take an account's role in a poll away, at once, on open sockets too; raises `not_found`."""
    with transaction.atomic():
        lock_poll(poll_id)
        member = Member.objects.filter(poll=poll_id, user__username_key=_key(username))
        if not member.delete()[0]:
            raise Refusal(Code.NOT_FOUND)
    events.publish(poll_id, events.Event.AUDIENCE)


def _invalid(code: str, detail: str, *, field: str = "username") -> Refusal:
    return Refusal(Code.INVALID_MEMBER, detail, errors=[FieldError(field, code, detail)])


def _key(username: str) -> str:
    """Return what a name is found by; PostgreSQL takes a NUL for an error, not for another name."""
    return caseless(username.replace("\0", " "))


def _looked_up(username: str, owner_id: int) -> User:
    """Return the account of a name; where nobody may register, an unknown one is a wrong guess."""
    guess = None if settings.REGISTRATION == "open" else guess_name(owner_id)
    user = User.objects.filter(username_key=_key(username), is_active=True).first()
    if user is None:
        if guess is not None:
            guess.wrong()
        raise Refusal(Code.NOT_FOUND, "Nobody has this name.")
    if guess is not None:
        guess.right()
    return user


def is_called(user_id: int, username: str) -> bool:
    """Whether this is the account's own name."""
    return User.objects.filter(pk=user_id, username_key=_key(username)).exists()
