"""Shuffling closed secret polls, so that the order of their rows says nothing.

While a secret poll is open, a ballot's row is written by the transaction that writes its voter's
participation, one after the other: who can read the tables can read that, too. Once it is closed
all three tables are written anew, each in the order of its random keys, and buckets of a few
ballots are merged. docs/security.md says what this does not reach.
"""

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Model, QuerySet

from polls.domain import deadline
from polls.domain.database import ADVISORY_CLASS, SHUFFLING, clock
from polls.domain.lifecycle import LeftAlone, do_each
from polls.domain.timeline import gathered, width_between
from polls.enums import Secrecy, Status
from polls.models import (
    Ballot,
    BallotBucket,
    Participation,
    Poll,
    Selection,
    TallyBucket,
)

_CHUNK = 2_000  # rows by which one transaction goes on: others wait to write meanwhile on SQLite
_SECONDS = 500  # whose buckets are merged, likewise
_PATIENCE = 30.0  # seconds for one transaction, however many there are
_failed = LeftAlone(60.0)


def shuffle_closed_polls(goes_on: Callable[[], bool] = lambda: True) -> None:
    """Shuffle closed secret polls that are not shuffled yet; one process at a time does it.

    A large poll takes minutes. It is asked between two transactions whether that `goes_on`.
    """

    def shuffle(poll_id: uuid.UUID) -> None:
        with _alone() as alone:
            if alone:
                shuffle_poll(poll_id, goes_on)

    waiting = polls_to_shuffle().order_by("closed_at")
    do_each(waiting.values_list("id", flat=True)[:20], shuffle, _failed)


def polls_to_shuffle() -> QuerySet[Poll]:
    """Return the closed secret polls that are not shuffled yet, less those that failed just now."""
    waiting = Poll.objects.standing().filter(
        status=Status.CLOSED, certified_at=None, secrecy=Secrecy.SECRET, shuffled_at=None
    )
    return waiting.exclude(id__in=_failed.now())


@contextmanager
def _alone() -> Iterator[bool]:
    """Keep other processes from shuffling; False where one is at it."""
    if connection.vendor != "postgresql":
        yield True
        return
    with connection.cursor() as cursor:
        with _step():
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [ADVISORY_CLASS, SHUFFLING])
            (alone,) = cursor.fetchone()
        try:
            yield bool(alone)
        finally:
            if alone:
                with _step():
                    cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [ADVISORY_CLASS, SHUFFLING])


def shuffle_poll(poll_id: uuid.UUID, goes_on: Callable[[], bool] = lambda: True) -> None:
    """Write the rows of a closed secret poll anew, in an order that says nothing of its votes.

    It goes by chunks of random keys, each in a transaction of its own; one that is broken off is
    begun anew. Nothing is added to a closed poll meanwhile.
    """
    work = _steps(poll_id)
    standing = Poll.objects.standing().filter(id=poll_id)
    while goes_on():
        with _step():
            # What is written anew would keep a purge from its end.
            if not standing.exists() or next(work, _DONE) is _DONE:
                return


_DONE = object()


def _step() -> AbstractContextManager[None]:
    return deadline.until(deadline.now_plus(_PATIENCE), anew=True)


