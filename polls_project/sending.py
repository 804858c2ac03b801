"""How answers leave: with the headers that all of them carry."""

import functools
import random
from typing import Any

from polls import compact_json
from polls.messages import Answer, WireHeaders, standard_headers, wire_headers

Scope = Any
Send = Any

# The ASGI extension by which polls_project/uvicorn_http.py gives a body and takes an answer in one
# piece.
WHOLE = "polls.whole"
_BODILESS = frozenset({204, 304})
_random = random.Random()  # noqa: S311 - see new_request_id


def new_request_id() -> str:
    """Return what a log knows a request by: 16 hex digits, which are no secret."""
    return f"{_random.getrandbits(64):016x}"


@functools.lru_cache(256)
def _complete(headers: WireHeaders, bodiless: bool, secure: bool) -> tuple[WireHeaders, bool]:  # noqa: FBT001 - a cache's key, and by name it costs twice as much
    """Return an answer's headers with the standard ones, and whether its length must be added."""
    own = dict(headers)
    html = own.get(b"content-type", b"").startswith(b"text/html")
    standard = standard_headers(html=html, secure=secure)
    # A policy of its own says who may frame the answer; the older header would say it twice.
    framed = b"frame-ancestors" in own.get(b"content-security-policy", b"")
    found = [
        *headers,
        *(
            header
            for header in standard
            if header[0] not in own and not (framed and header[0] == b"x-frame-options")
        ),
    ]
    if bodiless:  # to which Django gives a length of nought
        found = [header for header in found if header[0] != b"content-length"]
    return tuple(found), not bodiless and all(name != b"content-length" for name, _ in found)


def headers_of(answer: Answer, *, secure: bool) -> WireHeaders:
    """Return all headers of an answer, but for its length and its request's id."""
    return _complete(answer.headers, answer.status in _BODILESS, secure)[0]


async def send_answer(scope: Scope, send: Send, answer: Answer, request_id: str = "") -> None:
    """Send an answer with its standard headers."""
    headers, measured = _complete(
        answer.headers, answer.status in _BODILESS, scope["scheme"] == "https"
    )
    last = [(b"x-request-id", (request_id or new_request_id()).encode())]
    if measured:
        last.append((b"content-length", b"%d" % len(answer.body)))
    whole = scope.get("extensions", {}).get(WHOLE)
    if whole is not None and whole["request"].send(answer.status, headers, last, answer.body):
        return
    await send(
        {"type": "http.response.start", "status": answer.status, "headers": [*headers, *last]}
    )
    await send({"type": "http.response.body", "body": answer.body})


def json_answer(status: int, body: object) -> Answer:
    """Return an answer of JSON that no cache may keep."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Answer(status, wire_headers(headers), compact_json.dumps(body).encode())
