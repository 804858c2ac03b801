"""A flush in PostgreSQL's words: each column of the batch is one array, unnested."""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakSet

from django.db import connection

from polls.domain.database import ADVISORY_CLASS, turnstiles
from polls.domain.statements.base import (
    Cast,
    Counting,
    Id,
    NetworkId,
    Tallied,
    Vote,
    VoterId,
    Window,
    as_bytes,
    hashes_of,
    packed_changes,
    whole,
    window_query,
)


def _digits(column: str) -> str:
    """Return the SQL for an id's digits; psycopg2 would make a UUID object of each."""
    return f"replace({column}::text, '-', '')"


_OF_VOTERS = (
    "unnest($1, $2) AS v (poll_id, voter_key) JOIN polls_participation p USING (poll_id, voter_key)"
)
_OF_BALLOTS = "unnest($1, $2) AS v (poll_id, ballot_id)"


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
    WITH standing AS MATERIALIZED ({window_query("id = ANY($1)")}),
    entered AS (
        INSERT INTO polls_participation
            (poll_id, voter_key, ballot_id, first_key_hash, first_ballot_hash, counted_at)
        SELECT v.poll, v.voter, v.ballot, v.key_hash, v.ballot_hash,
            CASE WHEN s.allow_change THEN s.second::timestamptz END
        FROM unnest($2, $3, $4, $5, $6, $7)
            AS v (poll, revision, voter, ballot, key_hash, ballot_hash)
        JOIN standing s ON s.id = v.poll AND s.revision = v.revision AND s.state = 'open'
        ORDER BY v.poll, v.voter
        ON CONFLICT DO NOTHING RETURNING voter_key
    )
    SELECT {_digits("id")}, revision, state, second, allow_change,
        (SELECT CASE WHEN count(*) < cardinality($4)
            THEN coalesce(string_agg(encode(voter_key, 'hex'), ','), '') END FROM entered)
    FROM standing;
PREPARE polls_enter_networks (uuid[], bytea[], int[], int[]) AS
    INSERT INTO polls_networkcount (poll_id, network, n, cap)
    SELECT * FROM unnest($1, $2, $3, $4) AS v (poll_id, network, n, cap)
    ORDER BY poll_id, network
    ON CONFLICT (poll_id, network) DO UPDATE SET n = polls_networkcount.n + EXCLUDED.n
    WHERE polls_networkcount.n + EXCLUDED.n <= polls_networkcount.cap
    RETURNING {_digits("poll_id")}, network;
PREPARE polls_fill_networks (uuid[], bytea[]) AS
    UPDATE polls_networkcount n SET n = n.cap
    FROM (
        SELECT * FROM unnest($1, $2) AS v (poll_id, network)
        JOIN polls_networkcount USING (poll_id, network)
    ) AS before
    WHERE n.poll_id = before.poll_id AND n.network = before.network
    RETURNING {_digits("n.poll_id")}, n.network, n.cap - before.n;
PREPARE polls_leave (uuid[], bytea[]) AS
    DELETE FROM polls_participation p USING unnest($1, $2) AS v (poll_id, voter_key)
    WHERE p.poll_id = v.poll_id AND p.voter_key = v.voter_key;
PREPARE polls_taken (uuid[], bytea[]) AS
    SELECT {_digits("p.poll_id")}, p.voter_key, p.first_key_hash, p.first_ballot_hash,
        p.change_hashes, b.receipt, {_digits("p.ballot_id")}
    FROM {_OF_VOTERS} LEFT JOIN polls_ballot b ON b.poll_id = p.poll_id AND b.id = p.ballot_id;
PREPARE polls_stored (uuid[], uuid[]) AS
    SELECT {_digits("b.poll_id")}, {_digits("b.id")}
    FROM {_OF_BALLOTS} JOIN polls_ballot b ON b.poll_id = v.poll_id AND b.id = v.ballot_id;
PREPARE polls_ballots (uuid[], uuid[], bytea[]) AS
    INSERT INTO polls_ballot (poll_id, id, receipt) SELECT * FROM unnest($1, $2, $3);
PREPARE polls_selections (uuid[], uuid[], uuid[]) AS
    INSERT INTO polls_selection (poll_id, ballot_id, option_id) SELECT * FROM unnest($1, $2, $3);
PREPARE polls_lock_voters (uuid[], bytea[]) AS
    SELECT 1 FROM {_OF_VOTERS} ORDER BY p.poll_id, p.voter_key FOR UPDATE OF p;
PREPARE polls_votes (uuid[], bytea[]) AS
    SELECT {_digits("p.poll_id")}, p.voter_key, p.first_key_hash, p.first_ballot_hash,
        p.change_hashes, b.receipt, {_digits("p.ballot_id")}, p.counted_at::text,
        (SELECT string_agg({_digits("s.option_id")}, ',') FROM polls_selection s
            WHERE s.poll_id = p.poll_id AND s.ballot_id = p.ballot_id)
    FROM {_OF_VOTERS} LEFT JOIN polls_ballot b ON b.poll_id = p.poll_id AND b.id = p.ballot_id;
