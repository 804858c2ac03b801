"""Counts: the kept ones that everybody reads, and the recount that audits them."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from django.db import connection
from django.db.models import aggregates

from polls import compact_json
from polls.domain.database import as_stored
from polls.enums import Status
from polls.models import Poll, Tally, status_as_read
from polls.text import rfc3339


@dataclass(frozen=True, slots=True)
class OptionCount:
    """How many ballots mark an option."""

    id: uuid.UUID
    text: str
    votes: int
    points: int | None


@dataclass(slots=True)
class Count:
    """A poll's kept count, all of it from one database snapshot."""

    poll_id: uuid.UUID
    title: str
    kind: str
    status: str
    revision: int
    seq: int
    ballots: int
    certified_at: datetime | None
    opens_at: datetime | None
    closes_at: datetime | None
    opened_at: datetime | None
    deleted: bool
    options: list[OptionCount] = field(default_factory=list)
    _body: bytes | None = None

    @property
    def body(self) -> bytes:
        """The body of `GET …/results/`, made once, however many read it."""
        if self._body is None:
            self._body = compact_json.dumps(results_body(self)).encode()
        return self._body

    @property
    def status_now(self) -> str:
        """The status as everybody reads it: draft, scheduled, open or closed."""
        return status_as_read(self.status, self.opened_at)

    @property
    def final(self) -> bool:
        """True exactly when the poll is closed."""
        return self.status == Status.CLOSED


def read_counts(poll_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Count]:
    """Return the counts of polls in ONE statement, so that seq and tallies belong together.

    Deleted polls are told as such; polls whose rows are gone are left out.
    """
    found: dict[uuid.UUID, Count] = {}
    rows = (
        Tally.objects.filter(poll_id__in=poll_ids)
        .order_by("poll_id", "option__position")
        .values_list(
            "poll_id",
            "poll__title",
            "poll__kind",
            "poll__status",
            "poll__revision",
            "poll__tally__seq",
            "poll__tally__ballots",
            "poll__certified_at",
            "poll__opens_at",
            "poll__closes_at",
            "poll__opened_at",
            "poll__deleted_at",
            "option_id",
            "option__text",
            "votes",
            "points",
        )
    )
    for row in rows:
        count = found.get(row[0])
        if count is None:
            count = found[row[0]] = Count(*row[:11], deleted=row[11] is not None)
        count.options.append(OptionCount(*row[12:]))
    return found


def read_count(poll: Poll) -> Count:
    """Return the count of one poll."""
    return read_counts([poll.id])[poll.id]


Audience = tuple[int, datetime | None]  # how many members a poll has, and their last change


class Version(NamedTuple):
    """What tells whether anything of a poll has changed."""

    seq: int
    status: str  # as everybody reads it
    audience: Audience


def read_versions(poll_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Version]:
    """Return the versions of polls that are not deleted, by one query."""
    polls = Poll.objects.standing().filter(id__in=poll_ids)
    rows = polls.annotate(
        members_now=aggregates.Count("members__user"),
        changed_at=aggregates.Max("members__changed_at"),
    ).values_list("id", "tally__seq", "status", "opened_at", "members_now", "changed_at")
    return {
        id_: Version(seq, status_as_read(status, opened), (members, changed_at))
        for id_, seq, status, opened, members, changed_at in rows
    }


def results_body(count: Count) -> dict[str, object]:
    """Return the body of `GET …/results/`."""
    return {
        "poll": str(count.poll_id),
        "title": count.title,
        "kind": count.kind,
        "status": count.status_now,
        "seq": count.seq,
        "ballots": count.ballots,
        "final": count.final,
        "certified_at": rfc3339(count.certified_at),
        "options": [
            {
                "id": str(option.id),
                "text": option.text,
                "votes": option.votes,
                "points": option.points,
                "share": option.votes / count.ballots if count.ballots else 0.0,
            }
            for option in count.options
        ],
    }


def etag(count: Count) -> str:
    """Return the entity tag of the results; it changes with every seq, and on certifying."""
    certified = "c" if count.certified_at else "u"
    return f'"{count.poll_id.hex}-{count.seq}-{certified}"'


@dataclass(frozen=True, slots=True)
class Recount:
    """The kept tally beside the indexed count of the selections, by option id.

    A tally row that is missing is missing here too.
    """

    seq: int
    tally: dict[str, int]
    recount: dict[str, int]
    ballots: int | None
    counted_ballots: int

    @property
    def equal(self) -> bool:
        """Whether each option and the number of ballots agree."""
        return self.tally == self.recount and self.ballots == self.counted_ballots


# One statement is one snapshot on either database: the tally cannot move under the recount.
_RECOUNT = """
SELECT o.id, y.votes, COALESCE(s.votes, 0), t.seq, t.ballots,
       (SELECT COUNT(*) FROM polls_ballot b WHERE b.poll_id = %s)
FROM polls_option o
LEFT JOIN polls_tally y ON y.poll_id = o.poll_id AND y.option_id = o.id
LEFT JOIN polls_polltally t ON t.poll_id = o.poll_id
LEFT JOIN (
    SELECT option_id, COUNT(*) AS votes FROM polls_selection WHERE poll_id = %s GROUP BY option_id
) s ON s.option_id = o.id
WHERE o.poll_id = %s
"""


def recount(poll_id: uuid.UUID) -> Recount:
    """Count a poll's selections from the index alone and set them beside its tallies."""
    key = as_stored(poll_id)
    with connection.cursor() as cursor:
        cursor.execute(_RECOUNT, [key, key, key])
        rows = cursor.fetchall()
    names = [str(uuid.UUID(str(row[0]))) for row in rows]
    seq, ballots, counted = rows[0][3:] if rows else (None, None, 0)
    return Recount(
        seq=seq or 0,
        tally={name: row[1] for name, row in zip(names, rows, strict=True) if row[1] is not None},
        recount={name: row[2] for name, row in zip(names, rows, strict=True)},
        ballots=ballots,
        counted_ballots=counted,
    )
