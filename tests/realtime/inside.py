"""The application inside the test's own process, for what cannot be seen from outside.

Its event loop runs in a thread; people call the API in the test's thread as ever.
"""

import asyncio
import gc
import json
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from django.db import connection
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from polls.domain.results import read_counts
from polls_project.asgi import application
from realtime import threads
from realtime.frames import Update
from realtime.runtime import runtime
from realtime.uvicorn_protocol import FRAMES, Follower, FramesExtension
from tests.cast import Person
from tests.realtime import client
from tests.realtime.client import PATIENCE

T = TypeVar("T")
HOST = "localhost"
POOL = 4  # threads that realtime keeps for the database
TICK = 0.5  # seconds: long enough to do something within one


def live_path(poll: dict[str, Any]) -> str:
    """Return the path of a poll's socket."""
    path: str = poll["links"]["live"]
    return path


def update_of(poll: dict[str, Any], **changes: Any) -> Update:
    """Return where the poll stands in the database, or would stand."""
    poll_id = uuid.UUID(poll["id"])
    return Update.of(replace(read_counts([poll_id])[poll_id], **changes))


class Inside:
    """An event loop with the application's runtime on it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.offers_frames = True  # as Uvicorn does, and Daphne does not
        self.faults: list[dict[str, Any]] = []  # what asyncio would have logged as an error
        self.sockets: list[asyncio.Task[None]] = []
        self.loop.set_exception_handler(lambda _, context: self.faults.append(context))
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.call(self._start())

    async def _start(self) -> None:
        runtime.start()

    async def _end_sockets(self) -> None:
        """Cancel what a test has left open, as a server does that is being stopped."""
        for task in self.sockets:
            task.cancel()
        await asyncio.gather(*self.sockets, return_exceptions=True)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    def do(self, work: Callable[..., T], *args: object, **kwargs: object) -> T:
        """Call a function on the loop."""

        async def call() -> T:
            return work(*args, **kwargs)

        return self.call(call())

    def wait_until(self, holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait until something holds on the loop."""
        until = time.monotonic() + seconds
        while not self.do(holds):
            assert time.monotonic() < until, "it never came to hold"
            time.sleep(0.01)

    def tasks(self) -> int:
        """Return how many tasks there are besides the one that counts them."""

        async def count() -> int:
            return len(asyncio.all_tasks()) - 1

        return self.call(count())

    def nothing_is_left(self, tasks: int) -> None:
        """Wait until no socket, no watched poll and no more than so many tasks are left."""
        self.wait_until(lambda: runtime.sockets == 0 and runtime.hub.watched == {})
        self.wait_until(lambda: runtime.hub.shows.watched == {})
        self.wait_until(lambda: len(asyncio.all_tasks()) - 1 <= tasks)

    def until_watched(self, poll: dict[str, Any]) -> None:
        """Wait until somebody has asked to hear of the poll."""
        self.wait_until(lambda: uuid.UUID(poll["id"]) in runtime.hub.watched)

    @contextmanager
    def busy_database(self) -> Iterator[None]:
        """Let nobody on the loop have an answer of the database for a while."""
        free, taken = threading.Event(), threading.Barrier(POOL + 1)

        def hold() -> None:
            taken.wait()
            free.wait()

        for _ in range(POOL):
            threads._pool.submit(hold)
        taken.wait(PATIENCE)
        try:
            yield
        finally:
            free.set()

    def stop(self) -> None:
        """End it all, and leave no connection to the test's database behind."""
        self.call(self._end_sockets())
        self.call(runtime.stop())
        together = threading.Barrier(POOL)

        def close() -> None:
            together.wait(PATIENCE)
            connection.close()

        for done in [threads._pool.submit(close) for _ in range(POOL)]:
            done.result(PATIENCE)
        gc.collect()  # a task that failed unheard is told of when it goes
        self.do(gc.collect)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


