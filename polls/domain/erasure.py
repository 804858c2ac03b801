"""Erasing an account: it is nobody's at once, and then its polls and events go, and its row.

A vote that was cast with it stays counted. It is held by an HMAC of the account's number, under the
poll's own key, and the number is never given out again.
"""

from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta

from django.db import DatabaseError, IntegrityError, InterfaceError
from django.db.models import ProtectedError

from accounts.erasure import anonymise
from accounts.models import User
from accounts.sessions import delete_some_sessions_of
from polls import events
from polls.domain import agenda, deadline, lifecycle
from polls.domain.database import clock
from polls.domain.rate_limits import guess_password
from polls.errors import Code, Refusal
from polls.models import Event, Poll

_AFTER = timedelta(minutes=1)  # for whoever was still signed in when it was erased
_MARGIN_SECONDS = 1.0  # of a request's time, which are left to answer in
_CHUNK = 50  # polls or events in one round
_ACCOUNTS = 100
_SESSIONS = 1_000  # that are looked at in one round
_stuck = lifecycle.LeftAlone(5.0)  # somebody holds them


def erase_account(user: User, password: str) -> None:
    """Erase the account whose password this is.

    Raises `invalid_credentials` where it is not, and `too_many` for whoever guesses.

    Its owner is unknown here from the commit on. Its polls and events are deleted before this
    returns, as far as the request's time goes, and by the sweep in the seconds after.
    """
    guess = guess_password(user.username)
    if not user.check_password(password):
        guess.wrong()
        raise Refusal(Code.INVALID_CREDENTIALS)
    guess.right()
    erase_without_password(user)


def erase_without_password(user: User) -> None:
    """Do so for the operator; one that is erased already stays so."""
    if not anonymise(user):
        if User.objects.filter(pk=user.pk, erased_at=None).exists():
            raise Refusal(Code.INVALID_CREDENTIALS, "The password has been changed meanwhile.")
        return
    events.publish(None, events.Event.REVOKED)
    with suppress(DatabaseError, InterfaceError):  # the account is erased; the sweep does the rest
        while deadline.remaining() > _MARGIN_SECONDS and _delete_some_of([user.pk]):
            pass


def _delete_some_of(owners: Collection[int]) -> bool:
    """Delete some of the events and polls of these accounts; return whether there were any."""
    planned = Event.objects.filter(owner__in=owners).exclude(id__in=_stuck.now())
    polls = Poll.objects.standing().filter(owner__in=owners).exclude(id__in=_stuck.now())
    found = False
    for rows, delete in ((planned, agenda.delete_event), (polls, lifecycle.delete_poll)):
        for id_ in list(rows.values_list("id", flat=True)[:_CHUNK]):
            found = True
            with suppress(Refusal):  # not_found: another deletes it, too
                lifecycle.do_each([id_], delete, _stuck)
            if deadline.remaining() < _MARGIN_SECONDS:
                return True
    return found


class _Sessions:
    """Goes through all sessions for those of erased accounts, some in each round."""

    def __init__(self) -> None:
        self._looking_for: frozenset[int] = frozenset()
        self._after = ""
        self._without: set[int] = set()

    def look_on(self, accounts: set[int]) -> set[int]:
        """Look at some more; return which of these accounts have no session left."""
        self._without &= accounts
        if not self._looking_for:
            self._looking_for, self._after = frozenset(accounts - self._without), ""
        if self._looking_for:
            after = delete_some_sessions_of(self._looking_for, after=self._after, limit=_SESSIONS)
            if after is None:
                self._without |= self._looking_for & accounts
                self._looking_for = frozenset()
            else:
                self._after = after
        return self._without


_sessions = _Sessions()


def finish_erasures() -> None:
    """Delete what erased accounts still own, as who made a poll in that very moment, and then them.

    The row goes a minute after, when their polls are purged and no session names them.
    """
    erased = User.objects.filter(erased_at__isnull=False).order_by("erased_at")
    owners = list(erased.values_list("pk", flat=True)[:_ACCOUNTS])
    if not owners:
        return
    _delete_some_of(owners)
    late = erased.filter(pk__in=owners, erased_at__lt=clock() - _AFTER)
    without = _sessions.look_on(set(late.values_list("pk", flat=True)))
    for user in late.filter(pk__in=without, polls=None, events=None):
        with suppress(ProtectedError, IntegrityError):  # a poll has come between; the next round
            user.delete()
