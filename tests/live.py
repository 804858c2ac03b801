"""A real server process on a database of its own, for tests over the wire."""

import atexit
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import requests

from devtools import servers

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30
SETTINGS = "tests.live_settings"
_PREPARE = """
import django
django.setup()
from polls_project import serve
serve._prepare_database()
"""


@functools.cache
def _prepared() -> str:
    """Prepare a database as the service does at its first start; return its name or file."""
    folder = tempfile.mkdtemp(prefix="polls-prepared-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    environment = {**os.environ, "DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": SETTINGS}
    found = f"{folder}/polls.sqlite3"
    if os.environ["STACK"] == "servers":
        url = servers.create_database(os.environ["DATABASE_URL"], "polls_prepared")
        environment["DATABASE_URL"] = url
        found = urlsplit(url).path[1:]
    command = [sys.executable, "-c", _PREPARE]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    return found


def new_database() -> str:
    """Return the URL of a copy of what a first start prepares: to migrate takes a second."""
    return servers.create_database(os.environ["DATABASE_URL"], "polls_live", template=_prepared())


class Server:
    """`python -m polls_project.serve` on a free port, with its own data.

    That is a copy of what a first start leaves: on SQLite the examples are in it.
    """

    def __init__(self, **environment: str) -> None:
        self.port = servers.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws = f"ws://127.0.0.1:{self.port}"
        self.folder = tempfile.mkdtemp(prefix="polls-live-")
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.log = Path(self.folder) / "log"
        self.environment = {
            **os.environ,
            "DATA_DIR": self.folder,
            "PORT": str(self.port),
            "DJANGO_SETTINGS_MODULE": SETTINGS,
            **environment,
        }
        if os.environ["STACK"] == "embedded":
            shutil.copy(_prepared(), self.folder)
        elif "DATABASE_URL" not in environment:
            self.environment["DATABASE_URL"] = new_database()
        self.process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start, and wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "polls_project.serve"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended: {self.log.read_text()}")
            try:
                if requests.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            except (requests.ConnectionError, requests.Timeout):
                time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"the server did not become ready: {self.log.read_text()}")

    def stop(self) -> None:
        """SIGTERM, and wait."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(15)

    def kill(self) -> None:
        """SIGKILL: the process has no say."""
        self.process.kill()
        self.process.wait()

    def sign_up(self, name: str = "") -> "Caller":
        """Return a new account's caller."""
        name = name or f"user-{uuid.uuid4().hex[:12]}"
        password = "correct horse battery staple"
        anybody = Caller(self)
        anybody.post("/api/v1/auth/register/", {"username": name, "password": password})
        answer = anybody.post("/api/v1/auth/tokens/", {"username": name, "password": password})
        return Caller(self, {"Authorization": f"Bearer {answer.json()['token']}"})

    def voter(self) -> "Caller":
        """Return a new voter's caller."""
        token = Caller(self).post("/api/v1/voters/").json()["token"]
        return Caller(self, {"X-Voter-Token": token})


class Caller:
    """Somebody who calls a server over HTTP."""

    def __init__(self, server: Server, headers: dict[str, str] | None = None) -> None:
        self.server = server
        self.headers = headers or {}

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        """Make a request; header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.request(
            method,
            self.server.url + path,
            json=body,
            headers={**self.headers, **named},
            timeout=30,
        )

    def get(self, path: str, **headers: str) -> requests.Response:
        """GET."""
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> requests.Response:
        """POST."""
        return self.call("POST", path, body, **headers)

    def make_poll(self, **fields: Any) -> dict[str, Any]:
        """Make a poll and return it as it reads."""
        body = {"title": "Lunch?", "options": [{"text": "Pizza"}, {"text": "Sushi"}], **fields}
        answer = self.post("/api/v1/polls/", body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def make_event(self, *polls: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """Make an event of these polls and return it as it reads."""
        body = {"title": "An evening", "polls": [poll["id"] for poll in polls], **fields}
        answer = self.post("/api/v1/events/", body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def vote(self, poll: dict[str, Any], *places: int, **headers: str) -> requests.Response:
        """Vote for the options at these places."""
        choices = [poll["options"][place]["id"] for place in places]
        return self.post(poll["links"]["vote"], {"choices": choices}, **headers)
