"""Replies of threads to coroutines: each comes once, in time, and with few wakings."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from polls.domain.replies import LoopReplies, LoopReply
from tests.polls.threads import PATIENCE

LATE, UNKNOWN = "late", "unknown"
Replies = LoopReplies[str]


def _far() -> float:
    return time.monotonic() + PATIENCE


def _replies() -> Replies:
    return LoopReplies(late=LATE, unknown=UNKNOWN)


def _in_thread(work: Callable[[], Any]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE)


# -- one reply ----------------------------------------------------------------------------------


def test_result_and_fault_reach_the_coroutine() -> None:
    async def main() -> None:
        replies = _replies()
        good, bad = replies.new(_far()), replies.new(_far())

        def work() -> None:
            assert good.set_running_or_notify_cancel()
            good.set_result("counted")
            bad.set_exception(ValueError("broken"))

        await asyncio.to_thread(work)
        assert await good.future == "counted"
        with pytest.raises(ValueError, match="broken"):
            await bad.future

    asyncio.run(main())


def test_who_gives_up_before_anybody_has_begun_is_told_late() -> None:
    async def main() -> None:
        reply = _replies().new(_far())
        reply.give_up(LATE, UNKNOWN)
        assert await reply.future == LATE
        begun: list[bool] = []
        _in_thread(lambda: begun.append(reply.set_running_or_notify_cancel()))
        assert begun == [False]  # so that the thread leaves it alone

    asyncio.run(main())


def test_who_gives_up_afterwards_is_told_that_it_is_unknown() -> None:
    async def main() -> None:
        reply = _replies().new(_far())
        _in_thread(reply.set_running_or_notify_cancel)
        reply.give_up(LATE, UNKNOWN)
        assert await reply.future == UNKNOWN

    asyncio.run(main())


def test_result_that_comes_after_giving_up_changes_nothing() -> None:
    async def main() -> None:
        replies = _replies()
        gave_up, last = replies.new(_far()), replies.new(_far())
        gave_up.give_up(LATE, UNKNOWN)

        def work() -> None:
            gave_up.set_result("counted")
            gave_up.set_exception(ValueError("broken"))
            last.set_result("counted")

        _in_thread(work)
        assert await last.future == "counted"  # posted last, so the others have been delivered
        assert await gave_up.future == LATE

    asyncio.run(main())


def test_giving_up_after_the_result_changes_nothing() -> None:
    async def main() -> None:
        reply = _replies().new(_far())
        _in_thread(lambda: reply.set_result("counted"))
        assert await reply.future == "counted"
        reply.give_up(LATE, UNKNOWN)
        assert await reply.future == "counted"

    asyncio.run(main())


def test_result_for_a_client_that_is_gone_does_no_harm() -> None:
    async def main() -> None:
        replies = _replies()
        gone, other = replies.new(_far()), replies.new(_far())
        gone.future.cancel()
        begun: list[bool] = []

        def work() -> None:
            begun.append(gone.set_running_or_notify_cancel())
            gone.set_result("counted")
            other.set_result("counted")

        _in_thread(work)
        assert await other.future == "counted"
        assert begun == [False]
        assert gone.future.cancelled()

    asyncio.run(main())


# -- the end of a coroutine's time --------------------------------------------------------------


def test_each_is_answered_at_the_end_of_its_own_time() -> None:
    async def main() -> None:
        replies = _replies()
        now = time.monotonic()
        waiting = [replies.new(now + seconds) for seconds in (0.05, 0.3)]
        _in_thread(waiting[1].set_running_or_notify_cancel)
        kept = replies.new(now + PATIENCE)
        seconds: list[float] = []
        for reply, expected in zip(waiting, (LATE, UNKNOWN), strict=True):
            assert await reply.future == expected
            seconds.append(time.monotonic() - now)
        assert seconds[0] >= 0.05
        assert seconds[1] >= 0.3
        assert not kept.future.done()

    asyncio.run(main())


def test_watch_ends_with_the_last_who_waits_and_begins_anew_with_the_next() -> None:
    async def main() -> None:
        replies = _replies()
        for _ in range(2):
            assert await replies.new(time.monotonic()).future == LATE
            assert not replies._watching
            assert not replies._waiting

    asyncio.run(main())


# -- many ---------------------------------------------------------------------------------------


def test_many_replies_wake_the_loop_once_while_it_is_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        replies = _replies()
        wakings: list[object] = []
        wake = replies.loop.call_soon_threadsafe

        def counted(call: Callable[[], object]) -> None:
            wakings.append(call)
            wake(call)

        monkeypatch.setattr(replies.loop, "call_soon_threadsafe", counted)
        waiting = [replies.new(_far()) for _ in range(1000)]

        def work() -> None:
            for reply in waiting:
                reply.set_result("counted")

        _in_thread(work)  # which holds the loop until all of them are posted
        assert set(await asyncio.gather(*(reply.future for reply in waiting))) == {"counted"}
        assert len(wakings) == 1

    asyncio.run(main())


def test_replies_of_several_threads_all_arrive() -> None:
    count, threads = 500, 8

    async def main() -> None:
        replies = _replies()
        waiting = [[replies.new(_far()) for _ in range(count)] for _ in range(threads)]
        together = threading.Barrier(threads)

        def work(place: int) -> None:
            together.wait(PATIENCE)
            for number, reply in enumerate(waiting[place]):
                assert reply.set_running_or_notify_cancel()
                reply.set_result(f"{place}:{number}")

        with ThreadPoolExecutor(threads) as pool:
            done = [pool.submit(work, place) for place in range(threads)]
            for place in range(threads):
                found = await asyncio.gather(*(reply.future for reply in waiting[place]))
                assert found == [f"{place}:{number}" for number in range(count)]
            for one in done:
                one.result(PATIENCE)

    asyncio.run(main())


def test_each_of_those_who_give_up_meanwhile_has_one_answer_that_the_thread_agrees_with() -> None:
    """Whoever is told `late` has not been begun with; whoever has been is never told so."""

    async def main() -> None:
        replies = _replies()
        waiting = [replies.new(_far()) for _ in range(2000)]
        begun: list[LoopReply[str]] = []

        def work() -> None:
            begun.extend(reply for reply in waiting if reply.set_running_or_notify_cancel())

        thread = threading.Thread(target=work)
        thread.start()
        for reply in reversed(waiting):
            reply.give_up(LATE, UNKNOWN)
        thread.join(PATIENCE)
        found = await asyncio.gather(*(reply.future for reply in waiting))
        expected = {id(reply) for reply in begun}
        assert found == [UNKNOWN if id(reply) in expected else LATE for reply in waiting]

    asyncio.run(main())


def test_reply_to_a_loop_that_has_ended_does_no_harm() -> None:
    async def main() -> tuple[Replies, list[LoopReply[str]]]:
        replies = _replies()
        return replies, [replies.new(_far()) for _ in range(3)]

    _, waiting = asyncio.run(main())
    faults: list[BaseException] = []

    def work() -> None:
        try:
            for reply in waiting:
                reply.set_running_or_notify_cancel()
                reply.set_result("counted")
                reply.set_exception(ValueError("broken"))
        except BaseException as fault:  # noqa: BLE001 - whatever it is
            faults.append(fault)

    _in_thread(work)
    assert faults == []