class InnerSocket:
    """A socket without a network: what the server calls, and what it is told."""

    def __init__(self, inside: Inside, path: str, query: str = "", **headers: str) -> None:
        self.inside = inside
        self.told: list[dict[str, Any]] = []
        self.failure: type[Exception] | None = None  # what sending raises from now on
        self.aborted = False
        path_scope = {
            "type": "websocket",
            "path": path,
            "query_string": query.encode(),
            "headers": [
                (b"host", HOST.encode()),
                *((name.lower().encode(), value.encode()) for name, value in headers.items()),
            ],
            "extensions": self._extensions() if inside.offers_frames else {},
        }
        self.task: asyncio.Task[None] = inside.do(self._begin, path_scope)
        inside.sockets.append(self.task)

    def _begin(self, scope: dict[str, Any]) -> "asyncio.Task[None]":
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        self._incoming.put_nowait({"type": "websocket.connect"})
        return asyncio.get_running_loop().create_task(
            application(scope, self._incoming.get, self._send)
        )

    def _extensions(self) -> dict[str, FramesExtension]:
        self._held: list[bytes] = []  # what a transport holds for a client that does not read
        self._follower: Follower
        return {
            FRAMES: {
                "write": self._write,
                "follow": lambda follower: setattr(self, "_follower", follower),
                "abort": self._abort,
            }
        }

    def _write(self, frame: bytes) -> None:
        if self.failure is not None:
            return  # a transport says nothing
        if self.reads.is_set():
            self._take(frame)
        else:
            self._held.append(frame)
            self._follower.paced(full=True)

    def _take(self, frame: bytes) -> None:
        parser = ClientProtocol(parse_uri("ws://localhost"), state=State.OPEN)
        parser.receive_data(frame)
        (event,) = parser.events_received()
        assert isinstance(event, Frame)
        assert event.opcode is Opcode.TEXT
        self.told.append({"type": "websocket.send", "text": bytes(event.data).decode()})

    def _take_all(self) -> None:
        self.reads.set()
        if self.inside.offers_frames:
            assert len(self._held) <= 1, "one frame is in flight at most"
            while self._held:
                self._take(self._held.pop())
            self._follower.paced(full=False)

    def _abort(self) -> None:
        self.aborted = True
        self._incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})

    async def _send(self, message: dict[str, Any]) -> None:
        await self.reads.wait()
        if self.failure is not None:
            raise self.failure  # anew each time: a kept one would keep its frames alive
        self.told.append(message)
        if message["type"] == "websocket.close":
            # Servers take it for done and disconnect.
            code = message.get("code", 1006)
            self._incoming.put_nowait({"type": "websocket.disconnect", "code": code})

    def say(self, frame: object) -> None:
        """Send a frame."""
        message = {"type": "websocket.receive", "text": json.dumps(frame)}
        self.inside.do(self._incoming.put_nowait, message)

    def stop_reading(self) -> None:
        """Take nothing more from the server."""
        self.inside.do(self.reads.clear)

    def read_on(self) -> None:
        """Take what the server has to say again."""
        self.inside.do(self._take_all)

    def leave(self) -> None:
        """Disconnect."""
        self.inside.do(self._incoming.put_nowait, {"type": "websocket.disconnect", "code": 1005})

    @property
    def frames(self) -> list[client.Frame]:
        """What has been sent so far."""
        return [json.loads(m["text"]) for m in list(self.told) if m["type"] == "websocket.send"]

    @property
    def code(self) -> int | None:
        """The close code; None while it is open, and where it was never accepted."""
        closes = [m.get("code") for m in list(self.told) if m["type"] == "websocket.close"]
        return closes[0] if closes else None

    def until(self, count: int) -> list[client.Frame]:
        """Wait for so many frames in all, and return them."""
        self.inside.wait_until(lambda: len(self.frames) >= count)
        return self.frames

    def until_over(self) -> int | None:
        """Wait for the end; return the close code."""
        self.inside.wait_until(self.task.done)
        return self.code


def socket_of(inside: Inside, person: Person, poll: dict[str, Any], query: str = "") -> InnerSocket:
    """Open a poll's socket and bring it a ticket of this person's."""
    ticket = person.post("/api/v1/live-tickets/", {"polls": [poll["id"]]}).json()["ticket"]
    socket = InnerSocket(inside, live_path(poll), query)
    socket.say({"type": "auth", "ticket": ticket})
    return socket
