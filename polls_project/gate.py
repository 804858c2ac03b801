"""The gate: what every HTTP request passes before Django, and every answer after it.

It reads the whole body within its limits, refuses what two readers could understand in two ways,
bounds how many requests wait for Django's threads, and gives each its deadline and its id. A slow
client therefore never holds a thread.
"""

import asyncio
import json
import logging
import secrets
from typing import Any

from a2wsgi import WSGIMiddleware
from django.conf import settings

from polls.domain import deadline
from polls.errors import Code, Refusal

logger = logging.getLogger(__name__)

Scope = Any
Receive = Any
Send = Any

# Headers that are read once; a second one could be read instead of the first.
_ONCE = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"cookie",
        b"host",
        b"idempotency-key",
        b"origin",
        b"x-voter-token",
    }
)
_GRACE = 0.3  # seconds after the deadline in which a thread may still answer by itself
# Read and thrown away beyond the limit: a proxy that is still sending would otherwise meet a closed
# connection and tell its client 502.
_DRAINED = 1024 * 1024
API_POLICY = b"default-src 'none'; frame-ancestors 'none'"
_PAGE_POLICY = (
    b"default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    b"form-action 'self'; frame-ancestors 'none'"
)
ANSWER_HEADERS = ((b"referrer-policy", b"same-origin"), (b"x-content-type-options", b"nosniff"))
_BODILESS = frozenset({204, 304})


class ClientGoneError(Exception):
    """The client closed the connection before its request was whole."""


class Gate:
    """ASGI in front of a WSGI application that runs in a few threads."""

    def __init__(self, wsgi: Any) -> None:  # noqa: ANN401 - a WSGI application
        self._wsgi = wsgi
        # No bound on the queue of answers: a thread must never wait for a client.
        self._django: Any = WSGIMiddleware(
            self._in_time, workers=settings.DJANGO_THREADS, send_queue_size=0
        )
        self._taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        request_id = secrets.token_hex(8)
        send = _with_headers(send, request_id)
        try:
            _refuse_odd_request(scope)
            body = await _read_body(scope, receive)
            await self._pass_in_turn(scope, body, request_id, send)
        except ClientGoneError:
            return
        except Refusal as refusal:
            await send_refusal(send, scope["path"], refusal)

    async def _pass_in_turn(self, scope: Scope, body: bytes, request_id: str, send: Send) -> None:
        """Take the request on where there is room. Who is still sending a body takes none."""
        if self._taken >= settings.DJANGO_THREADS + settings.DJANGO_QUEUE:
            raise Refusal(Code.OVERLOADED)
        self._taken += 1
        try:
            await self._pass(scope, body, request_id, send)
        finally:
            self._taken -= 1

    async def _pass(self, scope: Scope, body: bytes, request_id: str, send: Send) -> None:
        """Let Django answer, and send what it says once its thread is free again."""
        dropped = {b"content-length", b"transfer-encoding", b"x-request-id"}
        headers = [header for header in scope["headers"] if header[0] not in dropped]
        headers.append((b"x-request-id", request_id.encode()))
        if body:
            headers.append((b"content-length", str(len(body)).encode()))
        state: dict[str, Any] = {"deadline": deadline.now_plus(), "started": False}
        inner = {**scope, "headers": headers, "polls": state}
        answer: list[Any] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def collect(message: Any) -> None:  # noqa: ANN401 - an ASGI message
            answer.append(message)

        try:
            async with asyncio.timeout(deadline.REQUEST_SECONDS + _GRACE):
                await self._django(inner, receive, collect)
        except TimeoutError:
            raise Refusal(_code_of_timeout(scope, started=state["started"])) from None
        except Exception:
            logger.exception("Request %s failed outside Django: %s", request_id, scope["path"])
            detail = f"The log knows it as {request_id}."
            raise Refusal(Code.INTERNAL_ERROR, detail) from None
        start = answer[0]
        content = b"".join(message.get("body", b"") for message in answer[1:])
        await send(start)
        await send({"type": "http.response.body", "body": content})

    def _in_time(self, environ: Any, start_response: Any) -> Any:  # noqa: ANN401 - WSGI
        """Run Django in this thread until the request's deadline."""
        state = environ["asgi.scope"]["polls"]
        state["started"] = True
        with deadline.until(state["deadline"]):
            response = self._wsgi(environ, start_response)
            try:
                return [b"".join(response)]
            finally:
                response.close()  # Django looks after its connection here


