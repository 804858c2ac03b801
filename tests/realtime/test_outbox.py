"""What waits to be sent to one socket: the newest alone, heartbeats, and readers who are gone.

The seconds are those of the product; the event loop's clock jumps over them.
"""

import asyncio
import uuid
from collections.abc import Coroutine
from selectors import DefaultSelector
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from realtime.frames import Frame
from realtime.lines import Line, SendLine, Way
from realtime.outbox import Outbox
from realtime.uvicorn_protocol import Follower

POLL, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to its next timer instead of waiting for it."""

    def __init__(self) -> None:
        self._jumped = 0.0
        selector = DefaultSelector()
        select = selector.select

        def jump(timeout: float | None = None) -> Any:
            ready = select(0)
            if not ready and timeout:
                self._jumped += timeout
            return ready

        selector.select = jump  # type: ignore[method-assign] # that is the trick
        super().__init__(selector)

    def time(self) -> float:
        return super().time() + self._jumped


def run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(work)


class Reader:
    """The other end: takes frames while it wants to, and notes when it got them."""

    def __init__(self, way: str) -> None:
        self.took: list[tuple[float, str]] = []
        self.wants = asyncio.Event()
        self.wants.set()
        self.given_up: list[float] = []
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self.in_step = -100.0  # when a frame was last written without the outbox
        self.flows = True
        self.outbox = Outbox(
            self,
            self._transport if way == "frames" else lambda outbox: SendLine(self._send, outbox),
        )

    def heartbeat(self) -> Frame:
        return Frame("heartbeat")

    def stuck(self) -> None:
        self.given_up.append(self._passed())

    def held_up(self) -> None:
        self.flows = False

    def flowing(self) -> None:
        self.flows = True

    def spoke_at(self) -> float:
        return self._began + self.in_step

    def _passed(self) -> float:
        return self._loop.time() - self._began

    async def _send(self, message: dict[str, str]) -> None:
        await self.wants.wait()
        self.took.append((self._passed(), message["text"]))

    def _transport(self, follower: Follower) -> Line:
        return Transport(self, follower)

    def frames(self) -> list[str]:
        return [frame for _, frame in self.took]

    def post(self, *texts: str, poll_id: uuid.UUID = POLL) -> None:
        for text in texts:
            self.outbox.post(poll_id, Frame(text))


class Transport:
    """A line that takes a frame at once, and no more where the reader does not want it yet."""

    def __init__(self, reader: Reader, follower: Follower) -> None:
        self._reader, self._follower = reader, follower
        self.direct: Way | None = self._write_wire
        self._task: asyncio.Task[None] | None = None

    def _write_wire(self, wire: bytes) -> None:
        raise AssertionError(f"this is for whoever is in step: {wire!r}")

    def write(self, frame: Frame) -> None:
        if self._reader.wants.is_set():
            self._reader.took.append((self._reader._passed(), frame.text))
        else:
            assert self._task is None or self._task.done(), "one frame is in flight at most"
            self._follower.paced(full=True)
            self._task = asyncio.get_running_loop().create_task(self._when_wanted(frame))

    async def _when_wanted(self, frame: Frame) -> None:
        await self._reader._send(frame.message)
        self._task = None
        self._follower.paced(full=False)

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def abort(self) -> None:
        self.close()


ways = pytest.mark.parametrize("way", ["frames", "send"])


@ways
def test_heartbeat_comes_after_25_seconds_without_a_frame(way: str) -> None:
    async def work() -> None:
        reader = Reader(way)
        await asyncio.sleep(10)
        reader.post("tally")
        await asyncio.sleep(55)
        reader.outbox.close()
        assert reader.frames() == ["tally", "heartbeat", "heartbeat"]
        assert [at for at, _ in reader.took] == pytest.approx([10, 35, 60], abs=0.5)

    run(work())


@ways
def test_frame_written_in_step_with_others_breaks_the_silence(way: str) -> None:
    async def work() -> None:
        reader = Reader(way)
        await asyncio.sleep(20)
        reader.in_step = 20
        await asyncio.sleep(24)
        assert reader.frames() == []
        await asyncio.sleep(10)
        assert [at for at, _ in reader.took] == pytest.approx([45], abs=0.5)
        reader.outbox.close()

    run(work())


def test_way_is_open_while_nothing_waits() -> None:
    async def work() -> None:
        reader = Reader("frames")
        assert reader.outbox.way is not None
        reader.wants.clear()
        reader.post("in flight")
        assert reader.outbox.way is None
        assert not reader.flows
        reader.wants.set()
        await asyncio.sleep(0.1)
        assert reader.outbox.way is not None
        assert reader.flows
        reader.outbox.close()
        assert reader.outbox.way is None

    run(work())


@ways
def test_reader_that_is_behind_gets_the_newest_frame_of_each_poll_and_every_reply(way: str) -> None:
    async def work() -> None:
        reader = Reader(way)
        reader.post("taken")
        await asyncio.sleep(0.1)
        reader.wants.clear()
        reader.post("in flight")
        await asyncio.sleep(0.1)
        for seq in range(10_000):
            reader.post(f"{seq}")
            reader.post(f"other {seq}", poll_id=OTHER)
        reader.outbox.reply(Frame("pong"))
        reader.outbox.reply(Frame("pong"))
        assert len(reader.outbox._newest) == 2
        reader.wants.set()
        await asyncio.sleep(0.1)
        reader.outbox.close()
        waited = ["9999", "other 9999", "pong", "pong"]
        assert reader.frames() == ["taken", "in flight", *waited]

    run(work())


@ways
def test_frame_that_begins_waits_until_it_is_sent(way: str) -> None:
    async def work() -> None:
        reader = Reader(way)
        reader.wants.clear()
        reader.post("in flight")
        reader.outbox.post(POLL, Frame("snapshot", begins=True))
        assert not reader.outbox.has_begun(POLL)
        assert reader.outbox.has_begun(OTHER)
        reader.wants.set()
        await asyncio.sleep(0.1)
        assert reader.outbox.has_begun(POLL)
        reader.outbox.close()

    run(work())


@ways
def test_forgotten_frame_is_not_sent(way: str) -> None:
    async def work() -> None:
        reader = Reader(way)
        reader.wants.clear()
        reader.post("in flight", "a number that may no longer be seen")
        reader.post("another", poll_id=OTHER)
        reader.outbox.forget(POLL)
        reader.outbox.reply(Frame("why"))
        reader.wants.set()
        await reader.outbox.drain()
        assert reader.frames() == ["in flight", "another", "why"]
        reader.outbox.close()

    run(work())


@ways
def test_reader_that_takes_nothing_for_30_seconds_is_given_up(way: str) -> None:
    async def work() -> None:
        reader = Reader(way)
        await asyncio.sleep(7)
        reader.wants.clear()
        reader.post("tally")
        await asyncio.sleep(100)
        assert reader.given_up == [pytest.approx(37, abs=0.5)]
        reader.outbox.close()

    run(work())


@ways
def test_waiting_for_a_reader_ends_when_it_is_given_up(way: str) -> None:
    async def work() -> None:
        reader = Reader(way)
        reader.wants.clear()
        reader.post("tally")
        asyncio.get_running_loop().call_later(5, reader.outbox.close)
        await asyncio.gather(reader.outbox.drain(), reader.outbox.drain())
        assert reader._passed() == pytest.approx(5, abs=0.5)

    run(work())


@ways
def test_slow_reader_that_takes_a_frame_now_and_then_is_kept(way: str) -> None:
    async def work() -> None:
        reader = Reader(way)
        for seq in range(10):
            reader.wants.clear()
            reader.post(f"{seq}")
            await asyncio.sleep(29)
            reader.wants.set()
            await asyncio.sleep(0.1)
        reader.outbox.close()
        assert reader.frames() == [f"{seq}" for seq in range(10)]
        assert reader.given_up == []

    run(work())


@ways
def test_closed_outbox_sends_nothing_more(way: str) -> None:
    async def work() -> None:
        reader = Reader(way)
        reader.wants.clear()
        reader.post("in flight", "waiting")
        reader.outbox.close()
        reader.wants.set()
        reader.outbox.reply(Frame("pong"))
        await asyncio.sleep(100)
        assert reader.frames() == []
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(work())


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 100_000])
def test_ready_made_frame_is_what_a_client_reads(size: int) -> None:
    text = "ü" * (size // 2) + "x" * (size % 2)
    parser = ClientProtocol(parse_uri("ws://localhost"), state=State.OPEN, max_size=None)
    parser.receive_data(Frame(text).wire)
    (event,) = parser.events_received()
    assert isinstance(event, WebSocketFrame)
    assert (event.opcode, event.fin, bytes(event.data).decode()) == (Opcode.TEXT, True, text)
