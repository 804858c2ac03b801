"""A flush in SQLite's words: a row at a time, which in one process costs no round trip."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db import connection

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

_PARTICIPATE = (
    "INSERT INTO polls_participation "
    "(poll_id, voter_key, ballot_id, first_key_hash, first_ballot_hash, counted_at) "
    "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_VOTE = (
    "SELECT p.poll_id, p.voter_key, p.first_key_hash, p.first_ballot_hash, p.change_hashes, "
    "b.receipt, p.ballot_id, p.counted_at FROM polls_participation p "
    "LEFT JOIN polls_ballot b ON b.poll_id = p.poll_id AND b.id = p.ballot_id "
    "WHERE p.poll_id = ? AND p.voter_key = ?"
)
_OF_BUCKET = "WHERE poll_id = ? AND option_id = ? AND at = ?"


class Sqlite:
    """The statements on a connection.

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

    # -- who gets in ------------------------------------------------------------------------------

    def lock_polls(self, polls: Collection[Id]) -> None:
        """Do nothing: the transaction holds the only write lock since its first statement."""

    def enter(
        self, polls: Collection[Id], ballots: Sequence[Cast]
    ) -> tuple[dict[Id, Window], Sequence[Cast]]:
        """Look, then write: nobody else writes in between."""
        rows = self._each(window_query("id = ?"), ([poll] for poll in polls))
        windows = {row[0]: Window(row[1], row[4], row[2], bool(row[3])) for row in rows}
        ballots = [b for b in ballots if b.poll in windows and windows[b.poll].takes(b)]
        entered = [
            (
                *(b.poll, b.voter_key, b.link, *b.hashes),
                windows[b.poll].second if windows[b.poll].allow_change else None,
            )
            for b in ballots
        ]
        if any(ballot.secret for ballot in ballots):
            # No link tells afterwards whose participation it is.
            execute = self._cursor.connection.execute
            got_in = [execute(_PARTICIPATE, row).rowcount for row in entered]
            return windows, [b for b, number in zip(ballots, got_in, strict=True) if number]
        if not ballots or self._run(_PARTICIPATE, entered) == len(ballots):
            return windows, ballots
        rows = self._each(
            "SELECT ballot_id FROM polls_participation WHERE poll_id = ? AND voter_key = ?",
            (b.voter for b in ballots),
        )
        won = {row[0] for row in rows}
        return windows, [ballot for ballot in ballots if ballot.ballot in won]

    def enter_networks(self, wanted: Mapping[NetworkId, tuple[int, int]]) -> dict[NetworkId, int]:
        """Look how much room there is, then count."""
        rows = self._each(
            "SELECT poll_id, network, n FROM polls_networkcount WHERE poll_id = ? AND network = ?",
            wanted,
        )
        counted = {(poll, network): n for poll, network, n in rows}
        found = {
            key: min(number, cap - counted.get(key, 0)) for key, (number, cap) in wanted.items()
        }
        self._run(
            "INSERT INTO polls_networkcount (poll_id, network, n, cap) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (poll_id, network) DO UPDATE SET n = n + EXCLUDED.n",
            [(*key, number, wanted[key][1]) for key, number in found.items()],
        )
        return found

    def leave(self, voters: Collection[VoterId]) -> None:
        """Delete their participations."""
        self._run("DELETE FROM polls_participation WHERE poll_id = ? AND voter_key = ?", voters)

    def taken(self, voters: Collection[VoterId]) -> dict[VoterId, Vote]:
        """Look the losers up."""
        return {(row[0], row[1]): _vote(row) for row in self._each(_VOTE, voters)}

    def stored(self, ballots: Collection[tuple[Id, Id]]) -> set[tuple[Id, Id]]:
        """Look ballots up by their keys."""
        sql = "SELECT poll_id, id FROM polls_ballot WHERE poll_id = ? AND id = ?"
        return {(row[0], row[1]) for row in self._each(sql, ballots)}

    # -- ballots ----------------------------------------------------------------------------------

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

    def votes(self, voters: Collection[VoterId]) -> dict[VoterId, Vote]:
        """Look them up, with what they mark."""
        found = self.taken(voters)
        for (poll, _), vote in found.items():
            marked = self._each(
                "SELECT option_id FROM polls_selection WHERE poll_id = ? AND ballot_id = ?",
                [(poll, vote.ballot)],
            )
            vote.options = [row[0] for row in marked]
        return found

    def remove_ballots(self, ballots: Collection[tuple[Id, Id]]) -> None:
        """Delete what they mark, then the ballots."""
        self._run("DELETE FROM polls_selection WHERE poll_id = ? AND ballot_id = ?", ballots)
        self._run("DELETE FROM polls_ballot WHERE poll_id = ? AND id = ?", ballots)

    def change(self, votes: Mapping[VoterId, Vote]) -> None:
        """Update participations."""
        self._run(
            "UPDATE polls_participation SET ballot_id = ?, change_hashes = ?, counted_at = ? "
            "WHERE poll_id = ? AND voter_key = ?",
            [
                (vote.ballot, packed_changes(vote.hashes), vote.second, *voter)
                for voter, vote in votes.items()
            ],
        )

    # -- counts -----------------------------------------------------------------------------------

    def count(self, counting: Counting) -> dict[Id, Tallied]:
        """Move the counters; the order does not matter where one writer is alone."""
        seconds = counting.seconds
        self._run(
            "UPDATE polls_polltally SET seq = seq + 1, ballots = ballots + ? WHERE poll_id = ?",
            [(n, poll) for poll, n in counting.ballots.items()],
        )
        self._run(
            "UPDATE polls_tally SET votes = votes + ? WHERE poll_id = ? AND option_id = ?",
            [(n, poll, option) for (poll, option), n in counting.marks.items()],
        )
        self._run(
            "INSERT INTO polls_tallybucket (poll_id, option_id, votes, at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (poll_id, at, option_id) DO UPDATE SET votes = votes + EXCLUDED.votes",
            [(poll, option, n, seconds[poll]) for (poll, option), n in counting.cast.items()],
        )
        self._run(
            f"UPDATE polls_tallybucket SET votes = votes - ? {_OF_BUCKET}",  # noqa: S608 - our words
            [(n, *key) for key, n in counting.left.items()],
        )
        self._run(
            f"DELETE FROM polls_tallybucket {_OF_BUCKET} AND votes = 0",  # noqa: S608 - the same
            counting.left,
        )
        self._run(
            "INSERT INTO polls_ballotbucket (poll_id, ballots, at) VALUES (?, ?, ?) "
            "ON CONFLICT (poll_id, at) DO UPDATE SET ballots = ballots + EXCLUDED.ballots",
            [(poll, n, seconds[poll]) for poll, n in counting.secret.items()],
        )
        rows = self._each(
            "SELECT p.poll_id, p.seq, p.ballots, t.option_id, t.votes "
            "FROM polls_polltally p JOIN polls_tally t USING (poll_id) WHERE p.poll_id = ?",
            ([poll] for poll in counting.ballots),
        )
        found: dict[Id, Tallied] = {}
        for poll, seq, kept, option, votes in rows:
            found.setdefault(poll, Tallied(seq, kept)).votes[option] = votes
        return whole(found, counting)


def _vote(row: Sequence[Any]) -> Vote:
    """Return what a row of a participation tells, from its third column on."""
    return Vote(hashes_of(*row[2:5]), as_bytes(row[5]), row[6], row[7])