def _steps(poll_id: uuid.UUID) -> Iterator[None]:
    """Do it all, by one transaction after the other."""
    closed = Poll.objects.filter(id=poll_id, status=Status.CLOSED, shuffled_at=None)
    marks = closed.values_list("max_selections", flat=True).first() or 1  # of one ballot, at most
    yield from _rewrite(poll_id, _CHUNK, (Participation, "voter_key"))
    yield from _rewrite(poll_id, max(1, _CHUNK // marks), (Ballot, "id"), (Selection, "ballot_id"))
    yield from _merge_buckets(poll_id)
    closed.update(shuffled_at=clock())


def _rewrite(poll_id: uuid.UUID, size: int, *tables: tuple[type[Model], str]) -> Iterator[None]:
    """Delete and insert a poll's rows by the order of their keys; tables that refer come last."""
    model, key = tables[0]
    keys = model._default_manager.filter(poll_id=poll_id).order_by(key)  # noqa: SLF001 - public in Django
    last: Any = None
    while True:
        left = keys if last is None else keys.filter(**{f"{key}__gt": last})
        chunk = list(left.values_list(key, flat=True)[:size])
        if not chunk:
            return
        last = chunk[-1]
        with transaction.atomic():
            _rewrite_chunk(poll_id, tables, chunk[0], last)
        yield


def _rewrite_chunk(
    poll_id: uuid.UUID,
    tables: Sequence[tuple[type[Model], str]],
    first: Any,  # noqa: ANN401 - a key of either table
    last: Any,  # noqa: ANN401 - the same
) -> None:
    kept: list[tuple[type[Model], list[Model]]] = []
    for model, key in reversed(tables):
        rows = model._default_manager.filter(  # noqa: SLF001 - public in Django
            **{"poll_id": poll_id, f"{key}__gte": first, f"{key}__lte": last}
        )
        kept.append((model, list(rows.order_by("pk"))))
        rows.delete()
    for model, found in reversed(kept):
        model._default_manager.bulk_create(found)  # noqa: SLF001 - the same


def _merge_buckets(poll_id: uuid.UUID) -> Iterator[None]:
    """Merge the buckets of seconds into those that readers of the closed poll are told of.

    Others would tell whoever has read before, by the difference, how one of a few voted. What is
    left has fewer seconds between its ends, so readers may be told of narrower buckets then, but of
    the same votes in each.
    """
    portion: dict[datetime, datetime] = {}
    for start, seconds in _told(poll_id):
        portion |= dict.fromkeys(seconds, start)
        if len(portion) >= _SECONDS:
            yield from _merge(poll_id, portion)
            portion = {}
    if portion:
        yield from _merge(poll_id, portion)


def _told(poll_id: uuid.UUID) -> list[tuple[datetime, list[datetime]]]:
    """Return where each bucket that is told begins, and the seconds of the rows that are in it."""
    rows = BallotBucket.objects.filter(poll_id=poll_id).order_by("at").values_list("at", "ballots")
    ballots = {int(at.timestamp()): number for at, number in rows}
    if not ballots:
        return []
    width = width_between(min(ballots), max(ballots))
    wide: dict[int, list[int]] = {}
    for second in ballots:
        wide.setdefault(second // width * width, []).append(second)
    cast = [(start, sum(map(ballots.__getitem__, wide[start]))) for start in wide]
    return [
        (_at(group[0]), [_at(second) for start in group for second in wide[start]])
        for group in gathered(cast)
    ]


def _at(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def _merge(poll_id: uuid.UUID, into: Mapping[datetime, datetime]) -> Iterator[None]:
    """Let the bucket at the start that each of these seconds has hold what they held."""
    with transaction.atomic():
        _merge_seconds(poll_id, into)
    yield


def _merge_seconds(poll_id: uuid.UUID, into: Mapping[datetime, datetime]) -> None:
    ends = (min(into), max(into))
    marks: Counter[tuple[datetime, uuid.UUID]] = Counter()
    ballots: Counter[datetime] = Counter()
    tallied = TallyBucket.objects.filter(poll_id=poll_id, at__range=ends)
    for at, option, votes in tallied.values_list("at", "option_id", "votes"):
        marks[into[at], option] += votes
    cast = BallotBucket.objects.filter(poll_id=poll_id, at__range=ends)
    for at, number in cast.values_list("at", "ballots"):
        ballots[into[at]] += number
    tallied.delete()
    cast.delete()
    TallyBucket.objects.bulk_create(
        [
            TallyBucket(poll_id=poll_id, at=at, option_id=option, votes=votes)
            for (at, option), votes in marks.items()
        ]
    )
    BallotBucket.objects.bulk_create(
        [BallotBucket(poll_id=poll_id, at=at, ballots=number) for at, number in ballots.items()]
    )
