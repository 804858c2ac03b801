"""Uvicorn's WebSocket protocol, which lets an application write ready-made frames.

ASGI's `send` encodes each message anew for each socket and takes a task to be awaited in, which is
most of what a frame costs that goes to thousands. And ASGI has no word for dropping a connection:
closing one waits until what was written has been read, so that a client that never reads would keep
its socket and its memory for as long as it likes.
"""

import socket
import struct
from collections.abc import Callable
from typing import Any, Protocol, TypedDict

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import OPEN

FRAMES = "polls.frames"  # the extension of the scope
CLOSE_SECONDS = 10.0  # for a client to answer a close frame
# What the system may hold for one client, doubled by Linux: some frames of the largest poll. With
# less, a reader that takes nothing is soon known, and what a slow one gets is not minutes old.
SEND_BUFFER_BYTES = 32 * 1024
_NOT_UTF8 = 1007  # RFC 6455
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


class SocketProtocol(WebSocketsSansIOProtocol):
    """Hands out the transport, and aborts where a close is not answered in time."""

    _follower: Follower | None = None

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
        """Tell whoever writes frames to stop, once a close has been sent or received."""
        if self._follower is not None and (self.disconnected or self.conn.state is not OPEN):
            self._follower.ended()
            self._follower = None

    def data_received(self, data: bytes) -> None:
        """Take what the client sends: it may be a close, or be answered by one."""
        super().data_received(data)
        self._look()

    def keepalive_timeout(self) -> None:
        """Close where the client answers no ping."""
        super().keepalive_timeout()
        self._look()

    def shutdown(self) -> None:
        """Close because the server ends."""
        super().shutdown()
        self._look()

    def _abort(self) -> None:
        # By a reset: else the system keeps what the client does not take, as long as it answers.
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def pause_writing(self) -> None:
        """Take it from the transport that the client's side is full."""
        super().pause_writing()
        if self._follower is not None:
            self._follower.paced(full=True)

    def resume_writing(self) -> None:
        """Take it from the transport that all has been taken."""
        super().resume_writing()
        if self._follower is not None:
            self._follower.paced(full=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep nobody waiting."""
        super().connection_lost(exc)
        self._look()

    async def send(self, message: Any) -> None:  # noqa: ANN401 - an ASGI message
        """Send one message; the connection does not outlive an unanswered close."""
        await super().send(message)
        self._look()
        if self.close_timer is not None and message["type"] == "websocket.close":
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(CLOSE_SECONDS, self._abort)
