"""The gate twice in this process, with the express door and without it, behind real sockets.

Both stand on the suite's own database, ballot box and ballot papers, so that the same request
can be made of either in situations that were made alike, and its two answers compared.
"""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn
from django.core.wsgi import get_wsgi_application
from django.db import connection

from polls.express import Express, Headers, Scope
from polls.messages import Answer
from polls_project.django_threads import DjangoThreads
from polls_project.gate import Gate
from tests.polls import wire
from tests.polls.threads import wait_until


class WatchedExpress(Express):
    """The express door, which also tells how many requests it was shown and has passed on."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = self.passed_on = 0

    async def answer(
        self, scope: Scope, headers: Headers, body: bytes, until: float
    ) -> Answer | None:
        self.shown += 1
        answer = await super().answer(scope, headers, body, until)
        self.passed_on += answer is None
        return answer


class ClosedExpress(Express):
    """A door that takes nothing: all goes to Django."""

    async def answer(
        self, scope: Scope, headers: Headers, body: bytes, until: float
    ) -> Answer | None:
        del scope, headers, body, until
        return None


class Served:
    """A gate behind a socket, on an event loop in a thread."""

    def __init__(self, express: Express) -> None:
        self._django = DjangoThreads(get_wsgi_application())
        config = uvicorn.Config(
            Gate(express, self._django),
            http="polls_project.uvicorn_http:HttpProtocol",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )
        self._server = uvicorn.Server(config)
        listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = listener.getsockname()[1]
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        wait_until(lambda: self._server.started)
        self._express = express

    def ask(self, sent: bytes, method: str = "GET") -> wire.Answer:
        """Send bytes on a new connection and return the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wire.PATIENCE) as client:
            client.sendall(sent)
            return wire.receive(client, method)

    def close(self) -> None:
        """End the server, what answers beside Django, and Django's threads."""
        self._server.should_exit = True
        self._thread.join(wire.PATIENCE)
        self._express.close()
        self._django._pool.shutdown()


@dataclass
class Doors:
    """Two servers on one database."""

    express: WatchedExpress
    open: Served  # with the express door
    closed: Served  # without

    def ask(self, sent: bytes, method: str = "GET") -> tuple[wire.Answer, str]:
        """Return an answer, and who gave it where the express door is open."""
        shown, passed_on = self.express.shown, self.express.passed_on
        answer = self.open.ask(sent, method)
        if self.express.shown == shown:
            return answer, "gate"
        return answer, "express" if self.express.passed_on == passed_on else "django"


@contextmanager
def two_doors() -> Iterator[Doors]:
    """Serve both until the end of the block."""
    with pytest.MonkeyPatch.context() as patch:
        # Django's threads outlive a test; their connections must not outlive its database.
        patch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)
        express = WatchedExpress()
        with closing(Served(express)) as with_door, closing(Served(ClosedExpress())) as without:
            yield Doors(express, with_door, without)


# -- requests ----------------------------------------------------------------------------------

VOTES, RESULTS = "/api/v1/polls/<poll>/votes/", "/api/v1/polls/<poll>/results/"
JSON, DEVICE = "Content-Type: application/json", "X-Voter-Token: <token>"
KEY = "Idempotency-Key: <key>"
FIRST = '{"choices": ["<0>"]}'
FIRST_BY_CODE = '{"choices": ["<0>"], "code": "<code>"}'

Text = str | bytes


def fill(text: Text, names: dict[str, str]) -> bytes:
    """Put what is known by names in their place."""
    filled = text if isinstance(text, bytes) else text.encode()
    for name, value in names.items():
        filled = filled.replace(b"<%s>" % name.encode(), value.encode())
    return filled


def vote_of(token: str, body: bytes, poll_id: str, *headers: str) -> bytes:
    """Return an ordinary vote as bytes."""
    names = {"poll": poll_id, "token": token}
    lines = [fill(line, names) for line in (JSON, DEVICE, *headers)]
    lines.append(b"Content-Length: %d" % len(body))
    return wire.head("POST", fill(VOTES, names), *lines) + body


# -- answers -----------------------------------------------------------------------------------

_OWN = {"date", "x-request-id"}  # every answer has others
_UNKNOWN = (
    (re.compile(rb'"receipt":"[0-9a-f]{32}"'), b'"receipt":"(another)"'),
    (re.compile(rb'"certified_at":"[^"]+"'), b'"certified_at":"(a time)"'),
    (re.compile(rb"The log knows it as [0-9a-f]{16}\."), b"The log knows it as (an id)."),
)


@dataclass(frozen=True)
class Said:
    """An answer with names in the place of whatever differs between two equal situations."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def said(answer: wire.Answer, names: dict[str, str]) -> Said:
    """Return an answer with the names of a situation in the place of what they stand for."""
    values = sorted(names.items(), key=lambda item: -len(item[1]))

    def named(text: bytes) -> bytes:
        for name, value in values:
            text = text.replace(value.encode(), b"<%s>" % name.encode())
        for pattern, word in _UNKNOWN:
            text = pattern.sub(word, text)
        return text

    headers: list[tuple[str, Any]] = sorted(answer.headers.items())
    return Said(
        answer.status,
        [
            (name.lower(), named(value.encode()).decode())
            for name, value in headers
            if name.lower() not in _OWN
        ],
        named(answer.body),
    )
