"""HTTP as bytes: a kept-alive connection that sends whatever it is given and reads the answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 30.0  # seconds for an answer; the service promises one within 5
# After which a kept connection is not used again: a server that ends those that say nothing for
# five seconds may do so just as a request comes, which would look like a lost answer.
_IDLE_SECONDS = 3.0
_BODILESS = frozenset({204, 304})
_CONTINUE = 100
_HEAD_END = b"\r\n\r\n"

Header = tuple[bytes, bytes]


class LostError(Exception):
    """The connection ended, or stood still, before an answer was whole."""


class NoHTTPError(Exception):
    """What came is no HTTP; the message is its beginning."""


@dataclass(slots=True)
class Answer:
    """An answer as it came over the wire; names of headers are in lower case."""

    status: int
    headers: list[Header]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """Return the value of the first header of this name."""
        return next((value for found, value in self.headers if found == name), None)

    @property
    def media_type(self) -> str:
        """The Content-Type without its parameters, empty where there is none."""
        return (self.header(b"content-type") or b"").partition(b";")[0].strip().decode("latin-1")


@dataclass(slots=True)
class Request:
    """A request to send; each header is a whole line, name and value apart."""

    method: str
    path: str
    headers: list[Header] = field(default_factory=list)
    body: bytes | None = None
    query: str = ""
    chunks: Sequence[int] = ()  # sizes of the parts in which the body goes, else it goes as a whole

    def header(self, name: bytes) -> list[bytes]:
        """Return the values of every header of this name, without the blanks around them."""
        return [value.strip(b" \t") for found, value in self.headers if found.lower() == name]

    def encoded(self, host: str) -> bytes:
        """Return it as bytes; its own Host stands, where it has one."""
        target = self.path + (f"?{self.query}" if self.query else "")
        lines = [f"{self.method} {target} HTTP/1.1".encode("latin-1")]
        if not self.header(b"host"):
            lines.append(b"Host: " + host.encode())
        lines += [name + b": " + value for name, value in self.headers]
        body = self.body or b""
        if self.chunks:
            lines.append(b"Transfer-Encoding: chunked")
            body = _chunked(body, self.chunks)
        elif self.body is not None:
            lines.append(b"Content-Length: %d" % len(body))
        return b"\r\n".join(lines) + _HEAD_END + body


def _chunked(body: bytes, sizes: Sequence[int]) -> bytes:
    """Return a body in chunks of these sizes, the last of which takes what is left."""
    parts, at = [], 0
    for size in sizes:
        part = body[at : at + size]
        at += len(part)
        if part:
            parts.append(b"%x\r\n%b\r\n" % (len(part), part))
    if at < len(body):
        parts.append(b"%x\r\n%b\r\n" % (len(body) - at, body[at:]))
    return b"".join(parts) + b"0\r\n\r\n"


def split_answer(
    data: bytes, *, method: str = "GET", over: bool = False
) -> tuple[Answer, int] | None:
    """Return the answer at the beginning of what has come and its length; None if it is not whole.

    `over` says that nothing more comes. Interim answers are passed by.
    """
    at = 0
    while True:
        end = data.find(_HEAD_END, at)
        if end < 0:
            return None
        first, *lines = data[at:end].split(b"\r\n")
        version, _, rest = first.partition(b" ")
        if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
            raise NoHTTPError(repr(data[:100]))
        status = int(rest[:3])
        at = end + len(_HEAD_END)
        if status // 100 * 100 != _CONTINUE:
            break
    pairs = [line.partition(b":") for line in lines]
    answer = Answer(status, [(name.lower(), value.strip()) for name, _, value in pairs], b"")
    if status in _BODILESS or method == "HEAD":
        return answer, at
    length = answer.header(b"content-length")
    if length is None:  # then its end is the connection's
        answer.body = data[at:]
        return (answer, len(data)) if over else None
    end = at + int(length)
    if len(data) < end:
        return None
    answer.body = data[at:end]
    return answer, end


class Line(asyncio.Protocol):
    """A connection with one request on its way at most; it is made anew when it has ended."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: Any = None
        self._data = b""
        self._method = "GET"
        self._waiter: asyncio.Future[Answer] | None = None
        self._used_at = 0.0

    async def ask(self, sent: bytes, method: str = "GET", patience: float = PATIENCE) -> Answer:
        """Send bytes and return the first answer.

        Raises `LostError` where none comes, and `NoHTTPError` where something else does.
        """
        loop = asyncio.get_running_loop()
        if loop.time() - self._used_at > _IDLE_SECONDS:
            self.close()
        if self._transport is None or self._transport.is_closing():
            await loop.create_connection(lambda: self, "127.0.0.1", self._port)
        self._data, self._method = b"", method
        self._waiter = loop.create_future()
        self._transport.write(sent)
        try:
            async with asyncio.timeout(patience):
                answer = await self._waiter
        except TimeoutError:
            self.close()
            raise LostError(f"no answer within {patience:g} s") from None
        finally:
            self._waiter, self._used_at = None, loop.time()
        if (answer.header(b"connection") or b"").lower() == b"close":
            self.close()
        return answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect an answer."""
        self._data += data
        self._settle(over=False)

    def _settle(self, *, over: bool) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        try:
            found = split_answer(self._data, method=self._method, over=over)
        except (NoHTTPError, ValueError) as error:
            waiter.set_exception(error)
            return
        if found is not None:
            waiter.set_result(found[0])
        elif over:
            waiter.set_exception(LostError(f"closed after {self._data[:200]!r}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        del exc
        self._transport = None
        self._settle(over=True)

    def close(self) -> None:
        """End the connection; the next request makes another."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    async def end(self) -> None:
        """End the connection for good, and let the loop hear of it."""
        self.close()
        await asyncio.sleep(0)
