"""The socket of one poll. It authorises, sends a snapshot, and forwards frames."""

import asyncio
import logging
import time
import uuid
from collections import deque
from typing import Any

from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer
from django.conf import settings

from polls.domain import tickets
from polls.domain.results import Count
from polls.errors import Code, Refusal
from realtime import frames, handshake
from realtime.admission import Asker, admit
from realtime.client_frames import read_frame, read_query
from realtime.frames import Close, Update
from realtime.outbox import Outbox, StuckReaderError
from realtime.runtime import runtime
from realtime.threads import in_thread
from realtime.uvicorn_protocol import ABORT

logger = logging.getLogger(__name__)

AUTH_SECONDS = 3.0  # to send a ticket, where the socket may not see results
CLOSED_SECONDS = 5.0  # from the final frame to the closing of the socket
_CLOSE_SECONDS = 1.0  # for a close frame to be taken
_FLOOD_SECONDS = 10.0
_READINGS = 3  # of a poll whose rules change while somebody joins


class PollConsumer(AsyncConsumer):  # type: ignore[misc] # Channels is untyped
    """`/ws/polls/{id}/`: one subscription.

    It joins no group of the channel layer itself: the hub holds one subscription per poll and
    process, so a dead Redis keeps nobody from joining.
    """

    channel_layer_alias = None

    def __init__(self) -> None:
        self.poll_id = uuid.UUID(int=0)
        self.asker = Asker()
        self.sees_results = False
        self._wants_status = False
        self._since: int | None = None
        self._seq: int | None = None  # what the client has
        self._status_frame = ""  # the same for those who see no counts
        self._early: Update | None = None  # what came before the snapshot did
        self._joined = False
        self._final = False  # the last frame of counts has been sent
        self._counted = False  # as one of the process's sockets
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._received: deque[float] = deque(maxlen=settings.MAX_SOCKET_MESSAGES)
        self._closing = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        """Serve one socket, and leave nothing behind however it ends."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Handle an event of the socket, without the stock consumer's thread hop for each."""
        handler = {
            "websocket.connect": self._connect,
            "websocket.receive": self._receive,
            "websocket.disconnect": self._disconnect,
        }[message["type"]]
        await handler(message)

    # -- joining -----------------------------------------------------------------------------

    async def _connect(self, message: dict[str, Any]) -> None:
        del message
        origin = handshake.judge_origin(self.scope)
        if origin is handshake.Origin.REFUSED:
            await self.base_send({"type": "websocket.close"})  # before accepting: HTTP 403
            raise StopConsumer
        await self.base_send({"type": "websocket.accept"})
        self._outbox = Outbox(self._send_text, self._heartbeat)
        self._writer = self._spawn(self._write())
        runtime.sockets += 1
        self._counted = True
        self.poll_id = self.scope["url_route"]["kwargs"]["poll_id"]
        if runtime.sockets > settings.MAX_SOCKETS:
            await self._refuse(Refusal(Code.TOO_MANY))
            return
        try:
            self._since, self._wants_status = read_query(self.scope["query_string"])
            if origin is handshake.Origin.OWN:
                self.asker = await in_thread(handshake.asker_of_cookies, self.scope)
        except Refusal as refusal:
            await self._refuse(refusal)
            return
        except Exception:
            logger.exception("A socket's cookies could not be read.")
            await self._refuse(Refusal(Code.UNAVAILABLE))
            return
        runtime.hub.join(self.poll_id, self)
        await self._join(last_word=False)

    async def _join(self, *, last_word: bool) -> None:
        """Begin, where this socket may; else wait for a ticket, unless that has been."""
        try:
            hidden, count = await self._read()
        except Refusal as refusal:
            await self._wait_or_refuse(refusal, last_word=last_word)
            return
        except Exception:
            logger.exception("A socket could not join poll %s.", self.poll_id)
            await self._refuse(Refusal(Code.UNAVAILABLE))
            return
        if self._closing or self.sees_results:
            return
        if hidden is not None and not self._wants_status:
            await self._wait_or_refuse(hidden, last_word=last_word)
            return
        update = Update.of(count)
        if hidden is None:
            self._begin(update)
        else:
            self._cancel_timer()
            self._joined = True
            self._tell_status(update)
            if update.final:
                self._close_soon()
        early, self._early = self._early, None
        if early is not None and early.seq > update.seq:
            self.update(early, replace=False)
        # Whoever joined earlier is at least told what was just read.
        runtime.hub.deliver(update)

    async def _ask_again(self) -> None:
        """Shut this socket out where it now speaks for somebody who may see less."""
        try:
            hidden, count = await self._read()
        except Refusal:
            raise
        except Exception:
            logger.exception("A socket in poll %s could not be asked for anew.", self.poll_id)
            raise Refusal(Code.UNAVAILABLE) from None
        if hidden is not None and self.sees_results:
            self.forbid(Update.of(count))

    async def _read(self) -> tuple[Refusal | None, Count]:
        """Return `admit`'s answer, asked again where the hub knows of a later rule.

        A restored database stays behind the hub for a few seconds; it has the last word.
        """
        for _ in range(_READINGS):
            hidden, count = await in_thread(admit, self.poll_id, self.asker)
            watched = runtime.hub.watched.get(self.poll_id)
            last = watched.last if watched is not None else None
            if last is None or last.seq <= count.seq:
                break
            if not last.deleted and (last.revision, last.status) == (
                count.revision,
                count.status_now,
            ):
                break
        return hidden, count

    def _begin(self, update: Update) -> None:
        """Send what the client needs to be up to date."""
        self._cancel_timer()
        self.sees_results = self._joined = True
        self._seq = update.seq
        self._status_frame = ""  # whoever is shut out later is told the status anew
        if update.final or self._since != update.seq:
            self._outbox.begin(self.poll_id, update.snapshot)
        else:
            self._outbox.begin(self.poll_id, frames.hello(self.poll_id, update.seq))
        self._since = None
        if update.final:
            self._final = True
            self._close_soon()

    async def _wait_or_refuse(self, refusal: Refusal, *, last_word: bool) -> None:
        if last_word:
            await self._refuse(refusal)
            return

        # An unknown poll waits as long as a hidden one: the time tells nothing of drafts.
        # It is asked for once more then, for the results may have opened meanwhile.
        def too_late() -> None:
            self._spawn(self._join(last_word=True))

        self._cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(AUTH_SECONDS, too_late)

    # -- what the hub says -------------------------------------------------------------------

    def update(self, update: Update, *, replace: bool) -> None:
        """Take a newer state of the poll (the hub's call)."""
        if not self._joined:
            self._early = update
            return
        if not self.sees_results:
            self._tell_status(update)
            return
        if self._final or self._seq is None or update.seq == self._seq:
            return
        older = update.seq < self._seq
        if older and not replace:
            return
        self._seq = update.seq
        if older or not self._outbox.has_begun(self.poll_id):
            self._outbox.begin(self.poll_id, update.snapshot)
        else:
            self._outbox.post(self.poll_id, update.tally)
        if update.final:
            self._final = True
            self._close_soon()

    def _tell_status(self, update: Update) -> None:
        if self._wants_status and update.status_frame != self._status_frame:
            self._status_frame = update.status_frame
            self._since = None  # what the client had is forgotten with it
            self._outbox.post(self.poll_id, update.status_frame)
            if update.final:
                self._close_soon()

    def allow(self, update: Update) -> None:
        """Results have opened for this socket (the hub's call)."""
        if self._joined:
            self._begin(update)

    def forbid(self, update: Update) -> None:
        """Results have closed for this socket (the hub's call)."""
        self.sees_results = False
        self._outbox.forget(self.poll_id)
        if self._wants_status:
            self._tell_status(update)
        else:
            self._spawn(self._refuse(Refusal(Code.RESULTS_HIDDEN)))

    def gone(self) -> None:
        """Take it that the poll has been deleted (the hub's call)."""
        if not self._joined:
            return  # it is refused when its time is up, as if the poll had never been
        self.sees_results = False
        self._outbox.forget(self.poll_id)
        self._spawn(self._refuse(Refusal(Code.NOT_FOUND)))

    # -- what the client says ----------------------------------------------------------------

    async def _receive(self, message: dict[str, Any]) -> None:
        if self._closing:
            return
        now = time.monotonic()
        full = len(self._received) == self._received.maxlen
        if full and now - self._received[0] < _FLOOD_SECONDS:
            await self._refuse(Refusal(Code.TOO_MANY))
            return
        self._received.append(now)
        try:
            frame = read_frame(message)
            if frame["type"] == "ping":
                self._outbox.reply(frames.PONG)
            else:
                await self._authenticate(frame["ticket"])
        except Refusal as refusal:
            await self._refuse(refusal)

    async def _authenticate(self, ticket: str) -> None:
        """Let a ticket say whom this socket speaks for."""
        if not self._joined:
            self._cancel_timer()  # it has come in time, however long the look-up takes
        try:
            found = await in_thread(tickets.consume_ticket, ticket)
        except Exception:
            logger.exception("A ticket could not be looked up.")
            raise Refusal(Code.UNAVAILABLE) from None
        if found is None:
            raise Refusal(
                Code.AUTHENTICATION_REQUIRED, "The ticket is unknown, used or more than 60 s old."
            )
        named = self.poll_id in found.polls
        if named:
            self.asker = Asker(found.viewer, found.token_id, found.session_key)
        if not self.sees_results:
            await self._join(last_word=True)
        elif named:
            await self._ask_again()

    # -- sending and ending ------------------------------------------------------------------

    async def _send_text(self, text: str) -> None:
        await self.base_send({"type": "websocket.send", "text": text})

    def _heartbeat(self) -> str:
        return frames.heartbeat(self._seq if self.sees_results else None)

    async def _write(self) -> None:
        try:
            await self._outbox.run()
        except StuckReaderError:
            self._spawn(self._end(Close.TOO_SLOW))
        except (OSError, RuntimeError):
            pass  # the client or the connection has gone; the disconnect event follows

    async def _refuse(self, refusal: Refusal) -> None:
        """Say why, then close."""
        if self._closing:
            return
        self._outbox.reply(frames.error(refusal.code, refusal.detail, self.poll_id))
        await self._end(Close.after(refusal.code))

    def _close_soon(self) -> None:
        """Close some seconds after the final frame; clients do not come back."""
        self._cancel_timer()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(CLOSED_SECONDS, lambda: self._spawn(self._end(Close.NORMAL)))

    async def _end(self, code: int) -> None:
        """Send what must still be sent, and close."""
        if self._closing:
            return
        self._closing = True
        self._cancel_timer()
        self._writer.cancel()
        try:
            if code != Close.TOO_SLOW:
                await self._outbox.drain()
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.base_send({"type": "websocket.close", "code": int(code)})
        except TimeoutError:
            self._abort()  # nobody reads it
        except (OSError, RuntimeError):
            pass  # it was closed from the other side

    def _abort(self) -> None:
        """Drop the connection, where the server lets us (realtime/uvicorn_protocol.py)."""
        extension = self.scope.get("extensions", {}).get(ABORT)
        if extension is not None:
            extension["abort"]()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _spawn(self, work: Any) -> asyncio.Task[None]:  # noqa: ANN401 - any coroutine
        """Run something beside the reading of this socket, until it ends."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _disconnect(self, message: dict[str, Any]) -> None:
        del message
        raise StopConsumer

    def _leave(self) -> None:
        self._closing = True
        self._cancel_timer()
        runtime.sockets -= self._counted
        self._counted = False
        runtime.hub.leave(self.poll_id, self)
        for task in list(self._tasks):
            task.cancel()


class UnknownPath(AsyncConsumer):  # type: ignore[misc] # the same
    """A path that no socket answers on: refused as an unknown poll."""

    channel_layer_alias = None

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Accept, say so and close, for a refusal before accepting carries no code."""
        if message["type"] == "websocket.connect":
            refused = handshake.judge_origin(self.scope) is handshake.Origin.REFUSED
            if not refused:
                error = frames.error(Code.NOT_FOUND)
                await self.base_send({"type": "websocket.accept"})
                await self.base_send({"type": "websocket.send", "text": error})
            code = Close.after(Code.NOT_FOUND)
            await self.base_send({"type": "websocket.close", "code": code})
        raise StopConsumer
