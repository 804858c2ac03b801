"""Where polls stand now, with the bytes of their results kept for as long as they are true.

An answer reflects every vote that was acknowledged before it was asked for, whichever process
took it: seq is read anew each time, and only what was counted under that seq is kept.
"""

import threading
import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from polls.domain.results import Count, read_counts
from polls.models import IS_DUE, Poll

_KEPT = 2048  # polls
# A database that was restored may come to the same seq by other votes.
_KEPT_SECONDS = 5.0
_READINGS = 3  # how often a poll is read that changes between its row and its count


@dataclass(frozen=True, slots=True)
class Current:
    """A poll and its count, both read after they were asked for."""

    poll: Poll
    due: bool  # its time to open or close has come, and nobody has done it yet
    count: Count


@dataclass(frozen=True, slots=True)
class _Kept:
    count: Count
    read_at: float


class _Counts:
    """The counts that were read last, the newest for each poll."""

    def __init__(self) -> None:
        self._kept: dict[uuid.UUID, _Kept] = {}
        self._mutex = threading.Lock()

    def of(self, poll: Poll) -> Count | None:
        """Return the count of this very version of the poll, None where it must be read."""
        kept = self._kept.get(poll.id)
        if kept is None or time.monotonic() - kept.read_at > _KEPT_SECONDS:
            return None
        count = kept.count
        version = (count.seq, count.revision, count.status, count.certified_at)
        now = (poll.tally.seq, poll.revision, poll.status, poll.certified_at)
        return count if version == now else None

    def keep(self, count: Count, read_at: float) -> None:
        """Keep a count."""
        with self._mutex:
            self._kept.pop(count.poll_id, None)
            self._kept[count.poll_id] = _Kept(count, read_at)
            while len(self._kept) > _KEPT:
                del self._kept[next(iter(self._kept))]


_counts = _Counts()


def _rules(count: Count) -> tuple[int, str, bool]:
    """Return by what rules this count was read."""
    return count.revision, count.status, count.deleted


def read_current(poll_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Current]:
    """Return where these polls stand.

    Left out are those that do not exist, that are deleted, or that change faster than they can be
    read.
    """
    found: dict[uuid.UUID, Current] = {}
    left = set(poll_ids)
    for _ in range(_READINGS):
        began = time.monotonic()
        standing = Poll.objects.standing().filter(id__in=left).select_related("tally")
        polls = list(standing.annotate(is_due=IS_DUE))
        unknown = [poll.id for poll in polls if _counts.of(poll) is None]
        counts = read_counts(unknown) if unknown else {}
        for count in counts.values():
            _counts.keep(count, began)
        left = set()
        for poll in polls:
            current = counts.get(poll.id) or _counts.of(poll)
            # Votes may have come between the two readings, but no other rule of who sees them.
            if current is None or _rules(current) != (poll.revision, poll.status, False):
                left.add(poll.id)
            else:
                found[poll.id] = Current(poll, poll.is_due, current)  # type: ignore[attr-defined] # annotated
        if not left:
            break
    return found