PREPARE polls_remove_selections (uuid[], uuid[]) AS
    DELETE FROM polls_selection s USING {_OF_BALLOTS}
    WHERE s.poll_id = v.poll_id AND s.ballot_id = v.ballot_id;
PREPARE polls_remove_ballots (uuid[], uuid[]) AS
    DELETE FROM polls_ballot b USING {_OF_BALLOTS}
    WHERE b.poll_id = v.poll_id AND b.id = v.ballot_id;
PREPARE polls_change (uuid[], bytea[], uuid[], bytea[], timestamptz[]) AS
    UPDATE polls_participation p
    SET ballot_id = v.ballot_id, change_hashes = v.hashes, counted_at = v.counted_at
    FROM unnest($1, $2, $3, $4, $5) AS v (poll_id, voter_key, ballot_id, hashes, counted_at)
    WHERE p.poll_id = v.poll_id AND p.voter_key = v.voter_key;
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
PREPARE polls_leave_bucket (uuid[], uuid[], int[], timestamptz[]) AS
    UPDATE polls_tallybucket b SET votes = b.votes - d.n
    FROM unnest($1, $2, $3, $4) AS d (poll_id, option_id, n, at)
    WHERE b.poll_id = d.poll_id AND b.at = d.at AND b.option_id = d.option_id;
PREPARE polls_empty_bucket (uuid[], uuid[], timestamptz[]) AS
    DELETE FROM polls_tallybucket b USING unnest($1, $2, $3) AS d (poll_id, option_id, at)
    WHERE b.poll_id = d.poll_id AND b.at = d.at AND b.option_id = d.option_id AND b.votes = 0;
PREPARE polls_ballot_bucket (uuid[], int[], timestamptz[]) AS
    INSERT INTO polls_ballotbucket (poll_id, ballots, at)
    SELECT * FROM unnest($1, $2, $3) ON CONFLICT (poll_id, at)
    DO UPDATE SET ballots = polls_ballotbucket.ballots + EXCLUDED.ballots;
PREPARE polls_tallied (uuid[]) AS
    SELECT {_digits("poll_id")}, p.seq, p.ballots,
        string_agg({_digits("t.option_id")}, ','), string_agg(t.votes::text, ',')
    FROM polls_polltally p JOIN polls_tally t USING (poll_id) WHERE poll_id = ANY($1)
    GROUP BY poll_id, p.seq, p.ballots
