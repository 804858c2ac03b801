"""Requests whose very bytes are broken: the server answers or hangs up, and lives on."""

import asyncio
import random
import socket
import struct
from collections.abc import Callable, Sequence

from fuzz.junk import mutated
from fuzz.overload import UNAVAILABLE
from fuzz.report import Report, dice
from fuzz.wire import Line, LostError, NoHTTPError, split_answer

LANES = 256
_STRETCH = 200  # requests of one draw
_LOOK_SECONDS = 0.3  # for the beginning of an answer: without one the request is taken as not whole
_END_SECONDS = 12.0  # then for the server to end it: it gives a body ten seconds
_LINGER = struct.pack("ii", 1, 0)  # reset at the end: no port waits for a minute
_FIRST_FAULT = 500
_NO_FORMAT = 501  # oEmbed's own answer to a format that is not offered

_BODY = b'{"choices":["01900000-0000-7000-8000-000000000000"]}'
_POLL = b"/api/v1/polls/01900000-0000-7000-8000-000000000000"
_TARGETS = (
    *(b"/", b"/api/v1/limits/", b"/api/v1/polls/", _POLL + b"/", _POLL + b"/results/", b"/livez"),
    *(b"/api/v1/join/ABCDEF/", b"/p/ABCDEF", b"/swagger.json", b"/docs/errors", b"/readyz"),
    *(b"/oembed?url=http://x/p/ABCDEF", b"/desk", b"/accounts/login", b"/admin/", b"/ws/", b"/fr/"),
    *(b"/static/x", b"/embed/ABCDEF", b"/favicon.ico", b"/asyncapi.json", b"/p/ABCDEF/qr.svg"),
)
_STRANGE_TARGETS = (
    *(
        b"*",
        b"http://127.0.0.1/livez",
        b"//",
        b"/%",
        b"/%00",
        b"/\xff",
        b"/%ff%fe",
        b"/" + b"a" * 9000,
    ),
    *(
        b"/../../etc/passwd",
        b"/.%2e/x",
        b"/?" + b"&" * 5000,
        b"/?a[b]=%0d%0a",
        b"127.0.0.1:80",
        b"/#x",
    ),
    *(
        b"/%F0%9F%97%B3",
        b"/api//v1/polls/",
        b"/api/v1/polls",
        b"/p/%2F%2F",
        b"/;",
        b"",
        b"/ HTTP/1.1 x",
    ),
)
_METHODS = (
    *(b"GET", b"GET", b"POST", b"POST", b"HEAD", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE"),
    *(b"CONNECT", b"PRI", b"get", b"G\xc3\x89T", b"X" * 300, b"", b"PROPFIND", b"M-SEARCH"),
)
_LINES = (
    *(b"Content-Type: application/json", b"Accept: text/html", b"Connection: close"),
    *(b"Connection: Upgrade\r\nUpgrade: websocket", b"Connection: Upgrade\r\nUpgrade: h2c"),
    *(b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13", b"Expect: x"),
    *(b"Sec-WebSocket-Key: x", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", b"Host: x"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Transfer-Encoding: x, chunked"),
    *(b"Transfer-Encoding : chunked", b"Content-Length: 0", b"Content-Length: -1", b"Host:"),
    *(b"Content-Length: 5\r\nContent-Length: 6", b"Content-Length: +3", b"Content-Length: 0x3"),
    *(b"Content-Length: 99999999999999999999", b"Content-Length: 3", b"Content-Length: 1e3"),
    *(
        b"Content-Length: 70000000",
        b"Cookie: " + b"a=b; " * 300,
        b": x",
        b"\x00: x",
        b"X",
        b" folded",
    ),
    *(b"X: \x00", b"X: a\rb", b"X: a\nb", b"X-Voter-Token: \xff", b"Authorization: Bearer \xff"),
    *(b"X: " + b"y" * 70_000, b"Cookie: sessionid=\xff; csrftoken=x", b"Range: bytes=0-", b"TE: x"),
    *(b"Accept-Encoding: gzip;q=x", b"Origin: http://[", b"Referer: http://[::1", b"Date: x"),
    *(
        b"X-Forwarded-For: 1.2.3.4",
        b"Forwarded: for=x",
        b"If-None-Match: \xff",
        b"Sec-Fetch-Site: \xff",
    ),
    *(
        b"If-Modified-Since: x",
        b"Accept-Language: " + b"x-" * 200,
        b"Content-Type: \xff",
        b"Max-Forwards: 0",
    ),
)
_CHUNKS = (
    *(b"0\r\n\r\n", b"5\r\nabcde\r\n0\r\n\r\n", b"x\r\n", b"ffffffffffffffffff\r\n", b"-1\r\n\r\n"),
    *(
        b"2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n",
        b"2\r\n{}0\r\n\r\n",
        b"00000002\r\n{}\r\n0\r\n\r\n",
        b"2\n{}\n0\n\n",
    ),
)


def draw_request(draw: random.Random) -> bytes:
    """Return the bytes of a request that is broken in one or several ways."""
    odd = draw.random() < 0.2
    method = draw.choice(_METHODS)
    target = draw.choice(_STRANGE_TARGETS if odd else _TARGETS)
    if draw.random() < 0.2:
        target, method = _POLL + b"/votes/", b"POST"
    version = b"HTTP/1.1" if draw.random() < 0.95 else draw.choice(_VERSIONS)
    lines = [b"%b %b %b" % (method, target, version)]
    if draw.random() < 0.95:
        lines.append(b"Host: 127.0.0.1")
    lines += draw.choices(_LINES, k=draw.randrange(4))
    body = draw.choice((b"", b"", _BODY, b"{}", *_CHUNKS))
    if body and draw.random() < 0.7:
        lines.append(b"Content-Length: %d" % len(body))
    end = b"\r\n" if draw.random() < 0.97 else draw.choice((b"\n", b"\r", b"\r\r\n"))
    data = end.join(lines) + end + end + body
    return draw.choices(_CHANGES, (50, 35, 5, 5, 5))[0](draw, data)


_VERSIONS = (
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"HTTP/9.9",
    b"HTTP/1.",
    b"http/1.1",
    b"",
    b"ICY",
    b"HTTP/1.1 ",
)


def _as_it_is(draw: random.Random, data: bytes) -> bytes:
    del draw
    return data


def _changed(draw: random.Random, data: bytes) -> bytes:
    return mutated(draw, data, most=4)


def _cut(draw: random.Random, data: bytes) -> bytes:
    return data[: draw.randrange(1, len(data) + 1)]


def _noise(draw: random.Random, data: bytes) -> bytes:
    del data
    begins = (b"", b"\x16\x03\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET ", b"\r\n\r\n")
    return draw.choice(begins) + draw.randbytes(draw.randrange(1, 200)) + b"\r\n\r\n"


def _twice(draw: random.Random, data: bytes) -> bytes:
    return data + _changed(draw, data)


_CHANGES: Sequence[Callable[[random.Random, bytes], bytes]] = (
    *(_as_it_is, _changed, _cut, _noise, _twice),
)


async def send(port: int, data: bytes) -> tuple[str, list[int]]:
    """Send bytes on a connection of their own; return how it went, and the statuses of answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
    received = b""
    try:
        writer.write(data)
        over = False
        try:
            async with asyncio.timeout(_LOOK_SECONDS) as patience:
                while not over and not _is_whole(received, data):
                    part = await reader.read(65_536)
                    received, over = received + part, not part
                    patience.reschedule(asyncio.get_running_loop().time() + _LOOK_SECONDS)
        except TimeoutError:
            # It waits for the rest of a request: told that none comes, it must let go.
            writer.write_eof()
            async with asyncio.timeout(_END_SECONDS):
                received += await reader.read()
            over = True
    except TimeoutError:
        raise
    except OSError:  # reset, or no longer connected when it is told that no more comes
        over = True
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)
    found = statuses(received, data, over=over)
    return (str(found[0]) if found else "closed without an answer"), found


def _is_whole(received: bytes, data: bytes) -> bool:
    return bool(received) and split_answer(received, method=_method(data)) is not None


def _method(data: bytes) -> str:
    return "HEAD" if data.lstrip(b"\r\n").startswith(b"HEAD ") else "GET"


def statuses(received: bytes, data: bytes, *, over: bool) -> list[int]:
    """Return the statuses of all answers that have come whole; after HEAD one alone is read."""
    found, method = [], _method(data)
    if received.startswith(b"HTTP/1.1 101 "):
        return [101]
    while received:
        answer = split_answer(received, method=method, over=over)
        if answer is None:
            break
        found.append(answer[0].status)
        received = received[answer[1] :] if method != "HEAD" else b""
    return found


async def attack(port: int, data: bytes, report: Report) -> None:
    """Send one request and hold what becomes of it."""
    try:
        what, found = await send(port, data)
    except (OSError, TimeoutError, NoHTTPError, ValueError) as error:
        report.find("neither answered nor let go", f"{data[:900]!r}: {error!r}")
        return
    report.answered(what)
    for status in found:
        if status == UNAVAILABLE:
            report.overloaded(str(status))
            continue
        if status >= _FIRST_FAULT and not (status == _NO_FORMAT and b"/oembed" in data):
            report.find(f"the server's own fault: {status}", repr(data[:900]))


async def lives(port: int, report: Report) -> None:
    """Hold that the server still answers."""
    line = Line(port)
    try:
        answer = await line.ask(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        if answer.status != 200:
            report.find("the server does not live", str(answer.status))
    except (OSError, LostError) as error:
        report.find("the server does not live", repr(error))
    finally:
        await line.end()


async def run(port: int, *, seed: object, inputs: int) -> Report:
    """Send so many requests."""
    report = Report("bytes")
    stretches = iter(range(max(1, round(inputs / _STRETCH))))

    async def lane() -> None:
        for number in stretches:
            draw = dice(f"{seed} bytes {number}")
            for _ in range(min(_STRETCH, inputs)):
                await attack(port, draw_request(draw), report)
            await lives(port, report)

    async with asyncio.TaskGroup() as group:
        for _ in range(LANES):
            group.create_task(lane())
    return report.end()
