"""The gate: what every HTTP request passes before the doors behind it, and every answer after.

It reads the whole body within its limits, refuses what two readers could understand in two ways,
and gives each request its deadline and its id. Then the express door may answer; whatever it
leaves goes to Django. A slow client therefore never holds a thread.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from django.conf import settings

from polls.domain import deadline
from polls.errors import Code, Refusal
from polls.express import Express, Headers
from polls.messages import problem_answer
from polls_project.django_threads import DjangoThreads
from polls_project.sending import WHOLE, new_request_id, send_answer

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
        b"sec-fetch-site",
        b"x-voter-code",
        b"x-voter-token",
    }
)
_FORMS = (b"application/x-www-form-urlencoded", b"multipart/form-data")
# Read and thrown away beyond the limit: a proxy that is still sending would otherwise meet a closed
# connection and tell its client 502.
_DRAINED = 1024 * 1024


class ClientGoneError(Exception):
    """The client closed the connection before its request was whole."""


class Gate:
    """ASGI in front of the express door and of Django."""

    def __init__(self, express: Express, django: DjangoThreads) -> None:
        self._express = express
        self._django = django
        self._limit: int = settings.MAX_BODY_BYTES
        self._vote_limit: int = settings.MAX_VOTE_BODY_BYTES
        self._seconds: float = settings.BODY_SECONDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        request_id = new_request_id()
        try:
            headers = _read_headers(scope)
            body = await self._read_body(scope, headers, receive)
            if body and headers.get(b"content-type", b"").lower().startswith(_FORMS):
                _check_form(headers[b"content-type"], body)
            until = deadline.now_plus()
            answer = await self._express.answer(scope, headers, body, until)
            if answer is None:
                answer = await self._django.answer(scope, body, until, request_id)
        except ClientGoneError:
            return
        except Refusal as refusal:
            answer = problem_answer(refusal, scope["path"])
        except Exception:
            logger.exception("Request %s failed outside Django: %s", request_id, scope["path"])
            fault = Refusal(Code.INTERNAL_ERROR, f"The log knows it as {request_id}.")
            answer = problem_answer(fault, scope["path"])
        await send_answer(scope, send, answer, request_id)

    async def _read_body(self, scope: Scope, headers: Headers, receive: Receive) -> bytes:
        """Return the whole body, or raise `body_too_large` or `request_timeout`."""
        limit = self._vote_limit if scope["path"].endswith("/votes/") else self._limit
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > limit + _DRAINED:
            raise _too_large(limit)
        if (whole := scope.get("extensions", {}).get(WHOLE)) is not None:
            body: bytes | None = whole["request"].body()
            if body is not None and len(body) <= limit:
                return body  # which came with its head: nothing to wait for
        try:
            async with asyncio.timeout(self._seconds):
                return await _receive_whole(receive, limit)
        except TimeoutError:
            raise Refusal(Code.REQUEST_TIMEOUT, headers={"Connection": "close"}) from None

    async def close(self) -> None:
        """End what answers beside Django."""
        await asyncio.get_running_loop().run_in_executor(None, self._express.close)


def _read_headers(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers by name, or refuse what Django and we could read in two ways."""
    found: dict[bytes, bytes] = dict(scope["headers"])
    if len(found) < len(scope["headers"]):
        found = _join_headers(scope["headers"])
    # WSGI writes both A-B and A_B as HTTP_A_B.
    if b"_" in b"".join(found):
        raise Refusal(Code.MALFORMED, "A header's name holds an underscore.")
    query = scope["query_string"]
    if "\0" in scope["path"] or not query.isascii() or (b"%" in query and not _is_text(query)):
        raise Refusal(Code.MALFORMED, "The URL holds a character that cannot be read.")
    return found


def _is_text(encoded: bytes) -> bool:
    """Whether what is written with %XX is UTF-8 without a NUL; half a surrogate pair is not."""
    try:
        return "\0" not in unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        return False


def _check_form(kind: bytes, body: bytes) -> None:
    """Refuse a form with what no other door takes, and Django would keep or replace."""
    # No form here takes files, whose parts could be anything.
    plain = kind.lower().startswith(b"multipart/")
    if not _is_text(body.replace(b"%", b"%25") if plain else body):
        raise Refusal(Code.MALFORMED, "The form holds a character that cannot be read.")


def _join_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return headers of which some come more than once."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name not in found:
            found[name] = value
        elif name in _ONCE:
            raise Refusal(Code.MALFORMED, f"{name.decode()} comes more than once.")
        else:
            found[name] += b"," + value  # as WSGI joins them
    return found


async def _receive_whole(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
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


def _too_large(limit: int) -> Refusal:
    # The rest of the body may not have been read, so the connection cannot be used again.
    detail = f"The body may have {limit} bytes."
    return Refusal(Code.BODY_TOO_LARGE, detail, headers={"Connection": "close"})
