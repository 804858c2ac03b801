"""Votes over time: the ballots of each second, in buckets wide enough to be few."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from django.db import connection

from polls import compact_json
from polls.domain.database import as_stored
from polls.domain.results import Count
from polls.models import Poll
from polls.text import rfc3339

T = TypeVar("T")
FEW_BALLOTS = 5  # in a secret poll, fewer than this are merged with the next
MAX_BUCKETS = 300  # from the first to the last, those without a ballot counted in
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
# Widths that people know, in seconds; after them come whole multiples of the day.
_WIDTHS = (
    *(1, 2, 5, 10, 15, 30),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    _DAY,
)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The votes of a poll over time, all of them from one database snapshot."""

    seq: int
    bucket_seconds: int
    # By the second since 1970 that a bucket begins with, and the option's id; the earliest first,
    # without those that have no ballot, each with all options in their order.
    buckets: dict[int, dict[str, int]]

    @property
    def body(self) -> bytes:
        """The body of `GET …/timeline/`."""
        buckets = [
            {"at": rfc3339(datetime.fromtimestamp(start, UTC)), "votes": votes}
            for start, votes in self.buckets.items()
        ]
        body = {"bucket_seconds": self.bucket_seconds, "buckets": buckets}
        return compact_json.dumps(body).encode()


def etag(poll: Poll, seq: int) -> str:
    """Return the entity tag of a timeline; it changes with every seq, and by shuffling."""
    return f'"{poll.id.hex}-{seq}-{"s" if poll.shuffled_at else "t"}"'


def _span(epoch: str, kept: str = "") -> str:
    """Return the queries that choose the width, `span`, from the two ends of a poll's votes.

    `epoch` makes seconds since 1970 of a time, `kept` has a query run once.
    """
    first, last = (
        epoch.format(
            f"(SELECT {end}(at) FROM polls_tallybucket WHERE poll_id = %s)"  # noqa: S608 - the same
        )
        for end in ("min", "max")
    )
    widths = ", ".join(f"({width})" for width in _WIDTHS)
    # So many days are enough wherever their borders fall.
    days = f"{_DAY} * ((last - first) / ({_DAY} * {MAX_BUCKETS - 1}) + 1)"
    return f"""
width (seconds) AS (VALUES {widths}),
ends AS {kept} (SELECT {first} AS first, {last} AS last),
span AS {kept} (
    SELECT first, last, COALESCE(
        (SELECT min(seconds) FROM width WHERE last / seconds - first / seconds < {MAX_BUCKETS}),
        {days}, 1
    ) AS seconds FROM ends
)"""  # noqa: S608 - our own words


