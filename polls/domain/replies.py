"""Answers of a thread to coroutines: many at once for one waking of their event loop."""

import asyncio
import contextlib
import threading
import time
from collections import deque
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Reply(Protocol[T_contra]):
    """What a thread answers one request by; `concurrent.futures.Future` is one, too."""

    def set_running_or_notify_cancel(self) -> bool:
        """Begin, and return True; False where whoever waits has given up."""

    def set_result(self, result: T_contra, /) -> None:
        """Answer."""

    def set_exception(self, exception: BaseException, /) -> None:
        """Answer with a fault."""


class LoopReply(Generic[T]):
    """The reply to one coroutine."""

    __slots__ = ("_begun", "_replies", "future", "until")

    def __init__(self, replies: "LoopReplies[T]", until: float) -> None:
        self._replies = replies
        self._begun = False
        self.future: asyncio.Future[T] = replies.loop.create_future()
        self.until = until

    def set_running_or_notify_cancel(self) -> bool:
        """Begin, unless it is too late. Called by the thread that answers."""
        with self._replies.mutex:
            self._begun = not self.future.done()
            return self._begun

    def give_up(self, late: T, unknown: T) -> None:
        """Answer in the thread's place: `late` if it has not begun, `unknown` if it has."""
        with self._replies.mutex:
            if not self.future.done():
                self.future.set_result(unknown if self._begun else late)

    def set_result(self, result: T, /) -> None:
        """Answer with the next waking of the loop."""
        self._replies.post(self, result, None)

    def set_exception(self, exception: BaseException, /) -> None:
        """Answer with a fault, likewise."""
        self._replies.post(self, None, exception)

    def deliver(self, result: T | None, exception: BaseException | None) -> None:
        """Let the coroutine go on. Called on the loop."""
        if self.future.done():
            return  # it gave up, or its client is gone
        if exception is not None:
            self.future.set_exception(exception)
        else:
            self.future.set_result(result)  # type: ignore[arg-type] # one of the two is given


class LoopReplies(Generic[T]):
    """All replies to the coroutines of one event loop.

    `late` and `unknown` are what a coroutine is answered at the end of its time: where nobody has
    begun with its request, and where somebody has.
    """

    def __init__(self, *, late: T, unknown: T) -> None:
        self.loop = asyncio.get_running_loop()
        self.mutex = threading.Lock()
        self._late, self._unknown = late, unknown
        self._posted: deque[tuple[LoopReply[T], T | None, BaseException | None]] = deque()
        self._woken = False
        self._waiting: deque[LoopReply[T]] = deque()  # the oldest first
        self._watching = False

    def new(self, until: float) -> LoopReply[T]:
        """Return a reply that comes by this time of `time.monotonic()`, not before the last."""
        reply = LoopReply(self, until)
        self._waiting.append(reply)
        if not self._watching:
            self._watching = True
            self.loop.call_later(_WATCH_SECONDS, self._watch)
        return reply

    def post(self, reply: LoopReply[T], result: T | None, exception: BaseException | None) -> None:
        """Take an answer from the thread that gives it."""
        self._posted.append((reply, result, exception))
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
                self.loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        # In this order: what is posted from here on wakes the loop again.
        self._woken = False
        while self._posted:
            reply, result, exception = self._posted.popleft()
            reply.deliver(result, exception)

    def _watch(self) -> None:
        """Let those go on whose time is over; one timer serves them all."""
        now = time.monotonic()
        while self._waiting and (self._waiting[0].future.done() or self._waiting[0].until <= now):
            self._waiting.popleft().give_up(self._late, self._unknown)
        self._watching = bool(self._waiting)
        if self._watching:
            self.loop.call_later(_WATCH_SECONDS, self._watch)


_WATCH_SECONDS = 0.1
