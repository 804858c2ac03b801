"""The servers of a soak run, which may be killed, frozen and started again at any moment."""

import contextlib
import functools
import os
import random
import secrets
import signal
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import requests

from benchmarks.audit_store import PostgresStore, SqliteStore, Store
from benchmarks.soak_client import SoakError
from devtools import servers
from devtools.postgres import PostgresServer
from devtools.service import Service

_GONE_SECONDS = 20
_CALL_SECONDS = 30


def _quiet_port() -> int:
    """Return a free port outside the range that the system gives to clients.

    A client that calls a dead server's port again and again may be given that very port, and
    would then talk to itself and keep the server from it.
    """
    draw = random.Random()  # noqa: S311 - any port will do
    while True:
        port = draw.randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _gone(processes: list[psutil.Process]) -> None:
    """Wait until killed processes have let go of what they held."""
    _, alive = psutil.wait_procs(processes, _GONE_SECONDS)
    if alive:
        raise SoakError(f"Killed processes are still there: {alive}")


@functools.cache
def _server() -> str:
    return servers.postgres()


@functools.cache
def _redis() -> str:
    return servers.redis_url()


class SoakService(Service):
    """A service that may be killed, on the same port again each time.

    With a database two processes, and Redis between them, a given one or any; without one the
    embedded default. The environment may say more.
    """

    def __init__(self, database: str = "", redis: str = "", **environment: str) -> None:
        self.secret = secrets.token_urlsafe(32)
        self.database = database
        port = _quiet_port()
        stack = (
            {"DATABASE_URL": database, "REDIS_URL": redis or _redis(), "WEB_WORKERS": "2"}
            if database
            else {}
        )
        super().__init__(PORT=str(port), SECRET_KEY=self.secret, **stack, **environment)
        self.port, self.url = port, f"http://127.0.0.1:{port}"
        self.store: Store = (
            PostgresStore(database)
            if database
            else SqliteStore(Path(self._folder.name) / "polls.sqlite3")
        )

    def kill(self) -> None:
        """End all its processes at once, with no say in it."""
        first = psutil.Process(self._process.pid)
        processes = [first, *first.children(recursive=True)]
        os.killpg(self._process.pid, signal.SIGKILL)  # its own session: nobody else is in it
        self._process.wait()
        _gone(processes[1:])

    def start_again(self) -> None:
        """Start it on what the kill has left, and wait until it is ready."""
        self.__enter__()

    # -- calls of the organiser --------------------------------------------------------------

    def call(
        self, method: str, path: str, body: object = None, owner: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Make a request that must succeed."""
        answer = requests.request(
            method, self.url + path, json=body, headers=owner, timeout=_CALL_SECONDS
        )
        if not answer.ok:
            raise SoakError(f"{method} {path} answered {answer.status_code}: {answer.text}")
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    def organiser(self) -> dict[str, str]:
        """Return the headers of a new account."""
        account = {"username": f"clerk-{uuid.uuid4().hex[:12]}", "password": uuid.uuid4().hex}
        self.call("POST", "/api/v1/auth/register/", account)
        token = self.call("POST", "/api/v1/auth/tokens/", account)["token"]
        return {"Authorization": f"Bearer {token}"}

    def make_poll(self, owner: dict[str, str], options: int) -> dict[str, Any]:
        """Return a new poll that knows its voters by their device."""
        texts = [{"text": f"Option {number + 1}"} for number in range(options)]
        poll = {"title": "Soak", "options": texts, "kind": "single", "identity": "device"}
        return self.call("POST", "/api/v1/polls/", poll, owner)


@contextlib.contextmanager
def on_postgres(redis: str = "", **environment: str) -> Iterator[SoakService]:
    """Give a service with two processes on a database that is dropped after it."""
    server = _server()
    database = servers.create_database(server, "polls_soak")
    try:
        with SoakService(database, redis, **environment) as service:
            yield service
    finally:
        name = database.rpartition("/")[2].partition("?")[0]
        servers.drop_database(server, name)


class OwnPostgres(PostgresServer):
    """A PostgreSQL server that nobody else uses, and that may be stopped in every way."""

    def _stopped(self) -> list[psutil.Process]:
        """Stop its first process, then all that it has started: none is forked meanwhile."""
        first = psutil.Process(self.process.pid)
        first.suspend()
        processes = [first, *first.children(recursive=True)]
        for process in processes[1:]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        return processes

    @contextlib.contextmanager
    def frozen(self) -> Iterator[float]:
        """Stop every process: connections stay open, and nothing answers. Give the time of it."""
        processes = self._stopped()
        try:
            yield time.monotonic()
        finally:
            for process in reversed(processes):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()

    def crash(self) -> None:
        """Kill every process of it at once, as a power cut does."""
        processes = self._stopped()
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        _gone(processes[1:])

    def start_again(self) -> None:
        """Start it on the data that the crash has left."""
        self.process = self._start()


@contextlib.contextmanager
def on_own_postgres() -> Iterator[tuple[SoakService, OwnPostgres]]:
    """Give a service with two processes, and the PostgreSQL server that it alone uses."""
    server = OwnPostgres()
    try:
        with SoakService(server.url) as service:
            yield service, server
    finally:
        server.stop()
