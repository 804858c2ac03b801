"""The SQL of a flush, statement by statement, in each database's words.

Every statement takes whole columns of the batch. A lock never shares a statement with what it
protects: a voter who waits for the lock inside one big statement would be counted after the close
by the snapshot that the statement began with; and whoever loses ON CONFLICT cannot see the
winner's row in the statement that lost.
"""

import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakSet

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


@dataclass(slots=True)
class Cast:
    """A checked vote on its way to the database: its rows, and the revision it was checked by."""

    poll_id: uuid.UUID
    revision: int
    voter_key: bytes  # 32 bytes
    ballot_id: uuid.UUID
    # SHA-256 each; without a key there is no retry to tell from a second vote, and both are None.
    key_hash: bytes | None
    ballot_hash: bytes | None
    receipt: bytes  # 16 bytes
    options: Sequence[uuid.UUID]

    @property
    def voter(self) -> VoterId:
        """The primary key of the participation."""
        return self.poll_id, self.voter_key


@dataclass(slots=True)
class Tallied:
    """What a poll's kept counts are once a flush has moved them."""

    seq: int
    ballots: int
    votes: dict[uuid.UUID, int] = field(default_factory=dict)  # by option


class Statements(Protocol):
    """What a flush asks of the database. Collections of keys come sorted."""

    def begin(self) -> None:
        """Begin the transaction of a flush."""

    def commit(self) -> None:
        """Commit it."""

    def rollback(self) -> None:
        """Undo it."""

    def lock_polls(self, polls: Collection[uuid.UUID]) -> None:
        """Share each poll's row lock: no close and no change until the flush has committed."""

    def windows(self, polls: Collection[uuid.UUID]) -> dict[uuid.UUID, Window]:
        """Return where each poll stands; a poll that does not exist is left out."""

    def participations(self, ballots: Sequence[Cast]) -> Sequence[Cast]:
        """Insert participations and return those that got in."""

    def taken(self, voters: Collection[VoterId]) -> dict[VoterId, Taken]:
        """Return what is known of voters who took part before."""

    def ballots(self, ballots: Sequence[Cast]) -> None:
        """Insert ballots and their selections."""

    def count(
        self, ballots: Mapping[uuid.UUID, int], marks: Marks, seconds: Mapping[uuid.UUID, Any]
    ) -> dict[uuid.UUID, Tallied]:
        """Move tallies and buckets, raise each poll's seq by one, and return where they stand."""


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


# Prepared once a connection, so that none is parsed and planned anew with each flush.
_PREPARED = f"""
DEALLOCATE ALL;
PREPARE polls_turnstiles (int[]) AS
    SELECT pg_advisory_xact_lock_shared({ADVISORY_CLASS}, t) FROM unnest($1) AS t;
PREPARE polls_share (uuid[]) AS
    SELECT 1 FROM polls_poll WHERE id = ANY($1) ORDER BY id FOR SHARE;
PREPARE polls_participate (uuid[], bytea[], uuid[], bytea[], bytea[]) AS
    INSERT INTO polls_participation
        (poll_id, voter_key, ballot_id, first_key_hash, first_ballot_hash)
    SELECT * FROM unnest($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING ballot_id;
PREPARE polls_taken (uuid[], bytea[]) AS
    SELECT p.poll_id, p.voter_key, p.first_key_hash, p.first_ballot_hash, b.receipt
    FROM unnest($1, $2) AS t (poll_id, voter_key)
    JOIN polls_participation p USING (poll_id, voter_key)
    LEFT JOIN polls_ballot b ON b.poll_id = p.poll_id AND b.id = p.ballot_id;
PREPARE polls_ballots (uuid[], uuid[], bytea[]) AS
    INSERT INTO polls_ballot (poll_id, id, receipt) SELECT * FROM unnest($1, $2, $3);
PREPARE polls_selections (uuid[], uuid[], uuid[]) AS
    INSERT INTO polls_selection (poll_id, ballot_id, option_id) SELECT * FROM unnest($1, $2, $3);
PREPARE polls_lock_tallies (uuid[]) AS
    SELECT 1 FROM polls_polltally WHERE poll_id = ANY($1) ORDER BY poll_id FOR UPDATE;
PREPARE polls_raise (uuid[], int[]) AS
    UPDATE polls_polltally t SET seq = t.seq + 1, ballots = t.ballots + d.n
    FROM unnest($1, $2) AS d (poll_id, n) WHERE t.poll_id = d.poll_id;
PREPARE polls_tally (uuid[], uuid[], int[]) AS
    UPDATE polls_tally t SET votes = t.votes + d.n
    FROM unnest($1, $2, $3) AS d (poll_id, option_id, n)
    WHERE t.poll_id = d.poll_id AND t.option_id = d.option_id;
PREPARE polls_bucket (uuid[], uuid[], int[], timestamptz[]) AS
    INSERT INTO polls_tallybucket (poll_id, option_id, votes, at)
    SELECT * FROM unnest($1, $2, $3, $4) ON CONFLICT (poll_id, at, option_id)
    DO UPDATE SET votes = polls_tallybucket.votes + EXCLUDED.votes;
PREPARE polls_tallied (uuid[]) AS
    SELECT p.poll_id, p.seq, p.ballots, t.option_id, t.votes
    FROM polls_polltally p JOIN polls_tally t USING (poll_id) WHERE p.poll_id = ANY($1)
"""  # noqa: S608 - our own number
_prepared_on: WeakSet[Any] = WeakSet()  # psycopg2's connections


