"""What an audit reads of the tables of a poll, on either database, past the service."""

import sqlite3
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2

_BUSY_SECONDS = 30
_CHUNK = 10_000


@dataclass(frozen=True, slots=True)
class Stored:
    """One voter's mark, and the ballot that it is on."""

    voter_key: bytes
    key_hash: bytes
    receipt: bytes
    option: str


@dataclass(frozen=True, slots=True)
class Sums:
    """The kept counts of a poll beside what can be counted."""

    participations: int
    ballots: int
    told: int  # the kept number of ballots
    tally: Counter[str]
    recount: Counter[str]
    buckets: Counter[str]


_STORED = """
SELECT p.voter_key, p.first_key_hash, b.receipt, s.option_id
FROM polls_participation p
LEFT JOIN polls_ballot b ON b.poll_id = p.poll_id AND b.id = p.ballot_id
LEFT JOIN polls_selection s ON s.poll_id = b.poll_id AND s.ballot_id = b.id
WHERE p.poll_id = {poll}
"""
_NUMBERS = """
SELECT (SELECT COUNT(*) FROM polls_participation WHERE poll_id = {poll}),
       (SELECT COUNT(*) FROM polls_ballot WHERE poll_id = {poll}),
       (SELECT ballots FROM polls_polltally WHERE poll_id = {poll})
"""
_TALLY = "SELECT option_id, votes FROM polls_tally WHERE poll_id = {poll}"
_RECOUNT = """
SELECT option_id, COUNT(*) FROM polls_selection WHERE poll_id = {poll} GROUP BY option_id
"""
_BUCKETS = """
SELECT option_id, SUM(votes) FROM polls_tallybucket WHERE poll_id = {poll} GROUP BY option_id
"""
_KEY = "SELECT key FROM polls_pollkey WHERE poll_id = {poll}"


class Store(ABC):
    """A service's database; polls and options are 32 hex digits."""

    @abstractmethod
    def rows(self, sql: str, poll: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query about this poll."""

    def key(self, poll: str) -> bytes:
        """Return the key by which the poll knows its voters."""
        return bytes(next(self.rows(_KEY, poll))[0])

    def stored(self, poll: str) -> Iterator[Stored]:
        """Yield every mark of every voter; what is missing beside a participation is empty."""
        for voter_key, key_hash, receipt, option in self.rows(_STORED, poll):
            yield Stored(
                bytes(voter_key), bytes(key_hash or b""), bytes(receipt or b""), _hex(option)
            )

    def sums(self, poll: str) -> Sums:
        """Return the counts."""
        ((participations, ballots, told),) = self.rows(_NUMBERS, poll)
        return Sums(
            participations,
            ballots,
            told,
            self._by_option(_TALLY, poll),
            self._by_option(_RECOUNT, poll),
            self._by_option(_BUCKETS, poll),
        )

    def _by_option(self, sql: str, poll: str) -> Counter[str]:
        return Counter({_hex(option): int(votes) for option, votes in self.rows(sql, poll)})


class PostgresStore(Store):
    """PostgreSQL; each query has a connection of its own, for the server may have been killed."""

    def __init__(self, url: str) -> None:
        self._url = url

    def rows(self, sql: str, poll: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows, not all at once."""
        with closing(psycopg2.connect(self._url)) as client, client.cursor("audit") as cursor:
            with client.cursor() as settings:
                # Tables that have just been filled have no statistics yet: a plan that looks each
                # ballot up by itself would go through all of them each time.
                settings.execute("SET enable_nestloop TO off; SET cursor_tuple_fraction TO 1")
            cursor.itersize = _CHUNK
            cursor.execute(sql.format(poll=f"'{poll}'::uuid"))
            yield from cursor


class SqliteStore(Store):
    """The embedded default's file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def rows(self, sql: str, poll: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows."""
        with closing(sqlite3.connect(self._file, timeout=_BUSY_SECONDS)) as connection:
            yield from connection.execute(sql.format(poll=f"'{poll}'"))


def _hex(option: object) -> str:
    """Return an id as 32 hex digits, whichever way the database gives it."""
    return "" if option is None else str(option).replace("-", "")
