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

# Within a flush an id is its 32 hex digits: both databases take them, they sort as the ids do, and
# a text is hashed once where a UUID is hashed, compared and written anew each time.
Id = str
VoterId = tuple[Id, bytes]  # poll and voter key: the primary key of a participation
Marks = Mapping[tuple[Id, Id], int]  # ballots that mark an option, by (poll, option)


@dataclass(frozen=True, slots=True)
class Window:
    """Where a poll stands under the lock, by the database's clock."""

    revision: int
    state: str  # open, not_open, closed or gone
    second: str  # the clock's second, as this database writes it

    def takes(self, cast: "Cast") -> bool:
        """Whether the poll takes a vote that was checked by this revision."""
        return self.state == "open" and self.revision == cast.revision


@dataclass(frozen=True, slots=True)
class Taken:
    """What is known of a voter who took part before."""

    key_hash: bytes | None
    ballot_hash: bytes | None
    receipt: bytes | None


@dataclass(slots=True)
class Cast:
    """A checked vote on its way to the database: its rows, and the revision it was checked by."""

    poll: Id
    revision: int
    voter_key: bytes  # 32 bytes
    ballot: Id
    # SHA-256 each; without a key there is no retry to tell from a second vote, and both are None.
    key_hash: bytes | None
    ballot_hash: bytes | None
    receipt: bytes  # 16 bytes
    options: Sequence[Id]

    @property
    def voter(self) -> VoterId:
        """The primary key of the participation."""
        return self.poll, self.voter_key


@dataclass(slots=True)
class Tallied:
    """What a poll's kept counts are once a flush has moved them."""

    seq: int
    ballots: int
    votes: dict[Id, int] = field(default_factory=dict)  # by option


class Statements(Protocol):
    """What a flush asks of the database. Collections of keys come sorted."""

    def begin(self) -> None:
        """Begin the transaction of a flush."""

    def commit(self) -> None:
        """Commit it."""

    def rollback(self) -> None:
        """Undo it."""

    def lock_polls(self, polls: Collection[Id]) -> None:
        """Share each poll's row lock: no close and no change until the flush has committed."""

    def enter(
        self, polls: Collection[Id], ballots: Sequence[Cast]
    ) -> tuple[dict[Id, Window], Sequence[Cast]]:
        """Return where each poll stands, and the ballots whose participation got in.

        A poll that does not exist is left out. In gets whoever votes in a poll that is open, by
        its current revision, and has no participation yet; the primary key decides.
        """

    def taken(self, voters: Collection[VoterId]) -> dict[VoterId, Taken]:
        """Return what is known of voters who took part before."""

    def ballots(self, ballots: Sequence[Cast]) -> None:
        """Insert ballots and their selections."""

    def count(
        self, ballots: Mapping[Id, int], marks: Marks, seconds: Mapping[Id, str]
    ) -> dict[Id, Tallied]:
        """Move tallies and buckets, raise each poll's seq by one, and return where they stand."""


def _window_query(polls: str) -> str:
    """Return the query for where polls stand; `polls` is the condition that picks them."""
    now = CLOCK[connection.vendor]
    second = (
        f"date_trunc('second', {now})::text"
        if connection.vendor == "postgresql"
        else "STRFTIME('%Y-%m-%d %H:%M:%S', 'now')"
    )
    return f"""
SELECT id, revision, {second} AS second,
       CASE WHEN deleted_at IS NOT NULL THEN 'gone'
            WHEN status = '{Status.DRAFT}' THEN 'not_open'
            WHEN status = '{Status.CLOSED}' OR closes_at <= {now} THEN 'closed'
            WHEN opened_at IS NULL AND opens_at > {now} THEN 'not_open'
            ELSE 'open' END AS state
FROM polls_poll WHERE {polls}
"""  # noqa: S608 - our own words


def _digits(column: str) -> str:
    """Return the SQL for an id's digits; psycopg2 would make a UUID object of each."""
    return f"replace({column}::text, '-', '')"


