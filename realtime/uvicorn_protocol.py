"""Uvicorn's WebSocket protocol, which can let go of a client that takes nothing.

ASGI has no word for dropping a connection, and closing one waits until what was written has been
read: a client that never reads would keep its socket and its memory for as long as it likes.
"""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

ABORT = "polls.abort"  # the extension of the scope that holds the way out
CLOSE_SECONDS = 10.0  # for a client to answer a close frame
_NOT_UTF8 = 1007  # RFC 6455


class SocketProtocol(WebSocketsSansIOProtocol):
    """Hands the application a way to abort, and aborts where a close is not answered in time."""

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
        self.scope["extensions"][ABORT] = {"abort": self.transport.abort}
        await super().run_asgi()

    async def send(self, message: Any) -> None:  # noqa: ANN401 - an ASGI message
        """Send one message; the connection does not outlive an unanswered close."""
        await super().send(message)
        if self.close_timer is not None and message["type"] == "websocket.close":
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)
