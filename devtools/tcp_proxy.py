"""A TCP proxy that can be told to fail in the ways in which networks do.

It stands between a program and a server on this machine, in a thread of its own.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from enum import Enum
from typing import Any, Self

_CHUNK = 65_536
_WAITING = 64  # chunks on their way in one direction; then nothing more is read
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing says so by RST
_START_SECONDS = 10


class Mode(Enum):
    """What becomes of connections and of what they carry."""

    FORWARD = "forward"
    SLOW = "slow"  # everything is forwarded `delay` seconds later
    FREEZE = "freeze"  # connections stand and are taken, nothing is forwarded until it is over
    CUT = "cut"  # standing and new connections are reset
    HALF_OPEN = "half-open"  # the server's end is gone, and the client is never told


class TcpProxy:
    """Forwards from `port` of 127.0.0.1, which is its own, to another port there.

    `mode` may be set at any time and from any thread; it has taken effect when that returns. What
    a frozen connection was given goes on afterwards, in order; one that was half-open stays as it
    is until the client ends it, and only new ones are whole.
    """

    def __init__(self, target: int, *, delay: float = 0.5) -> None:
        self.port = 0
        self.target = target
        self.delay = delay
        self._mode = Mode.FORWARD
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="tcp-proxy", daemon=True)
        self._ready = threading.Event()
        self._flows: set[_Flow] = set()
        self._forwards = asyncio.Event()

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        if not self._ready.wait(_START_SECONDS):
            raise TimeoutError("The proxy did not start.")
        return self

    def __exit__(self, *_: object) -> None:
        """Reset every connection, and listen no more."""
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def mode(self) -> Mode:
        """What it does now."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._call(self._change(mode))

    @property
    def connections(self) -> int:
        """How many clients' connections stand."""
        return len(self._flows)

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_SECONDS)

    # -- on its own loop ---------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._forwards.set()
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._take, "127.0.0.1", self.port)
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    async def _change(self, mode: Mode) -> None:
        self._mode = mode
        if mode is Mode.FREEZE:
            self._forwards.clear()
        else:
            self._forwards.set()
        for flow in list(self._flows):
            if mode is Mode.CUT:
                flow.reset()
            elif mode is Mode.HALF_OPEN:
                flow.lose_server()

    async def _end(self) -> None:
        self._server.close()
        tasks = [flow.task for flow in self._flows]
        for flow in list(self._flows):
            flow.reset()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client's connection until it ends."""
        flow = _Flow(reader, writer)
        self._flows.add(flow)
        try:
            await self._forwards.wait()
            if self._mode is Mode.CUT:
                flow.reset()
            else:
                await self._forward(flow)
                flow.close()
        except (OSError, asyncio.CancelledError):
            flow.reset()  # one of the ends has gone, or the proxy is about to
        finally:
            self._flows.discard(flow)

    async def _forward(self, flow: "_Flow") -> None:
        """Carry both directions until both have ended; a client whose server was lost stays."""
        if self._mode is not Mode.HALF_OPEN:
            reader, flow.server = await asyncio.open_connection("127.0.0.1", self.target)
            if flow.is_half_open:  # it was told so meanwhile
                flow.lose_server()
            pumps = [
                asyncio.create_task(self._pump(flow, flow.reader, flow.server)),
                asyncio.create_task(self._pump(flow, reader, flow.client)),
            ]
            try:
                await asyncio.gather(*pumps)
            except OSError:
                if not flow.is_half_open:
                    raise
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        if self._mode is Mode.HALF_OPEN or flow.is_half_open:
            await flow.swallow()

    async def _pump(
        self, flow: "_Flow", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carry one direction: what is read is written when its time has come."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_WAITING)
        reading = asyncio.create_task(self._read(reader, waiting))
        try:
            while True:
                due, data = await waiting.get()
                await asyncio.sleep(due - self._loop.time())
                await self._forwards.wait()
                if data:
                    writer.write(data)
                    await writer.drain()
                    continue
                if not flow.is_half_open:
                    writer.write_eof()
                return
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(
        self, reader: asyncio.StreamReader, waiting: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        data = b" "
        while data:
            try:
                data = await reader.read(_CHUNK)
            except OSError:
                data = b""  # a reset is an end, too
            late = self.delay if self._mode is Mode.SLOW else 0.0
            await waiting.put((self._loop.time() + late, data))


class _Flow:
    """A client's connection, and that to the server behind it."""

    def __init__(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.client = client
        self.server: asyncio.StreamWriter | None = None
        self.is_half_open = False
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - it is made by the task that serves it
        self.task = task

    def close(self) -> None:
        """End both connections once they have been given everything."""
        self.client.close()
        if self.server is not None:
            self.server.close()

    def reset(self) -> None:
        """End both connections by RST."""
        _reset(self.client)
        if self.server is not None:
            _reset(self.server)

    def lose_server(self) -> None:
        """End the server's connection; the client's stands."""
        self.is_half_open = True
        if self.server is not None:
            _reset(self.server)

    async def swallow(self) -> None:
        """Take what the client sends, and say nothing, until it ends."""
        while await self.reader.read(_CHUNK):
            pass


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # it has been closed already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