def _uuids(values: Iterable[uuid.UUID]) -> str:
    """Return PostgreSQL's text of a uuid[]; psycopg2 would write each value by itself."""
    return f"{{{','.join([value.hex for value in values])}}}"


def _bytes(values: Iterable[bytes | None]) -> str:
    """Return PostgreSQL's text of a bytea[]."""
    texts = ["NULL" if value is None else f'"\\\\x{value.hex()}"' for value in values]
    return f"{{{','.join(texts)}}}"


def _numbers(values: Iterable[int]) -> str:
    """Return PostgreSQL's text of an int[]."""
    return f"{{{','.join(map(str, values))}}}"


class Postgres:
    """PostgreSQL: each column of the batch is one array, unnested.

    A statement whose rows nobody asks for travels with the next one: they run one after the
    other all the same, each with a snapshot of its own.
    """

    def __init__(self, cursor: Any) -> None:  # noqa: ANN401 - Django's cursor wrapper
        self._cursor = cursor
        self._waiting: list[tuple[str, tuple[object, ...]]] = []
        if connection.connection not in _prepared_on:
            cursor.execute(_PREPARED)
            _prepared_on.add(connection.connection)

    def begin(self) -> None:
        """Begin with the first statements: it costs no trip of its own."""
        self._waiting.append(("BEGIN", ()))

    def commit(self) -> None:
        """Commit."""
        self._cursor.execute("COMMIT")

    def rollback(self) -> None:
        """Roll back; where nothing has begun, PostgreSQL only warns."""
        self._cursor.execute("ROLLBACK")

    def _later(self, name: str, *columns: object) -> None:
        """Run a prepared statement before the next one whose rows are asked for."""
        self._waiting.append((f"EXECUTE {name}({', '.join(['%s'] * len(columns))})", columns))

    def _rows(self, name: str, *columns: object) -> list[tuple[Any, ...]]:
        """Run what waits and then this prepared statement, and return the rows of this one."""
        self._later(name, *columns)
        return self._run()

    def _run(self) -> list[tuple[Any, ...]]:
        self._send()
        return self._cursor.fetchall()  # type: ignore[no-any-return]

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        sql = "; ".join([sql for sql, _ in waiting])
        self._cursor.execute(sql, [column for _, columns in waiting for column in columns])

    def lock_polls(self, polls: Collection[uuid.UUID]) -> None:
        """Pass the turnstiles, then share the row locks, both in order."""
        self._later("polls_turnstiles", _numbers(turnstiles(polls)))
        self._later("polls_share", _uuids(polls))

    def windows(self, polls: Collection[uuid.UUID]) -> dict[uuid.UUID, Window]:
        """Read status, revision and clock under the lock, in a statement of its own."""
        self._waiting.append((_window_query("id = ANY(%s::uuid[])"), (_uuids(polls),)))
        return {row[0]: Window(row[1], row[3], row[2]) for row in self._run()}

    def participations(self, ballots: Sequence[Cast]) -> Sequence[Cast]:
        """Let the primary key decide who gets in."""
        self._later(
            "polls_participate",
            _uuids([b.poll_id for b in ballots]),
            _bytes([b.voter_key for b in ballots]),
            _uuids([b.ballot_id for b in ballots]),
            _bytes([b.key_hash for b in ballots]),
            _bytes([b.ballot_hash for b in ballots]),
        )
        self._send()
        if self._cursor.rowcount == len(ballots):
            return ballots
        won = {row[0] for row in self._cursor.fetchall()}
        return [ballot for ballot in ballots if ballot.ballot_id in won]

    def taken(self, voters: Collection[VoterId]) -> dict[VoterId, Taken]:
        """Look the losers up."""
        rows = self._rows(
            "polls_taken",
            _uuids([poll for poll, _ in voters]),
            _bytes([voter for _, voter in voters]),
        )
        return {(row[0], bytes(row[1])): _taken(row[2:]) for row in rows}

    def ballots(self, ballots: Sequence[Cast]) -> None:
        """Insert ballots, then what they mark."""
        self._later(
            "polls_ballots",
            _uuids([b.poll_id for b in ballots]),
            _uuids([b.ballot_id for b in ballots]),
            _bytes([b.receipt for b in ballots]),
        )
        marks = [(b.poll_id, b.ballot_id, option) for b in ballots for option in b.options]
        self._later(
            "polls_selections", *(_uuids([mark[column] for mark in marks]) for column in range(3))
        )

    def count(
        self, ballots: Mapping[uuid.UUID, int], marks: Marks, seconds: Mapping[uuid.UUID, Any]
    ) -> dict[uuid.UUID, Tallied]:
        """Lock the PollTally rows in key order first: an UPDATE that joins takes any order.

        Whoever holds a poll's row there has its Tally and TallyBucket rows to itself.
        """
        polls = sorted(ballots)
        if len(polls) > 1:
            self._later("polls_lock_tallies", _uuids(polls))
        self._later("polls_raise", _uuids(polls), _numbers([ballots[poll] for poll in polls]))
        marked = (
            _uuids([poll for poll, _ in marks]),
            _uuids([option for _, option in marks]),
            _numbers(marks.values()),
        )
        self._later("polls_tally", *marked)
        at = ",".join([f'"{seconds[poll]}"' for poll, _ in marks])
        self._later("polls_bucket", *marked, f"{{{at}}}")
        return _tallied(self._rows("polls_tallied", _uuids(polls)), ballots, marks)


