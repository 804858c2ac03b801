"""How long the work of this thread may still take, and database waits that keep to it.

psycopg2 waits for ever on a server that is frozen, whatever time-outs are set. Its wait callback
is where that wait can be bounded: it gives up at the thread's deadline, and psycopg2 closes the
connection. Without a deadline (management commands) it waits as long as the server works.
"""

import math
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2 import extensions

REQUEST_SECONDS = 4.5
_CONNECT_SECONDS = 3.0
_CONNECTING = frozenset({extensions.STATUS_SETUP, 20})  # 20: being connected, unnamed in psycopg2


class _Deadline(threading.local):
    at: float | None = None


_deadline = _Deadline()


class DeadlineExceededError(psycopg2.OperationalError):
    """The database did not answer within what was left of the request's time."""


@contextmanager
def until(at: float, *, anew: bool = False) -> Iterator[None]:
    """Bound every database wait of this thread by a time of `time.monotonic()`.

    It is no later than that of the work around it, unless this is one of many steps, each of which
    has its time `anew`.
    """
    before = _deadline.at
    _deadline.at = at if anew or before is None else min(at, before)
    try:
        yield
    finally:
        _deadline.at = before


def now_plus(seconds: float = REQUEST_SECONDS) -> float:
    """Return the deadline of work that begins now."""
    return time.monotonic() + seconds


def end() -> float:
    """Return this thread's deadline, infinity where it has none."""
    return math.inf if _deadline.at is None else _deadline.at


def remaining() -> float:
    """Return how many seconds this thread may still take; a request's whole time without one."""
    return REQUEST_SECONDS if _deadline.at is None else max(0.0, _deadline.at - time.monotonic())


def _wait(connection: extensions.connection) -> None:
    """Wait for libpq until the deadline (psycopg2's protocol for a wait callback)."""
    limit = _deadline.at
    if connection.status in _CONNECTING:
        connect_limit = time.monotonic() + _CONNECT_SECONDS
        limit = connect_limit if limit is None else min(limit, connect_limit)
    poller = select.poll()
    while True:
        state = connection.poll()
        if state == extensions.POLL_OK:
            return
        wanted = select.POLLIN if state == extensions.POLL_READ else select.POLLOUT
        patience = None if limit is None else (limit - time.monotonic()) * 1000
        if patience is not None and patience <= 0:
            raise DeadlineExceededError("the database did not answer in time")
        poller.register(connection.fileno(), wanted)
        poller.poll(patience)
        poller.unregister(connection.fileno())


def bound_database_waits() -> None:
    """Make every psycopg2 connection of this process keep to its thread's deadline."""
    extensions.set_wait_callback(_wait)


def bound_server_work(*, connection: Any, **_: object) -> None:  # noqa: ANN401 - Django's wrapper
    """Let the server give up what nobody waits for any more (a receiver of connection_created).

    A client that has closed its connection is not noticed by a server that waits for a lock.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SET lock_timeout = '4s'; SET statement_timeout = '30s'; "
                "SET idle_in_transaction_session_timeout = '10s'"
            )
