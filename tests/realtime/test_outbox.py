"""What waits to be sent to one socket: the newest alone, heartbeats, and readers who are gone.

The seconds are those of the product; the event loop's clock jumps over them.
"""

import asyncio
import uuid
from collections.abc import Coroutine
from selectors import DefaultSelector
from typing import Any

import pytest

from realtime.outbox import Outbox, StuckReaderError

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

    def __init__(self) -> None:
        self.took: list[tuple[float, str]] = []
        self.wants = asyncio.Event()
        self.wants.set()
        self.began = asyncio.get_running_loop().time()

    async def take(self, frame: str) -> None:
        await self.wants.wait()
        self.took.append((asyncio.get_running_loop().time() - self.began, frame))

    def frames(self) -> list[str]:
        return [frame for _, frame in self.took]


def test_heartbeat_comes_after_25_seconds_without_a_frame() -> None:
    async def work() -> None:
        reader = Reader()
        outbox = Outbox(reader.take, lambda: "heartbeat")
        task = asyncio.create_task(outbox.run())
        await asyncio.sleep(10)
        outbox.post(POLL, "tally")
        await asyncio.sleep(55)
        task.cancel()
        assert reader.frames() == ["tally", "heartbeat", "heartbeat"]
        assert [at for at, _ in reader.took] == pytest.approx([10, 35, 60], abs=0.5)

    run(work())


def test_reader_that_is_behind_gets_the_newest_frame_of_each_poll_and_every_reply() -> None:
    async def work() -> None:
        reader = Reader()
        outbox = Outbox(reader.take, lambda: "heartbeat")
        task = asyncio.create_task(outbox.run())
        outbox.post(POLL, "in flight")
        await asyncio.sleep(0.1)
        reader.wants.clear()
        outbox.post(POLL, "taken from the box, not yet by the reader")
        await asyncio.sleep(0.1)
        for seq in range(10_000):
            outbox.post(POLL, f"{seq}")
            outbox.post(OTHER, f"other {seq}")
        outbox.reply("pong")
        assert len(outbox._newest) == 2
        reader.wants.set()
        await asyncio.sleep(0.1)
        task.cancel()
        assert reader.frames() == [
            "in flight",
            "taken from the box, not yet by the reader",
            "9999",
            "other 9999",
            "pong",
        ]

    run(work())


def test_forgotten_frame_is_not_sent() -> None:
    async def work() -> None:
        reader = Reader()
        outbox = Outbox(reader.take, lambda: "heartbeat")
        outbox.post(POLL, "a number that may no longer be seen")
        outbox.post(OTHER, "another")
        outbox.forget(POLL)
        outbox.reply("why")
        await outbox.drain()
        assert reader.frames() == ["another", "why"]

    run(work())


@pytest.mark.parametrize("way", ["run", "drain"])
def test_reader_that_takes_nothing_for_30_seconds_is_given_up(way: str) -> None:
    async def work() -> None:
        reader = Reader()
        reader.wants.clear()
        outbox = Outbox(reader.take, lambda: "heartbeat")
        outbox.post(POLL, "tally")
        with pytest.raises(StuckReaderError if way == "run" else TimeoutError):
            await getattr(outbox, way)()
        waited = asyncio.get_running_loop().time() - reader.began
        assert waited == pytest.approx(30, abs=0.5)

    run(work())


def test_slow_reader_that_takes_a_frame_now_and_then_is_kept() -> None:
    async def work() -> None:
        reader = Reader()
        outbox = Outbox(reader.take, lambda: "heartbeat")
        task = asyncio.create_task(outbox.run())
        for seq in range(10):
            reader.wants.clear()
            outbox.post(POLL, f"{seq}")
            await asyncio.sleep(29)
            reader.wants.set()
            await asyncio.sleep(0.1)
        assert not task.done()
        task.cancel()
        assert reader.frames() == [f"{seq}" for seq in range(10)]

    run(work())