"""  # noqa: S608 - our own words


_prepared_on: WeakSet[Any] = WeakSet()  # psycopg2's connections


# -- arrays as PostgreSQL writes them; psycopg2 would write each value by itself ----------------


def _ids(values: Iterable[Id | None]) -> str:
    """Return the text of a uuid[]."""
    return f"{{{','.join([value or 'NULL' for value in values])}}}"


def _bytes(values: Iterable[bytes | None]) -> str:
    """Return the text of a bytea[]."""
    texts = ["NULL" if value is None else f'"\\\\x{value.hex()}"' for value in values]
    return f"{{{','.join(texts)}}}"


def _numbers(values: Iterable[int]) -> str:
    """Return the text of an int[]."""
    return f"{{{','.join(map(str, values))}}}"


def _times(values: Iterable[str | None]) -> str:
    """Return the text of a timestamptz[]."""
    texts = ["NULL" if value is None else f'"{value}"' for value in values]
    return f"{{{','.join(texts)}}}"


def _pairs(keys: Collection[tuple[Id, bytes]]) -> tuple[str, str]:
    """Return the two columns of keys that begin with the poll."""
    return _ids([poll for poll, _ in keys]), _bytes([key for _, key in keys])


class Postgres:
    """The statements on a connection.

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
        self._send()
        return self._cursor.fetchall()  # type: ignore[no-any-return]

    def _send(self) -> None:
        """Run what waits."""
        waiting, self._waiting = self._waiting, []
        sql = "; ".join([sql for sql, _ in waiting])
        self._cursor.execute(sql, [column for _, columns in waiting for column in columns])

    # -- who gets in ------------------------------------------------------------------------------

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
        hashes = [b.hashes for b in ballots]
        rows = self._rows(
            "polls_enter",
            _ids(polls),
            _ids([b.poll for b in ballots]),
            _numbers([b.revision for b in ballots]),
            _bytes([b.voter_key for b in ballots]),
            _ids([b.link for b in ballots]),
            _bytes([key_hash for key_hash, _ in hashes]),
            _bytes([ballot_hash for _, ballot_hash in hashes]),
        )
        windows = {row[0]: Window(row[1], row[2], row[3], row[4]) for row in rows}
        got_in = rows[0][5] if rows else ""
        if got_in is None:
            return windows, ballots
        won = set(got_in.split(","))
        return windows, [ballot for ballot in ballots if ballot.voter_key.hex() in won]

    def enter_networks(self, wanted: Mapping[NetworkId, tuple[int, int]]) -> dict[NetworkId, int]:
        """Add to the counts that stay within their cap, and fill the others up to it.

        Whoever does not fit has its row locked all the same, so it stands still until it is filled.
        """
        polls, networks = _pairs(wanted.keys())
        numbers = _numbers([number for number, _ in wanted.values()])
        caps = _numbers([cap for _, cap in wanted.values()])
        rows = self._rows("polls_enter_networks", polls, networks, numbers, caps)
        whole_in = {(poll, bytes(network)) for poll, network in rows}
        found = {key: number for key, (number, _) in wanted.items() if key in whole_in}
        if len(found) < len(wanted):
            full = [key for key in wanted if key not in whole_in]
            for poll, network, number in self._rows("polls_fill_networks", *_pairs(full)):
                found[poll, bytes(network)] = number
        return found

    def leave(self, voters: Collection[VoterId]) -> None:
        """Delete their participations now: where nobody got in, nothing comes after it."""
        self._later("polls_leave", *_pairs(voters))
        self._send()

    def taken(self, voters: Collection[VoterId]) -> dict[VoterId, Vote]:
        """Look the losers up."""
        rows = self._rows("polls_taken", *_pairs(voters))
        return {(row[0], bytes(row[1])): _vote(row) for row in rows}

    def stored(self, ballots: Collection[tuple[Id, Id]]) -> set[tuple[Id, Id]]:
        """Look ballots up by their keys."""
        columns = _ids([poll for poll, _ in ballots]), _ids([ballot for _, ballot in ballots])
        return {(row[0], row[1]) for row in self._rows("polls_stored", *columns)}

    # -- ballots ----------------------------------------------------------------------------------

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

    def votes(self, voters: Collection[VoterId]) -> dict[VoterId, Vote]:
        """Lock in key order, then read: the lock may have been waited for."""
        columns = _pairs(voters)
        self._later("polls_lock_voters", *columns)
        found: dict[VoterId, Vote] = {}
        for row in self._rows("polls_votes", *columns):
            vote = _vote(row)
            vote.second, vote.options = row[7], row[8].split(",") if row[8] else ()
            found[row[0], bytes(row[1])] = vote
        return found

    def remove_ballots(self, ballots: Collection[tuple[Id, Id]]) -> None:
        """Delete what they mark, then the ballots."""
        columns = _ids([poll for poll, _ in ballots]), _ids([ballot for _, ballot in ballots])
        self._later("polls_remove_selections", *columns)
        self._later("polls_remove_ballots", *columns)

    def change(self, votes: Mapping[VoterId, Vote]) -> None:
        """Update participations, whose rows are locked."""
        self._later(
            "polls_change",
            *_pairs(votes.keys()),
            _ids([vote.ballot for vote in votes.values()]),
            _bytes([packed_changes(vote.hashes) for vote in votes.values()]),
            _times([vote.second for vote in votes.values()]),
        )

    # -- counts -----------------------------------------------------------------------------------

    def count(self, counting: Counting) -> dict[Id, Tallied]:
        """Lock the PollTally rows in key order first: an UPDATE that joins takes any order.

        Whoever holds a poll's row there has its Tally and bucket rows to itself.
        """
        polls = counting.ballots.keys()
        if len(polls) > 1:
            self._later("polls_lock_tallies", _ids(polls))
        self._later("polls_raise", _ids(polls), _numbers(counting.ballots.values()))
        self._move_marks(counting)
        if counting.secret:
            self._later(
                "polls_ballot_bucket",
                _ids(counting.secret),
                _numbers(counting.secret.values()),
                _times([counting.seconds[poll] for poll in counting.secret]),
            )
        found: dict[Id, Tallied] = {}
        for poll, seq, kept, options, votes in self._rows("polls_tallied", _ids(polls)):
            found[poll] = Tallied(
                seq, kept, dict(zip(options.split(","), map(int, votes.split(",")), strict=True))
            )
        return whole(found, counting)

    def _move_marks(self, counting: Counting) -> None:
        """Move tallies by their difference, and buckets by what came and what left."""
        marks, cast, left = counting.marks, counting.cast, counting.left
        marked = _marked(marks)
        self._later("polls_tally", *marked)
        if cast:
            at = _times([counting.seconds[poll] for poll, _ in cast])
            self._later("polls_bucket", *(marked if cast is marks else _marked(cast)), at)
        if left:
            polls, options = _ids([key[0] for key in left]), _ids([key[1] for key in left])
            at = _times([key[2] for key in left])
            self._later("polls_leave_bucket", polls, options, _numbers(left.values()), at)
            self._later("polls_empty_bucket", polls, options, at)


def _marked(marks: Mapping[tuple[Id, Id], int]) -> tuple[str, str, str]:
    """Return the three columns of marks: polls, options and numbers."""
    return (
        _ids([poll for poll, _ in marks]),
        _ids([option for _, option in marks]),
        _numbers(marks.values()),
    )


def _vote(row: Sequence[Any]) -> Vote:
    """Return what a row of a participation tells, from its third column on."""
    return Vote(hashes_of(*row[2:5]), as_bytes(row[5]), row[6])
