"""Uvicorn's WebSocket protocol, which lets an application write ready-made frames.

ASGI's `send` encodes each message anew for each socket and takes a task to be awaited in, which is
most of what a frame costs that goes to thousands. And ASGI has no word for dropping a connection:
closing one waits until what was written has been read, so that a client that never reads would keep
its socket and its memory for as long as it likes.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any, Protocol, TypedDict

from django.conf import settings
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Response
from websockets.protocol import CLOSED, CLOSING, OPEN
from websockets.server import ServerProtocol

from polls.messages import standard_headers

FRAMES = "polls.frames"  # the extension of the scope
CLOSE_SECONDS = 10.0  # for a client to answer a close frame, and to take what was sent before it
_STOP_SECONDS = 1.0  # the latter, when the server ends
# Pings, pongs and parts of messages, which no message limit counts: ten times what messages may be.
MAX_CONTROL = 10 * settings.MAX_SOCKET_MESSAGES
_CONTROL_SECONDS = 10.0
# What the system may hold for one client, doubled by Linux: some frames of the largest poll. With
# less, a reader that takes nothing is soon known, and what a slow one gets is not minutes old.
SEND_BUFFER_BYTES = 32 * 1024
_NOT_UTF8, _POLICY = 1007, 1008  # RFC 6455
_ENDED = {CLOSING, CLOSED}
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time at all


class Follower(Protocol):
    """Is told what becomes of a client's side."""

    def paced(self, *, full: bool) -> None:
        """Take it that nothing more can be taken, or that all has been."""

    def ended(self) -> None:
        """Take it that nothing must be written any more, whoever ended it."""


class FramesExtension(TypedDict):
    """What the scope of a WebSocket offers under FRAMES."""

    write: Callable[[bytes], None]  # a whole frame of RFC 6455, while it has not ended
    follow: Callable[[Follower], None]  # have somebody told from now on
    abort: Callable[[], None]  # drop the connection


class _Handshake(ServerProtocol):
    """A connection that is refused with the headers which every answer carries.

    But for HSTS: whether a proxy came by HTTPS is known only after it.
    """

    def reject(self, status: Any, text: str) -> Response:  # noqa: ANN401 - a status of any kind
        """Return the answer of HTTP to a handshake that is not taken."""
        response = super().reject(status, text)
        for name, value in standard_headers(html=False, secure=False):
            response.headers[name.decode()] = value.decode()
        return response


class SocketProtocol(WebSocketsSansIOProtocol):
    """Hands out the transport, and lets no client keep a connection or memory that it is not owed.

    Uvicorn leaves a connection to itself once it has closed it, though a client that never reads
    keeps it for ever; it answers pings while nothing is read, and keeps parts of messages without
    end.
    """

    _follower: Follower | None = None
    _last_moment: asyncio.TimerHandle | None = None  # after a close
    _control = 0  # frames within the window that began then
    _control_since = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Uvicorn's signature
        super().__init__(*args, **kwargs)
        self.conn.__class__ = _Handshake  # Uvicorn makes its own and has no way to name another

    # -- what clients send -------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take what the client sends: it may be a close, or be answered by one."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self._refuse_handshake()
        self._look()

    def _refuse_handshake(self) -> None:
        """Answer a handshake that cannot be read, which Uvicorn leaves without an answer."""
        self.handshake_initiated = self.handshake_complete = self.close_sent = True
        response = self.conn.reject(400, "This is no handshake: a header is too long, or odd.")
        self.transport.write(response.serialize())
        self.transport.close()

    def handle_ping(self) -> None:
        """Answer a ping, of which there may be so many."""
        if not self._is_flood():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Take a pong; there may be as many."""
        if not self._is_flood():
            super().handle_pong(event)

    def handle_cont(self, event: Frame) -> None:
        """Take a part of a message, which may have nothing in it."""
        if not self._is_flood():
            super().handle_cont(event)

    def _is_flood(self) -> bool:
        """Count a frame that is no message; too many end the connection."""
        if self.conn.state in _ENDED:
            return True
        now = self.loop.time()
        if now - self._control_since > _CONTROL_SECONDS:
            self._control, self._control_since = 0, now
        self._control += 1
        if self._control <= MAX_CONTROL:
            return False
        self.conn.fail(_POLICY, "too many frames")
        self.handle_parser_exception()
        return True

    def send_receive_event_to_app(self) -> None:
        """Refuse a text that is not UTF-8, which Uvicorn does with a traceback in the log."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(_NOT_UTF8)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    async def receive(self) -> Any:  # noqa: ANN401 - an ASGI message
        """Return the next message; while the client reads nothing, nothing of it is read."""
        message = await super().receive()
        if not self.writable.is_set():
            self.transport.pause_reading()
        return message

    # -- what is sent ------------------------------------------------------------------------

    async def run_asgi(self) -> None:
        """Serve one socket."""
        offered: FramesExtension = {
            # Uvicorn knows nothing of these frames, and has no need to: it sends none in parts, and
            # without compression a connection remembers nothing of what went over it.
            "write": self.transport.write,
            "follow": self._follow,
            "abort": self._abort,
        }
        extensions: dict[Any, Any] = self.scope["extensions"]
        extensions[FRAMES] = offered
        await super().run_asgi()

    def _follow(self, follower: Follower) -> None:
        # Whatever the system did not take at once is one frame, and the next one waits for it.
        self.transport.set_write_buffer_limits(high=0)
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._follower = follower
        self._look()

    def _look(self) -> None:
        """See to the end, once a close has been sent or received."""
        if not self.disconnected and self.conn.state not in _ENDED:
            return
        if self._follower is not None:
            self._follower.ended()
            self._follower = None
        if not self.disconnected and self._last_moment is None:
            self._last_moment = self.loop.call_later(CLOSE_SECONDS, self._abort)

    def keepalive_timeout(self) -> None:
        """Close where the client answers no ping, though it takes what it is sent."""
        if not self.writable.is_set():
            # Its pong would not be read, and whether it takes anything is the outbox's to say.
            self.pong_timer = self.loop.call_later(CLOSE_SECONDS, self.keepalive_timeout)
            return
        super().keepalive_timeout()
        self._look()

    def shutdown(self) -> None:
        """Close because the server ends; whoever does not take that is not waited for."""
        if self.handshake_complete and self.conn.state is not OPEN:
            self.stop_keepalive()
            self.transport.close()
        else:
            super().shutdown()
        self._look()
        self.loop.call_later(_STOP_SECONDS, self._abort)

    def _abort(self) -> None:
        # By a reset: else the system keeps what the client does not take, as long as it answers.
        if self.disconnected:
            return
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def pause_writing(self) -> None:
        """Take it from the transport that the client's side is full."""
        super().pause_writing()
        self.transport.pause_reading()
        if self._follower is not None:
            self._follower.paced(full=True)

    def resume_writing(self) -> None:
        """Take it from the transport that all has been taken."""
        super().resume_writing()
        if not self.read_paused:
            self.transport.resume_reading()
        if self._follower is not None:
            self._follower.paced(full=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep nobody waiting."""
        super().connection_lost(exc)
        if self._last_moment is not None:
            self._last_moment.cancel()
        self._look()

    async def send(self, message: Any) -> None:  # noqa: ANN401 - an ASGI message
        """Send one message; the connection does not outlive an unanswered close."""
        await super().send(message)
        self._look()
