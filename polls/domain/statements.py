"""The SQL of a flush, statement by statement, in each database's words.

Every statement takes whole columns of the batch. A lock never shares a statement with what it
protects: a voter who waits for the lock inside one big statement would be counted after the close
by the snapshot that the statement began with; and whoever loses ON CONFLICT cannot see the
winner's row in the statement that lost.
"""

import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django.db import IntegrityError, connection

from polls.domain.database import ADVISORY_CLASS, CLOCK, turnstiles
from polls.enums import Status

VoterId = tuple[uuid.UUID, bytes]  # poll and voter key: the primary key of a participation
Marks = Mapping[tuple[uuid.UUID, uuid.UUID], int]  # ballots that mark an option, by (poll, option)


@dataclass(frozen=True, slots=True)
class Window:
    """Where a poll stands under the lock, by the database's clock."""

    revision: int
    state: str  # open, not_open, closed or gone
    second: Any  # the clock's second, as this database writes it


@dataclass(frozen=True, slots=True)
class Taken:
    """What is known of a voter who took part before."""

    key_hash: bytes | None
    ballot_hash: bytes | None
    receipt: bytes | None


@dataclass(frozen=True, slots=True)
class NewBallot:
    """The rows of one vote."""

    poll_id: uuid.UUID
    voter_key: bytes
    ballot_id: uuid.UUID
    key_hash: bytes | None
    ballot_hash: bytes | None
    receipt: bytes
    options: Sequence[uuid.UUID]


class Statements(Protocol):
    """What a flush asks of the database. Collections of keys come sorted."""

    def lock_polls(self, polls: Collection[uuid.UUID]) -> None:
        """Share each poll's row lock: no close and no change until the flush has committed."""

    def windows(self, polls: Collection[uuid.UUID]) -> dict[uuid.UUID, Window]:
        """Return where each poll stands; a poll that does not exist is left out."""

    def participations(self, ballots: Sequence[NewBallot]) -> set[uuid.UUID]:
        """Insert participations and return the ballot ids of those that got in."""

    def taken(self, voters: Collection[VoterId]) -> dict[VoterId, Taken]:
        """Return what is known of voters who took part before."""

    def ballots(self, ballots: Sequence[NewBallot]) -> None:
        """Insert ballots and their selections."""

    def count(
        self, ballots: Mapping[uuid.UUID, int], marks: Marks, seconds: Mapping[uuid.UUID, Any]
    ) -> dict[uuid.UUID, int]:
        """Move tallies and buckets, raise each poll's seq by one, and return it."""


def _window_query(polls: str) -> str:
    """Return the query of `windows`; `polls` is the condition that picks them."""
    now = CLOCK[connection.vendor]
    second = (
        f"date_trunc('second', {now})"
        if connection.vendor == "postgresql"
        else "STRFTIME('%Y-%m-%d %H:%M:%S', 'now')"
    )
    return f"""
SELECT id, revision, {second},
       CASE WHEN deleted_at IS NOT NULL THEN 'gone'
            WHEN status = '{Status.DRAFT}' THEN 'not_open'
            WHEN status = '{Status.CLOSED}' OR closes_at <= {now} THEN 'closed'
            WHEN opened_at IS NULL AND opens_at > {now} THEN 'not_open'
            ELSE 'open' END
FROM polls_poll WHERE {polls}
"""  # noqa: S608 - our own words


