"""Uvicorn's HTTP protocol: it takes our answers in one piece, and refuses as the API refuses."""

import functools
import re
import weakref
from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from polls.errors import Code, Refusal
from polls.messages import WireHeaders, problem_answer
from polls_project.sending import WHOLE, headers_of

_DETAIL = "This is no HTTP request: its method, URL, headers or chunks cannot be parsed."


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


class HttpProtocol(HttpToolsProtocol):
    """Gives a body and takes an answer in one piece; there are half as many steps to each."""

    def on_headers_complete(self) -> None:
        """Begin with a request."""
        super().on_headers_complete()
        if self.cycle is not None:
            self.scope["extensions"] = {WHOLE: {"request": Whole(self.cycle)}}

    def send_400_response(self, msg: str) -> None:
        """Say so and close the connection, for where the next request begins is unknown."""
        del msg
        path = self.url.partition(b"?")[0].decode("ascii", errors="replace")
        answer = problem_answer(Refusal(Code.MALFORMED, _DETAIL), path)
        length = b"%d" % len(answer.body)
        last = ((b"content-length", length), (b"connection", b"close"))
        lines = _lines((*headers_of(answer, secure=False), *last))
        self.transport.write(b"".join((STATUS_LINE[400], lines, b"\r\n", answer.body)))
        self.transport.close()
