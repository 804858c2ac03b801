"""Servers of a test's own: started in other ways, watched from outside, never quietly broken."""

import re
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import requests

from polls.models import Ballot, Option, Participation, Poll, PollTally, Tally
from tests.cast import standing_rows
from tests.live import ROOT, START_SECONDS, Server

# What a server's log must never hold. "Unexpected exception in receive task" is channels-redis
# telling with a traceback that Redis is down: the test that kills Redis looks for it.
_BAD = re.compile(
    r"Traceback|never retrieved|was never awaited|was destroyed|Exception in|Unhandled|Unexpected"
)


def assert_clean(log: str) -> None:
    """Make sure that a server's log tells of nothing unforeseen."""
    found = _BAD.search(log)
    assert found is None, log[max(0, found.start() - 500) :][:5000]


class OwnServer(Server):
    """A server of a test's own, which other kinds start by another command."""

    def command(self) -> list[str]:
        """Return what to run."""
        return [sys.executable, "-m", "polls_project.serve"]

    def start(self) -> None:
        """Start, and wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if requests.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            except (requests.ConnectionError, requests.Timeout):
                time.sleep(0.05)
        self.stop()
        raise AssertionError(f"the server did not become ready: {self.log.read_text()}")


_HASTY = """
import runpy
import django
django.setup()
from realtime import outbox, runtime, uvicorn_protocol
outbox.STUCK_SECONDS = 2.0
runtime.RECONCILE_SECONDS = uvicorn_protocol.CLOSE_SECONDS = 1.0
runpy.run_module("polls_project.serve", run_name="__main__", alter_sys=True)
"""


class HastyServer(OwnServer):
    """`make run` with shorter times, for what takes long and happens again and again.

    Stuck readers are given up after 2 s, unanswered closes after 1 s, the database is compared
    with each 1 s.
    """

    def command(self) -> list[str]:
        """Change the constants, then run the module as ever."""
        return [sys.executable, "-c", _HASTY]


class TalkativeServer(HastyServer):
    """The same with heartbeats after 1 s of silence."""

    def command(self) -> list[str]:
        """Change one more constant."""
        more = "outbox.HEARTBEAT_SECONDS = 1.0\nrunpy.run_module"
        return [sys.executable, "-c", _HASTY.replace("runpy.run_module", more)]


class DaphneServer(OwnServer):
    """Daphne, which starts the same application and leaves the database as it is."""

    def command(self) -> list[str]:
        """Return Daphne's own command line."""
        return [
            str(Path(sys.executable).with_name("daphne")),
            *("-b", "127.0.0.1", "-p", str(self.port), "-v", "0"),
            *("--websocket-max-message-size", "4096"),
            "polls_project.asgi:application",
        ]


@contextmanager
def serving(kind: type[OwnServer] = OwnServer, **environment: str) -> Iterator[Server]:
    """Run a server for a test, and read its log when it has ended."""
    with kind(**environment) as server:
        yield server
    assert_clean(server.log.read_text())


def _in_words_of(server: Server, sql: str, parameters: Sequence[object]) -> tuple[str, list[Any]]:
    """Write a statement as the server's database takes it: placeholders and UUIDs differ."""
    if server.environment.get("DATABASE_URL"):
        return sql, [str(p) if isinstance(p, uuid.UUID) else p for p in parameters]
    return sql.replace("%s", "?"), [p.hex if isinstance(p, uuid.UUID) else p for p in parameters]


@contextmanager
def _cursor(server: Server) -> Iterator[Any]:
    url = server.environment.get("DATABASE_URL")
    connection: Any = (
        psycopg2.connect(url)
        if url
        else sqlite3.connect(Path(server.folder) / "polls.sqlite3", timeout=20)
    )
    with closing(connection), connection:
        yield connection.cursor()


def execute(server: Server, sql: str, *parameters: object) -> int:
    """Change a server's database behind its back; return how many rows that met."""
    with _cursor(server) as cursor:
        cursor.execute(*_in_words_of(server, sql, parameters))
        return int(cursor.rowcount)


def ask(server: Server, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Read a server's database."""
    with _cursor(server) as cursor:
        cursor.execute(*_in_words_of(server, sql, parameters))
        return list(cursor.fetchall())


def process_of(server: Server) -> psutil.Process:
    """Return the server's process, for what only the system knows of it."""
    return psutil.Process(server.process.pid)


def connections(server: Server) -> int:
    """Return how many connections of clients the server process holds."""
    return sum(
        connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == server.port
        for connection in process_of(server).net_connections("tcp")
    )


def count_rows(server: Server) -> dict[str, int]:
    """Return how many rows the tables hold that a socket could reach, less what is swept away."""
    return {
        model.__name__: int(ask(server, f"SELECT COUNT(*) FROM {standing_rows(model)}")[0][0])
        for model in (Poll, Option, PollTally, Tally, Participation, Ballot)
    }


def shake_hands(server: Server, path: str, *, room: int | None = None) -> socket.socket:
    """Open a socket without a WebSocket client behind it, with room for so many bytes."""
    client = socket.socket()
    if room is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    client.settimeout(START_SECONDS)
    client.connect(("127.0.0.1", server.port))
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    )
    client.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    return client