def _prepare() -> str:
    """Return what prepares the statements, so that none is parsed and planned for each flush.

    Each has one plan, whatever arrays come, and one that finds every row by its key: a plan that
    was made while a table was small would otherwise read all of it when it is not any more.
    """
    return f"""
DEALLOCATE ALL;
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
PREPARE polls_turnstiles (int[]) AS
    SELECT pg_advisory_xact_lock_shared({ADVISORY_CLASS}, t) FROM unnest($1) AS t;
PREPARE polls_share (uuid[]) AS
    SELECT 1 FROM polls_poll WHERE id = ANY($1) ORDER BY id FOR SHARE;
PREPARE polls_enter (uuid[], uuid[], int[], bytea[], uuid[], bytea[], bytea[]) AS
    WITH standing AS MATERIALIZED ({_window_query("id = ANY($1)")}),
    entered AS (
        INSERT INTO polls_participation
            (poll_id, voter_key, ballot_id, first_key_hash, first_ballot_hash)
        SELECT v.poll, v.voter, v.ballot, v.key_hash, v.ballot_hash
        FROM unnest($2, $3, $4, $5, $6, $7)
            AS v (poll, revision, voter, ballot, key_hash, ballot_hash)
        JOIN standing s ON s.id = v.poll AND s.revision = v.revision AND s.state = 'open'
        ORDER BY v.poll, v.voter
        ON CONFLICT DO NOTHING RETURNING ballot_id
    )
    SELECT {_digits("id")}, revision, second, state,
        (SELECT CASE WHEN count(*) < cardinality($5)
            THEN coalesce(array_agg(ballot_id), '{{}}') END FROM entered)
    FROM standing;
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
    SELECT {_digits("poll_id")}, p.seq, p.ballots,
        string_agg({_digits("t.option_id")}, ','), string_agg(t.votes::text, ',')
    FROM polls_polltally p JOIN polls_tally t USING (poll_id) WHERE poll_id = ANY($1)
    GROUP BY poll_id, p.seq, p.ballots
"""  # noqa: S608 - our own words


_prepared_on: WeakSet[Any] = WeakSet()  # psycopg2's connections


