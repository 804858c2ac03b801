"""Everything that the service holds about an account, as one document.

Each section is a function of the account: what is held besides gets another line in `_SECTIONS`.
"""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from accounts.models import ApiToken, User
from polls.api.representations import event_bodies, own_poll_body
from polls.domain import deadline, lifecycle
from polls.domain.access import Viewer, polls_shared_with
from polls.domain.own_votes import AccountVote, votes_of_account
from polls.models import Event, Member, Poll

PATH = "/api/v1/auth/account/"
_MARGIN_SECONDS = 2.0  # of a request's time, which are left when no more polls are asked
_POLLS_AT_ONCE = 500  # whose options are fetched by one query


def _profile(user: User) -> dict[str, Any]:
    names = ("username", "email", "first_name", "last_name", "date_joined", "last_login")
    return {name: getattr(user, name) for name in names}


def token_bodies(user: User) -> list[dict[str, Any]]:
    """Return the account's tokens without their secrets, newest first."""
    rows = ApiToken.objects.filter(user=user).values("id", "name", "created_at", "expires_at")
    return [dict(row) for row in rows]


def _polls(user: User) -> list[dict[str, Any]]:
    lifecycle.settle_due_polls(user.pk)
    polls = Poll.objects.standing().filter(owner=user).order_by("-created_at", "-id")
    polls = polls.select_related("owner", "tally").prefetch_related("options")
    return [own_poll_body(poll) for poll in polls.iterator(_POLLS_AT_ONCE)]


def _events(user: User) -> list[dict[str, Any]]:
    events = Event.objects.filter(owner=user).order_by("-created_at", "-id")
    return event_bodies(list(events.select_related("owner")), Viewer(user.pk))


def _roles(user: User) -> list[dict[str, Any]]:
    shared = polls_shared_with(Viewer(user.pk)).values("id")
    rows = Member.objects.filter(user=user, poll__in=shared).order_by("-changed_at", "-poll_id")
    return [
        {"poll": poll, "title": title, "role": role, "changed_at": changed_at}
        for poll, title, role, changed_at in rows.values_list(
            "poll_id", "poll__title", "role", "changed_at"
        )
    ]


_SECTIONS: Mapping[str, Callable[[User], object]] = {
    "profile": _profile,
    "tokens": token_bodies,
    "polls": _polls,
    "events": _events,
    "roles": _roles,
}


def account_body(user: User, *, after: uuid.UUID | None = None) -> dict[str, Any]:
    """Return all sections, and the account's votes in polls whose id comes after this one.

    `next` is where the votes go on that could not be looked for within this request's time.
    """
    body = {name: section(user) for name, section in _SECTIONS.items()}
    until = deadline.end() - _MARGIN_SECONDS
    votes, further = votes_of_account(user.pk, after=after, until=until)
    return {
        **body,
        "votes": [_vote_body(vote) for vote in votes],
        "next": None if further is None else f"{PATH}?after={further}",
    }


def _vote_body(vote: AccountVote) -> dict[str, Any]:
    return {
        "poll": vote.poll.id,
        "title": vote.poll.title,
        "secrecy": vote.poll.secrecy,
        "receipt": vote.receipt,
        "choices": [{"id": option, "text": text} for option, text in vote.choices],
    }
