"""Answers that our own protocol writes in one piece read as those that Uvicorn writes in two."""

import gc
import json
import socket
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from tests.live import Server
from tests.polls.two_doors import two_doors
from tests.polls.wire import Answer, connect, receive

OF_THE_MOMENT = {"Date", "X-Request-Id", "Connection"}


def _request(target: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    lines = [f"{method} {target} HTTP/{version}", "Host: 127.0.0.1", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _ask(server: Server, sent: bytes, method: str = "GET") -> Answer:
    with connect(server) as wire:
        wire.sendall(sent)
        return receive(wire, method)


def _lasting(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    headers = {name.title(): value for name, value in answer.headers.items()}
    for name in OF_THE_MOMENT:
        headers.pop(name, None)
    return answer.status, headers, answer.body


@pytest.fixture(scope="module")
def poll(live: Server) -> dict[str, Any]:
    return live.sign_up().make_poll()


PATHS = {
    "results": "{self}results/",
    "poll": "{self}",
    "problem": "/api/v1/nothing/",
    "health": "/livez",
    "html": "/docs/errors",
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())
def test_answer_is_the_same_in_one_piece_and_in_two(
    live: Server, poll: dict[str, Any], path: str
) -> None:
    """Uvicorn writes itself where the connection does not stay: by HTTP/1.0, or asked to close."""
    target = path.format(**poll["links"])
    whole = _ask(live, _request(target))
    assert _lasting(whole) == _lasting(_ask(live, _request(target, "Connection: close")))
    old = _ask(live, _request(target, version="1.0"))
    assert _lasting(whole) == _lasting(old)


def test_connection_that_is_to_close_closes(live: Server) -> None:
    with connect(live) as wire:
        wire.sendall(_request("/livez", "Connection: close"))
        answer = receive(wire)
        assert answer.headers["Connection"] == "close"
        assert wire.recv(1) == b""


def _answers(wire: socket.socket, count: int) -> list[Any]:
    """Read so many answers with a body of JSON off one connection."""
    found: list[Any] = []
    held = b""
    while len(found) < count:
        head, _, rest = held.partition(b"\r\n\r\n")
        length = next(
            (
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            ),
            None,
        )
        if length is None or len(rest) < length:
            more = wire.recv(65536)
            assert more
            held += more
            continue
        found.append(json.loads(rest[:length]))
        held = rest[length:]
    assert held == b""
    return found


def test_requests_that_come_in_one_packet_are_answered_in_their_order(
    live: Server, poll: dict[str, Any]
) -> None:
    results = poll["links"]["results"]
    with connect(live) as wire:
        wire.sendall(
            _request(results)
            + _request("/livez")
            + _request("/api/v1/nothing/")
            + _request(results)
        )
        first, health, problem, last = _answers(wire, 4)
    assert first == last
    assert (first["title"], health, problem["code"]) == (
        poll["title"],
        {"status": "ok"},
        "not_found",
    )


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())
def test_head_tells_the_length_and_sends_nothing(
    live: Server, poll: dict[str, Any], path: str
) -> None:
    target = path.format(**poll["links"])
    full = _ask(live, _request(target))
    head = _ask(live, _request(target, method="HEAD"), "HEAD")
    assert _lasting(head) == (full.status, _lasting(full)[1], b"")


def test_answer_without_a_body_has_no_length(live: Server, poll: dict[str, Any]) -> None:
    results = poll["links"]["results"]
    etag = _ask(live, _request(results)).headers["ETag"]
    with connect(live) as wire:
        wire.sendall(_request(results, f"If-None-Match: {etag}") + _request("/livez"))
        known = receive(wire)
        assert (known.status, known.body) == (304, b"")
        assert known.headers["Content-Length"] is None
        assert known.headers["ETag"] == etag


# -- what is left of a request ----------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_request_that_was_answered_waits_for_no_collector() -> None:
    """Thousands a second would fill the caches between two of its rounds."""
    gc.collect()
    gc.disable()
    try:
        with two_doors() as doors:
            for _ in range(50):
                assert doors.open.ask(_request("/api/v1/nothing/")).status == 404
        left = [found for found in gc.get_objects() if isinstance(found, RequestResponseCycle)]
    finally:
        gc.enable()
    assert len(left) < 10
