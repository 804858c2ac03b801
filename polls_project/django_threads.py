"""Django as WSGI in a few threads, each with one checked connection.

The gate has read the request whole, and an answer is made whole: both pass between the event loop
and a thread once, where a2wsgi's own middleware would pass each part by itself.
"""

import asyncio
import contextvars
import io
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

from a2wsgi.wsgi import build_environ
from django.conf import settings

from polls.domain import deadline
from polls.errors import Code, Refusal
from polls.messages import Answer

Scope = Any

_GRACE = 0.3  # seconds after the deadline in which a thread may still answer by itself
_OUR_OWN = frozenset({b"content-length", b"transfer-encoding", b"x-request-id"})


@dataclass(slots=True)
class _Work:
    """One request, from the event loop to a thread."""

    environ: dict[str, Any]
    until: float
    started: bool = False


class DjangoThreads:
    """A WSGI application behind a bounded queue, or eight slow requests would be an outage."""

    def __init__(self, wsgi: Any) -> None:  # noqa: ANN401 - a WSGI application
        self._wsgi = wsgi
        self._pool = ThreadPoolExecutor(settings.DJANGO_THREADS, thread_name_prefix="django")
        self._taken = 0

    async def answer(self, scope: Scope, body: bytes, until: float, request_id: str) -> Answer:
        """Return Django's answer by this time of `time.monotonic()`, or raise why there is none."""
        if self._taken >= settings.DJANGO_THREADS + settings.DJANGO_QUEUE:
            raise Refusal(Code.OVERLOADED)
        work = _Work(_environ(scope, body, request_id), until)
        run = contextvars.copy_context().run
        self._taken += 1
        try:
            async with asyncio.timeout(until + _GRACE - time.monotonic()):
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._pool, run, self._answer, work)
        except TimeoutError:
            raise Refusal(_code_of_timeout(scope, started=work.started)) from None
        finally:
            self._taken -= 1

    def _answer(self, work: _Work) -> Answer:
        """Run Django in this thread until the request's deadline."""
        work.started = True
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            started[:] = [status, headers]

        with deadline.until(work.until):
            response = self._wsgi(work.environ, start_response)
            try:
                body = b"".join(response)
            finally:
                response.close()  # Django looks after its connection here
        status, headers = started
        return Answer(
            int(status[:3]),
            tuple((name.lower().encode("latin-1"), v.encode("latin-1")) for name, v in headers),
            body,
        )


def _environ(scope: Scope, body: bytes, request_id: str) -> dict[str, Any]:
    """Return the request as WSGI has it, by its id and its true length."""
    headers = [header for header in scope["headers"] if header[0] not in _OUR_OWN]
    headers.append((b"x-request-id", request_id.encode()))
    if body:
        headers.append((b"content-length", b"%d" % len(body)))
    # It asks for a body of its own class, and only puts it into the environment.
    inner: Any = {**scope, "headers": headers}
    return cast("dict[str, Any]", build_environ(inner, cast("Any", io.BytesIO(body))))


def _code_of_timeout(scope: Scope, *, started: bool) -> Code:
    """Return what can be said of a request that got no answer in time."""
    if not started:
        return Code.OVERLOADED
    voting = scope["path"].endswith("/votes/") and scope["method"] not in {"GET", "HEAD"}
    return Code.OUTCOME_UNKNOWN if voting else Code.UNAVAILABLE
