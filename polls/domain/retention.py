"""What is not kept for ever: the keys of polls that closed long ago, such polls, old sign-ins.

Without its key nobody can tell whose vote was whose in a poll, with the database in hand neither.
"""

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import wraps

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from accounts.erasure import remove_expired
from polls.domain import agenda, lifecycle
from polls.domain.ballot_paper import papers
from polls.domain.database import CLEANING, clock, is_alone
from polls.errors import Refusal
from polls.models import Poll, PollKey

_HOUR = 3600.0  # seconds
_SIGN_INS = 1_000
_POLLS = 50  # in one round: polls that are due wait no longer than that takes
_stuck = lifecycle.LeftAlone(60.0)  # somebody holds them


def hourly(chore: Callable[[], bool]) -> Callable[[], None]:
    """Make of a chore that the sweep does each second one that it does at the start and each hour.

    While the chore says that more is left, it goes on each second.
    """
    due = 0.0

    @wraps(chore)
    def do() -> None:
        nonlocal due
        if time.monotonic() >= due and not chore():
            due = time.monotonic() + _HOUR

    return do


def destroy_old_keys() -> bool:
    """Destroy keys of certified polls that closed KEY_RETENTION_DAYS ago; return if more are left.

    A poll whose recount has not agreed keeps its key: its votes are still to be looked into.
    """
    if not settings.KEY_RETENTION_DAYS:
        return False
    keyed = Poll.objects.standing().filter(certified_at__isnull=False, key_destroyed_at=None)
    return _do_old(keyed, settings.KEY_RETENTION_DAYS, destroy_key)


def delete_old_polls() -> bool:
    """Delete polls that closed POLL_RETENTION_DAYS ago; return whether more are left."""
    if not settings.POLL_RETENTION_DAYS:
        return False
    return _do_old(Poll.objects.standing(), settings.POLL_RETENTION_DAYS, lifecycle.delete_poll)


def _do_old(polls: QuerySet[Poll], days: int, chore: Callable[[uuid.UUID], None]) -> bool:
    """Do a chore for some of the polls that closed so long ago; return whether more are left."""
    old = polls.filter(closed_at__lt=clock() - timedelta(days=days))
    old = old.exclude(id__in=_stuck.now()).order_by("closed_at")
    found = list(old.values_list("id", flat=True)[:_POLLS])

    def do(poll_id: uuid.UUID) -> None:
        with suppress(Refusal):  # not_found: it was deleted this very moment
            chore(poll_id)

    lifecycle.do_each(found, do, _stuck)
    return len(found) == _POLLS


def destroy_key(poll_id: uuid.UUID) -> None:
    """Destroy the key of a certified poll; raises `not_found` where the poll is gone.

    Its revision rises, so that a vote on its way that was checked by the key is checked anew and
    refused. Nothing of what the poll reads like changes.
    """
    with transaction.atomic():
        poll = lifecycle.lock_poll(poll_id)
        if poll.certified_at is None or poll.key_destroyed_at is not None:
            return
        PollKey.objects.filter(poll=poll).delete()
        poll.revision += 1
        poll.key_destroyed_at = clock()
        poll.save(update_fields=["revision", "key_destroyed_at"])
        agenda.renew_event_of(poll_id)  # whose frame holds the revision
    paper = papers.get(str(poll_id))
    if paper is not None:
        papers.forget(paper)


def forget_destroyed_keys() -> bool:
    """Drop this process's ballot papers with keys that another process has destroyed."""
    kept = papers.kept()
    ids = [paper.poll_id for paper in kept]
    keyed = set(PollKey.objects.filter(poll__in=ids).values_list("poll_id", flat=True))
    for paper in kept:
        if paper.poll_id not in keyed:
            papers.forget(paper)
    return False


def remove_expired_sign_ins() -> bool:
    """Remove some sessions and API tokens that are over; return whether more are left.

    One process at a time does it.
    """
    with transaction.atomic():
        return is_alone(CLEANING) and remove_expired(_SIGN_INS)