def _ids(values: Iterable[Id]) -> str:
    """Return PostgreSQL's text of a uuid[]; psycopg2 would write each value by itself."""
    return f"{{{','.join(values)}}}"


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
            cursor.execute(_prepare())
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
        waiting, self._waiting = self._waiting, []
        sql = "; ".join([sql for sql, _ in waiting])
        self._cursor.execute(sql, [column for _, columns in waiting for column in columns])
        return self._cursor.fetchall()  # type: ignore[no-any-return]

    def lock_polls(self, polls: Collection[Id]) -> None:
        """Pass the turnstiles, then share the row locks, both in order."""
        self._later("polls_turnstiles", _numbers(turnstiles(map(uuid.UUID, polls))))
        self._later("polls_share", _ids(polls))

    def enter(
        self, polls: Collection[Id], ballots: Sequence[Cast]
    ) -> tuple[dict[Id, Window], Sequence[Cast]]:
        """Look and write by one statement, whose snapshot is younger than the lock.

        It names who got in only where some did not.
        """
        rows = self._rows(
            "polls_enter",
            _ids(polls),
            _ids([b.poll for b in ballots]),
            _numbers([b.revision for b in ballots]),
            _bytes([b.voter_key for b in ballots]),
            _ids([b.ballot for b in ballots]),
            _bytes([b.key_hash for b in ballots]),
            _bytes([b.ballot_hash for b in ballots]),
        )
        windows = {row[0]: Window(row[1], row[3], row[2]) for row in rows}
        got_in = rows[0][4] if rows else []
        if got_in is None:
            return windows, ballots
        won = {ballot.hex for ballot in got_in}
        return windows, [ballot for ballot in ballots if ballot.ballot in won]

    def taken(self, voters: Collection[VoterId]) -> dict[VoterId, Taken]:
        """Look the losers up."""
        rows = self._rows(
            "polls_taken",
            _ids([poll for poll, _ in voters]),
            _bytes([voter for _, voter in voters]),
        )
        return {(row[0].hex, bytes(row[1])): _taken(row[2:]) for row in rows}

    def ballots(self, ballots: Sequence[Cast]) -> None:
        """Insert ballots, then what they mark."""
        self._later(
            "polls_ballots",
            _ids([b.poll for b in ballots]),
            _ids([b.ballot for b in ballots]),
            _bytes([b.receipt for b in ballots]),
        )
        self._later(
            "polls_selections",
            _ids([b.poll for b in ballots for _ in b.options]),
            _ids([b.ballot for b in ballots for _ in b.options]),
            _ids([option for b in ballots for option in b.options]),
        )

    def count(
        self, ballots: Mapping[Id, int], marks: Marks, seconds: Mapping[Id, str]
    ) -> dict[Id, Tallied]:
        """Lock the PollTally rows in key order first: an UPDATE that joins takes any order.

        Whoever holds a poll's row there has its Tally and TallyBucket rows to itself.
        """
        polls = sorted(ballots)
        if len(polls) > 1:
            self._later("polls_lock_tallies", _ids(polls))
        self._later("polls_raise", _ids(polls), _numbers([ballots[poll] for poll in polls]))
        marked = (
            _ids([poll for poll, _ in marks]),
            _ids([option for _, option in marks]),
            _numbers(marks.values()),
        )
        self._later("polls_tally", *marked)
        at = ",".join([f'"{seconds[poll]}"' for poll, _ in marks])
        self._later("polls_bucket", *marked, f"{{{at}}}")
        found: dict[Id, Tallied] = {}
        for poll, seq, kept, options, votes in self._rows("polls_tallied", _ids(polls)):
            found[poll] = Tallied(
                seq, kept, dict(zip(options.split(","), map(int, votes.split(",")), strict=True))
            )
        return _whole(found, ballots, marks)


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

    def lock_polls(self, polls: Collection[Id]) -> None:
        """Do nothing: the transaction holds the only write lock since its first statement."""

    def enter(
        self, polls: Collection[Id], ballots: Sequence[Cast]
    ) -> tuple[dict[Id, Window], Sequence[Cast]]:
        """Look, then write: nobody else writes in between."""
        rows = self._each(_window_query("id = ?"), ([poll] for poll in polls))
        windows = {row[0]: Window(row[1], row[3], row[2]) for row in rows}
        ballots = [b for b in ballots if b.poll in windows and windows[b.poll].takes(b)]
        return windows, self._insert_participations(ballots) if ballots else []

    def _insert_participations(self, ballots: Sequence[Cast]) -> Sequence[Cast]:
        got_in = self._run(
            "INSERT INTO polls_participation "
            "(poll_id, voter_key, ballot_id, first_key_hash, first_ballot_hash) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [(b.poll, b.voter_key, b.ballot, b.key_hash, b.ballot_hash) for b in ballots],
        )
        if got_in == len(ballots):
            return ballots
        rows = self._each(
            "SELECT ballot_id FROM polls_participation WHERE poll_id = ? AND voter_key = ?",
            (b.voter for b in ballots),
        )
        won = {row[0] for row in rows}
        return [ballot for ballot in ballots if ballot.ballot in won]

    def taken(self, voters: Collection[VoterId]) -> dict[VoterId, Taken]:
        """Look the losers up."""
        rows = self._each(
            "SELECT p.poll_id, p.voter_key, p.first_key_hash, p.first_ballot_hash, b.receipt "
            "FROM polls_participation p "
            "LEFT JOIN polls_ballot b ON b.poll_id = p.poll_id AND b.id = p.ballot_id "
            "WHERE p.poll_id = ? AND p.voter_key = ?",
            voters,
        )
        return {(row[0], row[1]): _taken(row[2:]) for row in rows}

    def ballots(self, ballots: Sequence[Cast]) -> None:
        """Insert ballots, then what they mark."""
        self._run(
            "INSERT INTO polls_ballot (poll_id, id, receipt) VALUES (?, ?, ?)",
            [(b.poll, b.ballot, b.receipt) for b in ballots],
        )
        self._run(
            "INSERT INTO polls_selection (poll_id, ballot_id, option_id) VALUES (?, ?, ?)",
            [(b.poll, b.ballot, option) for b in ballots for option in b.options],
        )

    def count(
        self, ballots: Mapping[Id, int], marks: Marks, seconds: Mapping[Id, str]
    ) -> dict[Id, Tallied]:
        """Move the counters; the order does not matter where one writer is alone."""
        self._run(
            "UPDATE polls_polltally SET seq = seq + 1, ballots = ballots + ? WHERE poll_id = ?",
            [(n, poll) for poll, n in ballots.items()],
        )
        self._run(
            "UPDATE polls_tally SET votes = votes + ? WHERE poll_id = ? AND option_id = ?",
            [(n, poll, option) for (poll, option), n in marks.items()],
        )
        self._run(
            "INSERT INTO polls_tallybucket (poll_id, option_id, votes, at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (poll_id, at, option_id) DO UPDATE SET votes = votes + EXCLUDED.votes",
            [(poll, option, n, seconds[poll]) for (poll, option), n in marks.items()],
        )
        rows = self._each(
            "SELECT p.poll_id, p.seq, p.ballots, t.option_id, t.votes "
            "FROM polls_polltally p JOIN polls_tally t USING (poll_id) WHERE p.poll_id = ?",
            ([poll] for poll in ballots),
        )
        found: dict[Id, Tallied] = {}
        for poll, seq, kept, option, votes in rows:
            found.setdefault(poll, Tallied(seq, kept)).votes[option] = votes
        return _whole(found, ballots, marks)


def _whole(found: dict[Id, Tallied], ballots: Mapping[Id, int], marks: Marks) -> dict[Id, Tallied]:
    """Return these counts, and refuse to count what a missing row would swallow."""
    if len(found) < len(ballots) or any(option not in found[poll].votes for poll, option in marks):
        raise IntegrityError("A poll of this flush lacks a row of its tallies.")
    return found


def _taken(columns: Sequence[Any]) -> Taken:
    """Return key hash, ballot hash and receipt as bytes; psycopg2 gives memoryviews."""
    return Taken(*(None if column is None else bytes(column) for column in columns))


def statements(cursor: Any) -> Statements:  # noqa: ANN401 - Django's cursor wrapper
    """Return the statements in the words of this connection's database."""
    return Postgres(cursor) if connection.vendor == "postgresql" else Sqlite(cursor)
