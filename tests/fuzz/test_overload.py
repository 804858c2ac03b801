"""Answers of an overloaded service: asked for again, counted, and seldom."""

import asyncio
import contextlib
from collections.abc import Sequence

from fuzz.overload import UNKNOWN, ask, is_overload
from fuzz.problems import PROBLEM, faults_of
from fuzz.report import Report
from fuzz.wire import Answer, Line

Said = tuple[int, str, str]  # status, code, Retry-After
BUSY, UNSURE = (503, "unavailable", "0"), (503, UNKNOWN, "0")
DONE, FAULT = (201, "", ""), (503, "unavailable", "")


def _written(said: Said) -> bytes:
    status, code, retry_after = said
    body = f'{{"code":"{code}"}}'.encode()
    lines = [f"HTTP/1.1 {status} x", f"Content-Type: {PROBLEM}", f"Content-Length: {len(body)}"]
    lines += [f"Retry-After: {retry_after}"] if retry_after else []
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _asked(answers: Sequence[Said], report: Report, *, is_vote: bool = False) -> Answer:
    """Ask a server that answers so, one after another."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            for said in answers:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(_written(said))
            await reader.read()
        with contextlib.suppress(OSError):
            writer.close()
            await writer.wait_closed()
        over.set()

    async def run() -> Answer:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            line = Line(server.sockets[0].getsockname()[1])
            answer = await ask(line, b"GET / HTTP/1.1\r\n\r\n", "GET", report, is_vote=is_vote)
            await line.end()
            await over.wait()
            return answer

    return asyncio.run(run())


def test_request_is_sent_again_while_the_service_is_overloaded() -> None:
    report = Report("x")
    assert _asked([BUSY, UNSURE, DONE], report).status == 201
    assert report.overloads == {"503 unavailable": 1, f"503 {UNKNOWN}": 1}


def test_vote_of_unknown_outcome_is_not_sent_again() -> None:
    report = Report("x")
    answer = _asked([BUSY, UNSURE, DONE], report, is_vote=True)
    assert answer.status == 503
    assert report.overloads.total() == 2


def test_service_that_does_not_come_to_itself_is_a_fault() -> None:
    report = Report("x")
    answer = _asked([BUSY] * 7, report)
    assert is_overload(answer)
    assert faults_of(answer, "/")[0] == "the server's own fault: 503 unavailable"


def test_503_that_names_no_time_is_no_overload() -> None:
    report = Report("x")
    assert _asked([FAULT, DONE], report).status == 503
    assert not report.overloads


def test_overload_is_found_where_it_is_more_than_seldom() -> None:
    often, seldom, few = Report("x", 2999), Report("x", 3000), Report("x", 10)
    for report, times in ((often, 3), (seldom, 3), (few, 2)):
        for _ in range(times):
            report.overloaded("503 unavailable")
    assert list(often.end().found) == ["overloaded more than seldom"]
    assert seldom.end().found == few.end().found == {}
    assert "overloaded: 3 x 503 unavailable" in seldom.summary
