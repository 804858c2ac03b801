"""What the domain needs to know of the database below Django."""

import sqlite3
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import Enum, auto

from django.db import connection
from django.db.models import Model
from django.db.utils import IntegrityError

CLOCK = {
    "postgresql": "clock_timestamp()",
    "sqlite": "STRFTIME('%Y-%m-%d %H:%M:%f', 'now')",
}


def clock() -> datetime:
    """Return the database's time: windows follow it, not this machine's clock."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {CLOCK[connection.vendor]}")
        (value,) = cursor.fetchone()
    if isinstance(value, str):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return value  # type: ignore[no-any-return]


# PostgreSQL's row locks are not fair: who would close a poll waits for as long as flushes of
# several processes share its row one after the other without a gap (measured with four: a
# minute). Advisory locks form a queue. Everybody passes a poll's turnstile before its row, so a
# close stands behind the flushes under way and before all later ones. There are few of them, so
# that a flush of hundreds of polls does not fill the server's lock table.
_TURNSTILES = 32
ADVISORY_CLASS = 1886350444  # the first of the two numbers of our advisory locks: "poll"
# The second number where it is not a turnstile's.
MIGRATING, PURGING, SHUFFLING, CLEANING = -1, -2, -3, -4


def is_alone(work: int) -> bool:
    """Whether no other process is at this work; none will be until the transaction ends."""
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [ADVISORY_CLASS, work])
        return bool(cursor.fetchone()[0])


def tell_planner(model: type[Model], rows: int) -> None:
    """Let PostgreSQL count a table that it takes to hold fewer rows than these; call it first.

    Right after a table was vacuumed while it was empty, any index looks as good as another to the
    planner, until autovacuum's next round. It then may check each deleted ballot for selections by
    all the selections of its poll: 8,000 took 4 s, and it grows with the square.
    """
    if connection.vendor != "postgresql":
        return
    table = model._meta.db_table  # noqa: SLF001 - public in Django
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE oid = %s::regclass", [table])
        if cursor.fetchone()[0] < rows:
            cursor.execute(f"ANALYZE {table}")


def as_stored(poll_id: uuid.UUID) -> uuid.UUID | str:
    """Return a poll's id as this database holds it, for statements past Django's fields."""
    return poll_id.hex if connection.vendor == "sqlite" else poll_id


def turnstiles(polls: Iterable[uuid.UUID]) -> list[int]:
    """Return the turnstiles of these polls, in the order in which they are passed."""
    return sorted({poll.int % _TURNSTILES for poll in polls})


class Failure(Enum):
    """What a database error means for the transaction it ended."""

    AGAIN = auto()  # deadlock, serialisation, lock time-out: the same again may succeed
    ROW = auto()  # one of the rows cannot be stored
    LOST = auto()  # the connection is gone
    REFUSED = auto()  # the server said no: full, shutting down, misconfigured


_AGAIN = frozenset({"40001", "40P01", "55P03"})
# admin_shutdown, crash_shutdown, cannot_connect_now, and the connection exceptions of class 08
_LOST = frozenset({"57P01", "57P02", "57P03"})


def failure_of(error: Exception) -> Failure:  # noqa: PLR0911 - a table
    """Return what Django's wrapped error means, by SQLSTATE or SQLite's error name."""
    cause = error.__cause__ or error
    if isinstance(cause, sqlite3.Error):
        name = getattr(cause, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return Failure.AGAIN
        return Failure.ROW if name.startswith("SQLITE_CONSTRAINT") else Failure.REFUSED
    state = getattr(cause, "pgcode", None)
    if state is None:
        if isinstance(error, IntegrityError):
            return Failure.ROW
        return Failure.AGAIN if "database is locked" in str(error) else Failure.LOST
    if state in _AGAIN:
        return Failure.AGAIN
    if state in _LOST or state.startswith("08"):
        return Failure.LOST
    return Failure.ROW if state[:2] in {"22", "23"} else Failure.REFUSED