class Sqlite:
    """SQLite: a row at a time, which in one process costs no round trip.

    BEGIN IMMEDIATE is the lock: nothing else writes until COMMIT.
    """

    def __init__(self, cursor: Any) -> None:  # noqa: ANN401 - Django's cursor wrapper
        self._cursor = cursor

    def begin(self) -> None:
        """Take this connection's turn to write, and BEGIN IMMEDIATE."""
        connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)

    def commit(self) -> None:
        """Commit, and end the turn."""
        connection.commit()
        connection.set_autocommit(True)

    def rollback(self) -> None:
        """Roll back, and end the turn."""
        connection.rollback()
        connection.set_autocommit(True)

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

    def participations(self, ballots: Sequence[Cast]) -> Sequence[Cast]:
        """Let the primary key decide who gets in."""
        got_in = self._run(
            "INSERT INTO polls_participation "
            "(poll_id, voter_key, ballot_id, first_key_hash, first_ballot_hash) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [
                (b.poll_id.hex, b.voter_key, b.ballot_id.hex, b.key_hash, b.ballot_hash)
                for b in ballots
            ],
        )
        if got_in == len(ballots):
            return ballots
        rows = self._each(
            "SELECT ballot_id FROM polls_participation WHERE poll_id = ? AND voter_key = ?",
            ((b.poll_id.hex, b.voter_key) for b in ballots),
        )
        won = {row[0] for row in rows}
        return [ballot for ballot in ballots if ballot.ballot_id.hex in won]

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

    def ballots(self, ballots: Sequence[Cast]) -> None:
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
    ) -> dict[uuid.UUID, Tallied]:
        """Move the counters; the order does not matter where one writer is alone."""
        self._run(
            "UPDATE polls_polltally SET seq = seq + 1, ballots = ballots + ? WHERE poll_id = ?",
            [(n, poll.hex) for poll, n in ballots.items()],
        )
        self._run(
            "UPDATE polls_tally SET votes = votes + ? WHERE poll_id = ? AND option_id = ?",
            [(n, poll.hex, option.hex) for (poll, option), n in marks.items()],
        )
        self._run(
            "INSERT INTO polls_tallybucket (poll_id, option_id, votes, at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (poll_id, at, option_id) DO UPDATE SET votes = votes + EXCLUDED.votes",
            [(poll.hex, option.hex, n, seconds[poll]) for (poll, option), n in marks.items()],
        )
        rows = self._each(
            "SELECT p.poll_id, p.seq, p.ballots, t.option_id, t.votes "
            "FROM polls_polltally p JOIN polls_tally t USING (poll_id) WHERE p.poll_id = ?",
            ([poll.hex] for poll in ballots),
        )
        found = ((uuid.UUID(row[0]), row[1], row[2], uuid.UUID(row[3]), row[4]) for row in rows)
        return _tallied(found, ballots, marks)


def _tallied(
    rows: Iterable[tuple[Any, ...]], ballots: Mapping[uuid.UUID, int], marks: Marks
) -> dict[uuid.UUID, Tallied]:
    """Return the counts by poll; refuse to count what a missing row would swallow."""
    found: dict[uuid.UUID, Tallied] = {}
    for poll, seq, kept, option, votes in rows:
        tallied = found.get(poll)
        if tallied is None:
            tallied = found[poll] = Tallied(seq, kept)
        tallied.votes[option] = votes
    if len(found) < len(ballots) or any(option not in found[poll].votes for poll, option in marks):
        raise IntegrityError("A poll of this flush lacks a row of its tallies.")
    return found


def _taken(columns: Sequence[Any]) -> Taken:
    """Return key hash, ballot hash and receipt as bytes; psycopg2 gives memoryviews."""
    return Taken(*(None if column is None else bytes(column) for column in columns))


def statements(cursor: Any) -> Statements:  # noqa: ANN401 - Django's cursor wrapper
    """Return the statements in the words of this connection's database."""
    return Postgres(cursor) if connection.vendor == "postgresql" else Sqlite(cursor)