class Postgres:
    """PostgreSQL: each column of the batch is one array, unnested."""

    def __init__(self, cursor: Any) -> None:  # noqa: ANN401 - Django's cursor wrapper
        self._cursor = cursor

    def _rows(self, sql: str, *arrays: Iterable[object]) -> list[tuple[Any, ...]]:
        self._cursor.execute(sql, [list(array) for array in arrays])
        return self._cursor.fetchall()  # type: ignore[no-any-return]

    def lock_polls(self, polls: Collection[uuid.UUID]) -> None:
        """Pass the turnstiles, then share the row locks, both in order."""
        self._rows(
            f"SELECT pg_advisory_xact_lock_shared({ADVISORY_CLASS}, t) "  # noqa: S608 - our number
            "FROM unnest(%s::int[]) AS t",
            turnstiles(polls),
        )
        self._rows(
            "SELECT 1 FROM polls_poll WHERE id = ANY(%s::uuid[]) ORDER BY id FOR SHARE", polls
        )

    def windows(self, polls: Collection[uuid.UUID]) -> dict[uuid.UUID, Window]:
        """Read status, revision and clock under the lock, in a statement of its own."""
        rows = self._rows(_window_query("id = ANY(%s::uuid[])"), polls)
        return {row[0]: Window(row[1], row[3], row[2]) for row in rows}

    def participations(self, ballots: Sequence[NewBallot]) -> set[uuid.UUID]:
        """Let the primary key decide who gets in."""
        rows = self._rows(
            "INSERT INTO polls_participation "
            "(poll_id, voter_key, ballot_id, first_key_hash, first_ballot_hash) "
            "SELECT * FROM unnest(%s::uuid[], %s::bytea[], %s::uuid[], %s::bytea[], %s::bytea[]) "
            "ON CONFLICT DO NOTHING RETURNING ballot_id",
            [b.poll_id for b in ballots],
            [b.voter_key for b in ballots],
            [b.ballot_id for b in ballots],
            [b.key_hash for b in ballots],
            [b.ballot_hash for b in ballots],
        )
        return {row[0] for row in rows}

    def taken(self, voters: Collection[VoterId]) -> dict[VoterId, Taken]:
        """Look the losers up."""
        rows = self._rows(
            "SELECT p.poll_id, p.voter_key, p.first_key_hash, p.first_ballot_hash, b.receipt "
            "FROM unnest(%s::uuid[], %s::bytea[]) AS t (poll_id, voter_key) "
            "JOIN polls_participation p USING (poll_id, voter_key) "
            "LEFT JOIN polls_ballot b ON b.poll_id = p.poll_id AND b.id = p.ballot_id",
            [poll for poll, _ in voters],
            [voter for _, voter in voters],
        )
        return {(row[0], bytes(row[1])): _taken(row[2:]) for row in rows}

    def ballots(self, ballots: Sequence[NewBallot]) -> None:
        """Insert ballots, then what they mark."""
        self._cursor.execute(
            "INSERT INTO polls_ballot (poll_id, id, receipt) "
            "SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::bytea[])",
            [
                [b.poll_id for b in ballots],
                [b.ballot_id for b in ballots],
                [b.receipt for b in ballots],
            ],
        )
        marks = [(b.poll_id, b.ballot_id, option) for b in ballots for option in b.options]
        self._cursor.execute(
            "INSERT INTO polls_selection (poll_id, ballot_id, option_id) "
            "SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[])",
            [[mark[column] for mark in marks] for column in range(3)],
        )

    def count(
        self, ballots: Mapping[uuid.UUID, int], marks: Marks, seconds: Mapping[uuid.UUID, Any]
    ) -> dict[uuid.UUID, int]:
        """Lock the PollTally rows in key order first: an UPDATE that joins takes any order.

        Whoever holds a poll's row there has its Tally and TallyBucket rows to itself.
        """
        polls = sorted(ballots)
        self._rows(
            "SELECT 1 FROM polls_polltally WHERE poll_id = ANY(%s::uuid[]) "
            "ORDER BY poll_id FOR UPDATE",
            polls,
        )
        seqs = self._rows(
            "UPDATE polls_polltally t SET seq = t.seq + 1, ballots = t.ballots + d.n "
            "FROM unnest(%s::uuid[], %s::int[]) AS d (poll_id, n) WHERE t.poll_id = d.poll_id "
            "RETURNING t.poll_id, t.seq",
            polls,
            [ballots[poll] for poll in polls],
        )
        columns = [[poll for poll, _ in marks], [option for _, option in marks], marks.values()]
        self._cursor.execute(
            "UPDATE polls_tally t SET votes = t.votes + d.n "
            "FROM unnest(%s::uuid[], %s::uuid[], %s::int[]) AS d (poll_id, option_id, n) "
            "WHERE t.poll_id = d.poll_id AND t.option_id = d.option_id",
            [list(column) for column in columns],
        )
        _check_moved(len(seqs), len(polls), self._cursor.rowcount, len(marks))
        self._cursor.execute(
            "INSERT INTO polls_tallybucket (poll_id, option_id, votes, at) "
            "SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::int[], %s::timestamptz[]) "
            "ON CONFLICT (poll_id, at, option_id) "
            "DO UPDATE SET votes = polls_tallybucket.votes + EXCLUDED.votes",
            [*(list(column) for column in columns), [seconds[poll] for poll, _ in marks]],
        )
        return dict(seqs)


