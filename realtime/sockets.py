"""What every socket does: it judges the handshake, takes what the client says, and ends."""

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Coroutine
from functools import partial
from typing import Any

from channels.consumer import AsyncConsumer
from django.conf import settings

from polls.domain import tickets
from polls.errors import Code, Refusal
from realtime import frames, handshake
from realtime.admission import Asker
from realtime.client_frames import (
    Auth,
    ClientFrame,
    Ping,
    read_frame,
)
from realtime.frames import Close, Frame
from realtime.lines import Send, line_to
from realtime.outbox import STUCK_SECONDS, Outbox
from realtime.runtime import runtime
from realtime.subscription import Subscription
from realtime.threads import in_thread

logger = logging.getLogger(__name__)

_CLOSE_SECONDS = 1.0  # for a close frame to be taken
_FLOOD_SECONDS = 10.0


class Socket(AsyncConsumer):  # type: ignore[misc] # Channels is untyped
    """What all kinds of socket are.

    It joins no group of the channel layer itself: the hub holds one subscription per poll and
    process, so a dead Redis keeps nobody from joining.
    """

    channel_layer_alias = None
    of_many = False

    def __init__(self) -> None:
        self.asker = Asker()
        self._received: deque[float] | None = None  # dashboards rarely say a word
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:  # noqa: ANN401 - ASGI
        """Serve one socket, and leave nothing behind however it ends.

        The stock consumer would have two more tasks for each socket, and a thread hop for each
        message.
        """
        self.scope, self.base_send = scope, send
        await receive()  # websocket.connect
        origin = handshake.judge_origin(scope)
        if origin is handshake.Origin.REFUSED:
            await send({"type": "websocket.close"})  # before accepting: HTTP 403
            return
        await send({"type": "websocket.accept"})
        self.outbox = Outbox(self, partial(line_to, scope, send))
        runtime.sockets += 1
        try:
            await self._open(origin)
            while (message := await receive())["type"] == "websocket.receive":
                await self._receive(message)
                # Whoever does not take answers is not listened to.
                await self.outbox.drain()
        finally:
            runtime.sockets -= 1
            self._leave()

    async def _open(self, origin: handshake.Origin) -> None:
        if runtime.sockets > settings.MAX_SOCKETS:
            await self.end_with(Refusal(Code.TOO_MANY))
            return
        if origin is handshake.Origin.OWN:
            self.asker = handshake.asker_of_cookies(self.scope)
        try:
            await self.begin(self.scope["query_string"])
        except Refusal as refusal:
            await self.end_with(refusal)

    async def _receive(self, message: dict[str, Any]) -> None:
        if self._closing:
            return
        if self._received is None:
            self._received = deque(maxlen=settings.MAX_SOCKET_MESSAGES)
        now = time.monotonic()
        full = len(self._received) == self._received.maxlen
        if full and now - self._received[0] < _FLOOD_SECONDS:
            await self.end_with(Refusal(Code.TOO_MANY))
            return
        self._received.append(now)
        try:
            frame = read_frame(message, of_many=self.of_many)
            if isinstance(frame, Ping):
                self.outbox.reply(frames.PONG)
            elif isinstance(frame, Auth):
                self.ticket_came()
                await self.authenticate(await self._look_up(frame.ticket))
            else:
                await self.hear(frame)
        except Refusal as refusal:
            await self.end_with(refusal)

    async def _look_up(self, ticket: str) -> tickets.Ticket:
        try:
            found = await in_thread(tickets.consume_ticket, ticket)
        except Exception:
            logger.exception("A ticket could not be looked up.")
            raise Refusal(Code.UNAVAILABLE) from None
        if found is None:
            raise Refusal(
                Code.AUTHENTICATION_REQUIRED, "The ticket is unknown, used or more than 60 s old."
            )
        return found

    # -- what each kind does in its own way --------------------------------------------------

    async def begin(self, query_string: bytes) -> None:
        """Take the socket's URL for what it asks; raises a refusal that ends it."""
        raise NotImplementedError

    async def hear(self, frame: ClientFrame) -> None:
        """Take a frame that only this kind of socket takes; raises a refusal that ends it."""
        raise NotImplementedError

    def ticket_came(self) -> None:
        """Take it that a ticket is being looked up."""
        raise NotImplementedError

    async def authenticate(self, ticket: tickets.Ticket) -> None:
        """Let a ticket say whom this socket speaks for."""
        raise NotImplementedError

    def heartbeat(self) -> Frame:
        """Return what is said after a long silence."""
        raise NotImplementedError

    def subscriptions(self) -> list[Subscription]:
        """Return what this socket hears of."""
        raise NotImplementedError

    def part(self) -> None:
        """Hear no more of anything."""
        for subscription in self.subscriptions():
            subscription.leave()

    # -- what the outbox says ----------------------------------------------------------------

    def stuck(self) -> None:
        """Close: the reader has taken nothing for half a minute."""
        self.spawn(self._end(Close.TOO_SLOW))

    def held_up(self) -> None:
        """Have every count wait in the outbox for now."""
        for subscription in self.subscriptions():
            subscription.fall_out()

    def flowing(self) -> None:
        """Have every count written as it comes again."""
        for subscription in self.subscriptions():
            subscription.fall_in()

    def spoke_at(self) -> float:
        """Return when a count was last written as it came."""
        return max((one.spoke_at for one in self.subscriptions()), default=0.0)

    # -- ending ------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the reading of this socket, until it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end_with(self, refusal: Refusal, poll_id: uuid.UUID | None = None) -> None:
        """Say why, then close."""
        if self._closing:
            return
        self.outbox.reply(frames.error(refusal.code, refusal.detail, poll_id))
        await self._end(Close.after(refusal.code))

    async def _end(self, code: int) -> None:
        """Send what must still be sent, and close."""
        if self._closing:
            return
        self._closing = True
        self.part()
        try:
            if code != Close.TOO_SLOW:
                async with asyncio.timeout(STUCK_SECONDS):
                    await self.outbox.drain()
            self.outbox.close()
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.base_send({"type": "websocket.close", "code": int(code)})
        except TimeoutError:
            self.outbox.abort()  # nobody reads it
        except (OSError, RuntimeError):
            pass  # it was closed from the other side

    def _leave(self) -> None:
        self._closing = True
        self.part()
        self.outbox.close()
        for task in list(self._tasks):
            task.cancel()
