"""Uvicorn's HTTP protocol: it takes our answers in one piece, and refuses as the API refuses."""

import asyncio
import functools
import re
import weakref
from collections.abc import Iterable

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from polls.errors import Code, Refusal
from polls.messages import WireHeaders, problem_answer
from polls_project.sending import WHOLE, headers_of

_DETAIL = "This is no HTTP request: its method, URL, headers or chunks cannot be parsed."
# Uvicorn sets a head no limits, neither of size nor of time.
MAX_HEAD_BYTES: int = settings.MAX_HEAD_BYTES
MAX_HEADERS: int = settings.MAX_HEADERS
HEAD_SECONDS: float = settings.HEAD_SECONDS
_TOO_LONG = f"The head may have {MAX_HEAD_BYTES} bytes and {MAX_HEADERS} headers."
_TOO_LATE = f"Send the whole head within {HEAD_SECONDS} seconds."
_CLOSE_SECONDS = 10.0  # for a client to take what was sent before its connection is closed


_CONTROLS = re.compile(rb"[\0\r\n]")


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return headers as they stand in an HTTP/1.1 response."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


@functools.lru_cache(256)
def _checked_lines(headers: WireHeaders) -> bytes | None:
    """Return the same, None for what Uvicorn must look after."""
    if any(name in {b"connection", b"transfer-encoding"} for name, _ in headers):
        return None
    if any(_CONTROLS.search(name) or _CONTROLS.search(value) for name, value in headers):
        return None
    return _lines(headers)


class Whole:
    """The extension of one request: its body and its answer, each in one piece.

    It holds the cycle weakly: the cycle holds the scope, and only the collector would free the two.
    """

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = weakref.ref(cycle)

    def body(self) -> bytes | None:
        """Return the body if all of it has come, None where it must be received."""
        cycle = self._cycle()
        return None if cycle is None or cycle.more_body or cycle.disconnected else bytes(cycle.body)

    def send(
        self, status: int, headers: WireHeaders, last: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> bool:
        """Write an answer to the transport; False where Uvicorn must send it, message by message.

        `last` are headers that our own code has made for this very answer. Uvicorn looks at each
        header of each answer by two regular expressions; here those that always come are looked
        at once.
        """
        cycle, lines = self._cycle(), _checked_lines(headers)
        if cycle is not None and cycle.transport.is_closing():
            # What came behind this request has ended the connection: nobody takes the answer.
            cycle.response_started = cycle.response_complete = True
            cycle.message_event.set()
            return True
        if (
            cycle is None
            or lines is None
            or not cycle.keep_alive
            or cycle.disconnected
            or cycle.flow.write_paused
            or cycle.scope["method"] == "HEAD"
        ):
            return False
        default = _lines(cycle.default_headers)
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.transport.write(
            b"".join((STATUS_LINE[status], default, lines, _lines(last), b"\r\n", body))
        )
        cycle.message_event.set()
        cycle.on_response()
        return True


class _HeadTooLongError(Exception):
    """A head has more than anybody needs."""


class HttpProtocol(HttpToolsProtocol):
    """Gives a body and takes an answer in one piece; there are half as many steps to each.

    And it bounds what comes before the gate: how long a head may be, and how long it may take.
    """

    _chunk = 0  # bytes that are being read
    _head = 0  # bytes of a head that has begun and is not whole
    _in_head = False
    _late: asyncio.TimerHandle | None = None
    _detail = _DETAIL  # of a refusal

    # -- heads --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as Uvicorn has it
        """Wait for the first head; whoever connects and says nothing is not waited for longer."""
        super().connection_made(transport)
        self._late = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._head_has_come()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what the client sends; a head that does not come at once is measured and timed."""
        self._chunk = len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head:
            self._head += len(data)
            if self._head > MAX_HEAD_BYTES:
                self._detail = _TOO_LONG
                self.send_400_response("")
                return
        elif self.cycle is None or not self.cycle.response_complete or self.pipeline:
            return
        # There was an answer, and no whole head has come since: an empty line, say, or more of a
        # body that nobody reads. Uvicorn would take that for a request, and wait for ever.
        if self._late is None and self.transport.get_protocol() is self:  # and no WebSocket now
            self._late = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def on_message_begin(self) -> None:
        """Begin with a head."""
        self._in_head, self._head = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin with a request."""
        self._in_head = False
        self._head_has_come()
        if len(self.headers) > MAX_HEADERS or (
            self._chunk + self._head > MAX_HEAD_BYTES and self._size_of_head() > MAX_HEAD_BYTES
        ):
            self._detail = _TOO_LONG
            raise _HeadTooLongError  # httptools makes it a fault of parsing
        super().on_headers_complete()
        if self.cycle is not None:
            self.scope["extensions"] = {WHOLE: {"request": Whole(self.cycle)}}

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _head_has_come(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _head_is_late(self) -> None:
        """Close; whoever has begun is told why."""
        self._late = None
        if self._in_head:
            refusal = Refusal(Code.REQUEST_TIMEOUT, _TOO_LATE)
            self._refuse(refusal)
        else:
            self.transport.close()

    # -- ends ---------------------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        """Say so and close the connection, for where the next request begins is unknown."""
        del msg
        self._refuse(Refusal(Code.MALFORMED, self._detail))

    def _refuse(self, refusal: Refusal) -> None:
        """Answer in the place of the application, and close.

        A request before it that still waits has its own answer first, and alone: this one would be
        taken for it, and a vote that is counted must not be told to be malformed.
        """
        self._in_head = False
        self._head_has_come()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            cycle.keep_alive = False
            return
        if self.pipeline:
            self.transport.close()
            return
        path = self.url.partition(b"?")[0].decode("ascii", errors="replace")
        answer = problem_answer(refusal, path[:MAX_HEAD_BYTES])
        length = b"%d" % len(answer.body)
        last = ((b"content-length", length), (b"connection", b"close"))
        lines = _lines((*headers_of(answer, secure=False), *last))
        self.transport.write(b"".join((STATUS_LINE[answer.status], lines, b"\r\n", answer.body)))
        self.transport.close()
        self.loop.call_later(_CLOSE_SECONDS, self.transport.abort)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, though its client takes nothing of what it was sent."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(_CLOSE_SECONDS, self.transport.abort)
