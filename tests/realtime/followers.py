"""The two example clients as programs of their own, and a relay in front of a server.

Run as a module, this is the Python one: it prints what it is told, a JSON object a line.
"""

import asyncio
import json
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

from devtools.node import node
from examples.live_client import RefusedError, follow
from tests.live import ROOT, Server

PATIENCE = 30.0  # seconds for what should come at once, on a machine with other things to do
NODE = (node(), str(Path(__file__).with_name("live_client.mjs")))
PYTHON = (sys.executable, "-m", "tests.realtime.followers")
PROGRAMS = {"javascript": NODE, "python": PYTHON}


class Follower:
    """A program that follows a poll; what it has printed is read as it comes."""

    def __init__(self, program: tuple[str, ...], how: dict[str, Any]) -> None:
        self.process = subprocess.Popen(
            [*program, json.dumps(how)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def next(self, seconds: float = PATIENCE) -> dict[str, Any]:
        """Return the next thing that it says."""
        found: dict[str, Any] = json.loads(self._lines.get(timeout=max(0.0, seconds)))
        return found

    def until_it_shows(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        """Read on until it shows a state; return all that it said until then."""
        until = time.monotonic() + PATIENCE
        said: list[dict[str, Any]] = []
        while not said or said[-1] != {"state": state}:
            try:
                said.append(self.next(until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"it never showed {state}, but: {said[-3:]}") from None
        return said

    def end(self) -> list[dict[str, Any]]:
        """Wait for its end by itself, which is a clean one; return what it still said."""
        assert self.process.wait(PATIENCE) == 0
        return self.rest()

    def rest(self) -> list[dict[str, Any]]:
        """Return what it has said that nobody has read; it has ended."""
        self._reader.join(PATIENCE)
        return [json.loads(self._lines.get()) for _ in range(self._lines.qsize())]


@contextmanager
def following(program: tuple[str, ...], url: str, **how: Any) -> Iterator[Follower]:
    """Have a program follow the socket at an address."""
    follower = Follower(program, {"url": url, **how})
    try:
        yield follower
    finally:
        follower.process.kill()
        follower.process.wait()
        follower._reader.join(PATIENCE)
        assert follower.process.stdout is not None
        follower.process.stdout.close()


class Relay:
    """Passes bytes to a server and back, and can cut or hold them; keeps each request line."""

    def __init__(self, server: Server) -> None:
        self._target = ("127.0.0.1", server.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[str] = []
        self.came: list[float] = []
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._holding = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.came.append(time.monotonic())
                threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(self._target) as server:
            self._pairs.append((client, server))
            first = client.recv(65536)
            self.requests.append(first.split(b"\r\n")[0].decode())
            server.sendall(first)
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    if not self._holding.is_set():
                        (server if ready is client else client).sendall(data)

    def cut(self) -> None:
        """End every connection without a word of the protocol."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """From now on let nothing through, of any connection."""
        self._holding.set()

    def release(self) -> None:
        """Let through what comes from now on."""
        self._holding.clear()

    def close(self) -> None:
        """Take no more connections, and end those that there are."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()


@contextmanager
def relay(server: Server) -> Iterator[Relay]:
    """Stand in front of a server."""
    found = Relay(server)
    try:
        yield found
    finally:
        found.close()


def _say(thing: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(thing)}\n")
    sys.stdout.flush()


async def _main(how: dict[str, Any]) -> None:
    fixed, asked = how.get("ticket"), how.get("tickets")

    async def ticket() -> str:
        if fixed is not None or asked is None:
            return str(fixed)
        answer = await asyncio.to_thread(
            requests.post, asked["url"], headers=asked["headers"], json=asked["body"], timeout=30
        )
        found: str = answer.json()["ticket"]
        return found

    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    states = follow(
        how["url"],
        ticket=ticket if asked or fixed else None,
        **({"silence": how["silence"]} if "silence" in how else {}),
    )
    code = 1000
    try:
        async with aclosing(states):
            async for state in states:
                _say({"state": state})
    except RefusedError as refusal:
        code = refusal.code
    except asyncio.CancelledError:
        pass
    _say({"over": code})


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.argv[1])))