def width_between(first: int, last: int) -> int:
    """Return the width in seconds that the queries choose between these seconds since 1970."""
    return next(
        (width for width in _WIDTHS if last // width - first // width < MAX_BUCKETS),
        _DAY * ((last - first) // (_DAY * (MAX_BUCKETS - 1)) + 1),
    )


_OF_POLL = "p.id = %s AND p.revision = %s AND p.status = %s AND p.deleted_at IS NULL"

# ONE statement each, so that seq and buckets belong together. There is no row where the poll's
# rules are others by now. A bucket is a range of the primary key: no row's time is computed with,
# and what lies between the ends is read once. Parameters: the poll, three times; revision; status.
#
# PostgreSQL would join by the beginning of each range alone, and read the rest of the poll for
# every bucket: hence LATERAL. It would spend as long on compiling this as on carrying it out.
_POSTGRES = f"""
SET LOCAL jit = off;
WITH {_span("EXTRACT(epoch FROM {})::bigint", "MATERIALIZED")}
SELECT t.seq, span.seconds, b.start, {{ballots}}, marked.option_id, marked.votes
FROM polls_poll p JOIN polls_polltally t ON t.poll_id = p.id CROSS JOIN span
LEFT JOIN LATERAL generate_series(first / seconds * seconds, last, seconds) AS b (start) ON TRUE
LEFT JOIN LATERAL (
    SELECT option_id, SUM(votes)::bigint AS votes FROM polls_tallybucket
    WHERE poll_id = p.id
        AND at >= to_timestamp(b.start) AND at < to_timestamp(b.start + seconds)
    GROUP BY option_id
) marked ON TRUE
WHERE {_OF_POLL} ORDER BY b.start
"""  # noqa: S608 - our own words

# Once SQLite has statistics it would rather index the whole table anew: INDEXED BY the primary key.
_SQLITE = f"""
WITH RECURSIVE {_span("CAST(STRFTIME('%%s', {}) AS INTEGER)")},
bucket (start) AS (
    SELECT first / seconds * seconds FROM span
    UNION ALL SELECT start + seconds FROM bucket, span WHERE start + seconds <= last
)
SELECT t.seq, span.seconds, b.start, {{ballots}}, marked.option_id, SUM(marked.votes)
FROM polls_poll p JOIN polls_polltally t ON t.poll_id = p.id CROSS JOIN span
LEFT JOIN bucket b ON TRUE
LEFT JOIN polls_tallybucket marked INDEXED BY sqlite_autoindex_polls_tallybucket_1
    ON marked.poll_id = p.id
    AND marked.at >= DATETIME(b.start, 'unixepoch')
    AND marked.at < DATETIME(b.start + span.seconds, 'unixepoch')
WHERE {_OF_POLL} GROUP BY b.start, marked.option_id ORDER BY b.start
"""  # noqa: S608 - our own words

_STATEMENTS = {"postgresql": _POSTGRES, "sqlite": _SQLITE}
# The ballots of a bucket, which only secret polls keep.
_BALLOTS = {
    "postgresql": "(SELECT SUM(ballots)::bigint FROM polls_ballotbucket WHERE poll_id = p.id "
    "AND at >= to_timestamp(b.start) AND at < to_timestamp(b.start + seconds))",
    "sqlite": "(SELECT SUM(ballots) FROM polls_ballotbucket WHERE poll_id = p.id "
    "AND at >= DATETIME(b.start, 'unixepoch') "
    "AND at < DATETIME(b.start + span.seconds, 'unixepoch'))",
}


def statement(*, secret: bool) -> str:
    """Return the query for a timeline; that of a secret poll counts the ballots of each bucket."""
    ballots = _BALLOTS[connection.vendor] if secret else "NULL"
    return _STATEMENTS[connection.vendor].format(ballots=ballots)


def read_timeline(count: Count, *, secret: bool) -> Timeline | None:
    """Return a poll's timeline as it stands now, whatever votes have come since that count.

    None where the poll's rules have changed since, or it is deleted. In a secret poll few ballots
    are not told apart.
    """
    poll_key = as_stored(count.poll_id)
    with connection.cursor() as cursor:
        cursor.execute(statement(secret=secret), [*[poll_key] * 3, count.revision, count.status])
        rows = cursor.fetchall()
    if not rows:
        return None
    names = {as_stored(option.id): str(option.id) for option in count.options}
    buckets: dict[int, dict[str, int]] = {}
    ballots: dict[int, int] = {}
    for _, _, start, cast, option, votes in rows:
        if votes:
            bucket = buckets.setdefault(start, dict.fromkeys(names.values(), 0))
            bucket[names[option]] = votes
            ballots[start] = cast or 0
    if secret:
        buckets = _merged(buckets, ballots)
    return Timeline(seq=rows[0][0], bucket_seconds=rows[0][1], buckets=buckets)


def gathered(ballots: Iterable[tuple[T, int]]) -> Iterator[list[T]]:
    """Yield buckets, given in order with their ballots, in groups that hold five ballots or more.

    Each group begins with a bucket that was too small and ends with the one that made it large
    enough; what is left at the end goes to the last group.
    """
    last: list[T] = []
    group: list[T] = []
    number = 0
    for bucket, cast in ballots:
        group.append(bucket)
        number += cast
        if number >= FEW_BALLOTS:
            if last:
                yield last
            last, group, number = group, [], 0
    if last or group:
        yield last + group


def _merged(
    buckets: Mapping[int, dict[str, int]], ballots: Mapping[int, int]
) -> dict[int, dict[str, int]]:
    """Return the buckets of a secret poll so that none tells how one of a few voted."""
    return {
        group[0]: {name: sum(buckets[start][name] for start in group) for name in buckets[group[0]]}
        for group in gathered(ballots.items())
    }