def _code_of_timeout(scope: Scope, *, started: bool) -> Code:
    """Return what can be said of a request that got no answer in time."""
    if not started:
        return Code.OVERLOADED
    return Code.UNAVAILABLE if scope["method"] in {"GET", "HEAD"} else Code.OUTCOME_UNKNOWN


def _refuse_odd_request(scope: Scope) -> None:
    """Refuse what Django and we could read in two ways, or could not read at all."""
    seen: set[bytes] = set()
    for name, _ in scope["headers"]:
        # WSGI writes both A-B and A_B as HTTP_A_B.
        if b"_" in name:
            raise Refusal(Code.MALFORMED, "A header's name holds an underscore.")
        if name in _ONCE:
            if name in seen:
                raise Refusal(Code.MALFORMED, f"{name.decode()} comes more than once.")
            seen.add(name)
    query = scope["query_string"]
    if "\0" in scope["path"] or b"%00" in query or not query.isascii():
        raise Refusal(Code.MALFORMED, "The URL holds a character that cannot be read.")


async def _read_body(scope: Scope, receive: Receive) -> bytes:
    """Return the whole body, or raise `body_too_large` or `request_timeout`."""
    limit = settings.MAX_BODY_BYTES
    if scope["path"].endswith("/votes/"):
        limit = settings.MAX_VOTE_BODY_BYTES
    for name, value in scope["headers"]:
        if name == b"content-length" and (not value.isdigit() or int(value) > limit + _DRAINED):
            raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(settings.BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                chunk = message.get("body", b"")
                size += len(chunk)
                if size <= limit:
                    chunks.append(chunk)
                elif size > limit + _DRAINED or not message.get("more_body"):
                    raise _too_large(limit)
                if not message.get("more_body"):
                    return b"".join(chunks)
    except TimeoutError:
        raise Refusal(Code.REQUEST_TIMEOUT, headers={"Connection": "close"}) from None


def _too_large(limit: int) -> Refusal:
    # The rest of the body may not have been read, so the connection cannot be used again.
    detail = f"The body may have {limit} bytes."
    return Refusal(Code.BODY_TOO_LARGE, detail, headers={"Connection": "close"})


def _with_headers(send: Send, request_id: str) -> Send:
    """Return `send` with the headers that every answer carries."""

    async def send_with_headers(message: Any) -> None:  # noqa: ANN401 - an ASGI message
        if message["type"] == "http.response.start":
            headers = list(message["headers"])
            if message["status"] in _BODILESS:  # which Django gives a length of nought
                headers = [header for header in headers if header[0] != b"content-length"]
            known = dict(headers)
            html = known.get(b"content-type", b"").startswith(b"text/html")
            for name, value in (
                (b"content-security-policy", _PAGE_POLICY if html else API_POLICY),
                *ANSWER_HEADERS,
                (b"x-request-id", request_id.encode()),
            ):
                if name not in known:
                    headers.append((name, value))
            message = {**message, "headers": headers}
        await send(message)

    return send_with_headers


async def send_json(
    send: Send,
    status: int,
    body: object,
    *,
    content_type: bytes = b"application/json",
    headers: dict[str, str] | None = None,
) -> None:
    """Answer with JSON, without Django."""
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type),
                (b"content-length", str(len(content)).encode()),
                (b"cache-control", b"no-store"),
                *(
                    (name.lower().encode(), value.encode())
                    for name, value in (headers or {}).items()
                ),
            ],
        }
    )
    await send({"type": "http.response.body", "body": content})


async def send_refusal(send: Send, path: str, refusal: Refusal) -> None:
    """Answer with a problem, without Django."""
    await send_json(
        send,
        refusal.status,
        refusal.problem(path),
        content_type=b"application/problem+json",
        headers=refusal.headers,
    )