class Sqlite:
    """SQLite: a row at a time, which in one process costs no round trip.

    BEGIN IMMEDIATE is the lock: nothing else writes until COMMIT.
    """

    def __init__(self, cursor: Any) -> None:  # noqa: ANN401 - Django's cursor wrapper
        self._cursor = cursor

    def _each(self, sql: str, rows: Iterable[Sequence[object]]) -> Iterator[tuple[Any, ...]]:
        """Run the statement once a row and yield every row that comes back."""
        # Below Django's wrapper, which would translate the placeholders again for each row.
        execute = self._cursor.connection.execute
        for row in rows:
            yield from execute(sql, row)

    def _run(self, sql: str, rows: Iterable[Sequence[object]]) -> int:
        """Run the statement once a row and return how many rows it changed in all."""
        return int(self._cursor.connection.executemany(sql, rows).rowcount)

    def lock_polls(self, polls: Collection[uuid.UUID]) -> None:
        """Do nothing: the transaction holds the only write lock since its first statement."""

    def windows(self, polls: Collection[uuid.UUID]) -> dict[uuid.UUID, Window]:
        """Read status, revision and clock."""
        query = _window_query("id = ?")
        rows = self._each(query, ([poll.hex] for poll in polls))
        return {uuid.UUID(row[0]): Window(row[1], row[3], row[2]) for row in rows}

    def participations(self, ballots: Sequence[NewBallot]) -> set[uuid.UUID]:
        """Let the primary key decide who gets in."""
        rows = self._each(
            "INSERT INTO polls_participation "
            "(poll_id, voter_key, ballot_id, first_key_hash, first_ballot_hash) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING ballot_id",
            (
                (b.poll_id.hex, b.voter_key, b.ballot_id.hex, b.key_hash, b.ballot_hash)
                for b in ballots
            ),
        )
        return {uuid.UUID(row[0]) for row in rows}

    def taken(self, voters: Collection[VoterId]) -> dict[VoterId, Taken]:
        """Look the losers up."""
        rows = self._each(
            "SELECT p.poll_id, p.voter_key, p.first_key_hash, p.first_ballot_hash, b.receipt "
            "FROM polls_participation p "
            "LEFT JOIN polls_ballot b ON b.poll_id = p.poll_id AND b.id = p.ballot_id "
            "WHERE p.poll_id = ? AND p.voter_key = ?",
            ((poll.hex, voter) for poll, voter in voters),
        )
        return {(uuid.UUID(row[0]), row[1]): _taken(row[2:]) for row in rows}

    def ballots(self, ballots: Sequence[NewBallot]) -> None:
        """Insert ballots, then what they mark."""
        self._run(
            "INSERT INTO polls_ballot (poll_id, id, receipt) VALUES (?, ?, ?)",
            [(b.poll_id.hex, b.ballot_id.hex, b.receipt) for b in ballots],
        )
        self._run(
            "INSERT INTO polls_selection (poll_id, ballot_id, option_id) VALUES (?, ?, ?)",
            [(b.poll_id.hex, b.ballot_id.hex, option.hex) for b in ballots for option in b.options],
        )

    def count(
        self, ballots: Mapping[uuid.UUID, int], marks: Marks, seconds: Mapping[uuid.UUID, Any]
    ) -> dict[uuid.UUID, int]:
        """Move the counters; the order does not matter where one writer is alone."""
        seqs = self._each(
            "UPDATE polls_polltally SET seq = seq + 1, ballots = ballots + ? WHERE poll_id = ? "
            "RETURNING poll_id, seq",
            ((n, poll.hex) for poll, n in ballots.items()),
        )
        found = {uuid.UUID(row[0]): row[1] for row in seqs}
        moved = self._run(
            "UPDATE polls_tally SET votes = votes + ? WHERE poll_id = ? AND option_id = ?",
            [(n, poll.hex, option.hex) for (poll, option), n in marks.items()],
        )
        _check_moved(len(found), len(ballots), moved, len(marks))
        self._run(
            "INSERT INTO polls_tallybucket (poll_id, option_id, votes, at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (poll_id, at, option_id) DO UPDATE SET votes = votes + EXCLUDED.votes",
            [(poll.hex, option.hex, n, seconds[poll]) for (poll, option), n in marks.items()],
        )
        return found


def _check_moved(polls: int, polls_meant: int, tallies: int, tallies_meant: int) -> None:
    """Refuse to count what a missing row would swallow."""
    if (polls, tallies) != (polls_meant, tallies_meant):
        raise IntegrityError("A poll of this flush lacks a row of its tallies.")


def _taken(columns: Sequence[Any]) -> Taken:
    """Return key hash, ballot hash and receipt as bytes; psycopg2 gives memoryviews."""
    return Taken(*(None if column is None else bytes(column) for column in columns))


def statements(cursor: Any) -> Statements:  # noqa: ANN401 - Django's cursor wrapper
    """Return the statements in the words of this connection's database."""
    return Postgres(cursor) if connection.vendor == "postgresql" else Sqlite(cursor)
