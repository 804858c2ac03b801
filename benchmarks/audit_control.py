"""A control of the audit itself: it must find what is put wrong on purpose, and only that."""

import hashlib
import hmac
import sqlite3
import tempfile
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmarks.audit import audit
from benchmarks.audit_store import SqliteStore

_VOTERS = 20
_TABLES = """
CREATE TABLE polls_pollkey (poll_id, key);
CREATE TABLE polls_participation (poll_id, voter_key, ballot_id, first_key_hash);
CREATE TABLE polls_ballot (poll_id, id, receipt);
CREATE TABLE polls_selection (poll_id, ballot_id, option_id);
CREATE TABLE polls_polltally (poll_id, ballots);
CREATE TABLE polls_tally (poll_id, option_id, votes);
CREATE TABLE polls_tallybucket (poll_id, at, option_id, votes);
"""
_POLL, _YES, _NO = (uuid.UUID(int=number).hex for number in (1, 2, 3))
_KEY = b"k" * 32

Tamper = Callable[[sqlite3.Connection, list[str]], None]


def _fill(connection: sqlite3.Connection) -> list[str]:
    """Store the votes of all voters but the last, and return the log that belongs to them."""
    connection.executescript(_TABLES)
    connection.execute("INSERT INTO polls_pollkey VALUES (?, ?)", [_POLL, _KEY])
    log = []
    for number in range(_VOTERS - 1):
        device, key = f"device-{number:02}", f"key-{number:02}"
        option = _YES if number % 2 else _NO
        voter = hmac.digest(_KEY, f"device:{device}".encode(), "sha256")
        ballot, receipt = uuid.uuid4().hex, uuid.uuid4().bytes
        hashed = hashlib.sha256(key.encode()).digest()
        connection.execute(
            "INSERT INTO polls_participation VALUES (?, ?, ?, ?)", [_POLL, voter, ballot, hashed]
        )
        connection.execute("INSERT INTO polls_ballot VALUES (?, ?, ?)", [_POLL, ballot, receipt])
        connection.execute("INSERT INTO polls_selection VALUES (?, ?, ?)", [_POLL, ballot, option])
        label = f"{_POLL} {device} {key} {option}"
        log += [
            f"{label} 201 - {receipt.hex()} 0 0",
            f"{label} 200 - {receipt.hex()} 0 0",
            f"{_POLL} {device} {key}-b {option} 409 already_voted - 0 0",
        ]
    log.append(f"{_POLL} device-last key-last {_YES} 503 overloaded - 0 0")
    log.append(f"{_POLL} device-wrong key-wrong - 400 malformed - 0 0")
    for option in (_YES, _NO):
        count = "SELECT COUNT(*) FROM polls_selection WHERE option_id = ?"
        (votes,) = connection.execute(count, [option]).fetchone()
        connection.execute("INSERT INTO polls_tally VALUES (?, ?, ?)", [_POLL, option, votes])
        connection.execute(
            "INSERT INTO polls_tallybucket VALUES (?, 1, ?, ?)", [_POLL, option, votes]
        )
    connection.execute("INSERT INTO polls_polltally VALUES (?, ?)", [_POLL, _VOTERS - 1])
    return log


def _nothing(_connection: sqlite3.Connection, _log: list[str]) -> None:
    """Leave all as it is."""


def _lose(connection: sqlite3.Connection, _log: list[str]) -> None:
    """Take one vote out everywhere, tallies included: only its receipt is left, in the log."""
    (ballot, option) = connection.execute(
        "SELECT ballot_id, option_id FROM polls_selection LIMIT 1"
    ).fetchone()
    connection.execute("DELETE FROM polls_participation WHERE ballot_id = ?", [ballot])
    connection.execute("DELETE FROM polls_ballot WHERE id = ?", [ballot])
    connection.execute("DELETE FROM polls_selection WHERE ballot_id = ?", [ballot])
    connection.execute("UPDATE polls_polltally SET ballots = ballots - 1")
    for table in ("polls_tally", "polls_tallybucket"):
        sql = f"UPDATE {table} SET votes = votes - 1 WHERE option_id = ?"  # noqa: S608 - ours
        connection.execute(sql, [option])


def _double(connection: sqlite3.Connection, _log: list[str]) -> None:
    """Give one voter a second ballot, and count it everywhere."""
    (voter, hashed, option) = connection.execute(
        "SELECT voter_key, first_key_hash, option_id FROM polls_participation "
        "JOIN polls_selection USING (ballot_id) LIMIT 1"
    ).fetchone()
    ballot = uuid.uuid4().hex
    connection.execute(
        "INSERT INTO polls_participation VALUES (?, ?, ?, ?)", [_POLL, voter, ballot, hashed]
    )
    connection.execute("INSERT INTO polls_ballot VALUES (?, ?, ?)", [_POLL, ballot, b"r" * 16])
    connection.execute("INSERT INTO polls_selection VALUES (?, ?, ?)", [_POLL, ballot, option])
    connection.execute("UPDATE polls_polltally SET ballots = ballots + 1")
    for table in ("polls_tally", "polls_tallybucket"):
        sql = f"UPDATE {table} SET votes = votes + 1 WHERE option_id = ?"  # noqa: S608 - ours
        connection.execute(sql, [option])


def _move(connection: sqlite3.Connection, _log: list[str]) -> None:
    """Move one vote of the tally from one option to the other: its sum stays."""
    connection.execute("UPDATE polls_tally SET votes = votes + 1 WHERE option_id = ?", [_YES])
    connection.execute("UPDATE polls_tally SET votes = votes - 1 WHERE option_id = ?", [_NO])


def _refuse(_connection: sqlite3.Connection, log: list[str]) -> None:
    """Let a stored vote have been told that it was not counted."""
    log[:2] = [log[0].replace(" 201 - ", " 503 overloaded ").rsplit(" ", 3)[0] + " - 0 0"]


def _forget(_connection: sqlite3.Connection, log: list[str]) -> None:
    """Let a stored vote never have been sent."""
    del log[:3]


def _change(_connection: sqlite3.Connection, log: list[str]) -> None:
    """Give a retry another receipt than the first answer."""
    log[1] = log[1].replace(log[1].split(" ")[6], "f" * 32)


_CASES: tuple[tuple[str, Tamper, str], ...] = (
    ("all as it was told", _nothing, ""),
    ("one vote lost", _lose, "lost: acknowledged, but not stored"),
    ("one vote doubled", _double, "doubled: a voter has two ballots or marks"),
    ("a moved tally", _move, "moved: tally and recount differ"),
    ("a refused vote stored", _refuse, "stored, though every answer said that it was not"),
    ("a vote that nobody sent", _forget, "stored, though no vote was sent"),
    ("another receipt for a retry", _change, "a retry has another receipt"),
)


def self_test() -> list[str]:
    """Return what the audit missed or made up; empty where it found exactly what is wrong."""
    missed = []
    for name, tamper, expected in _CASES:
        with tempfile.TemporaryDirectory(prefix="polls-audit-") as folder:
            file, log = Path(folder) / "polls.sqlite3", Path(folder) / "log"
            with closing(sqlite3.connect(file)) as connection:
                lines = _fill(connection)
                tamper(connection, lines)
                connection.commit()
            log.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
            found = audit(SqliteStore(file), log).findings
        if not (any(line.startswith(expected) for line in found) if expected else not found):
            missed.append(f"{name}: the audit found {found or 'nothing'}")
    return missed
