"""The service under test, and the stack that it stands on."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psutil
import requests

from benchmarks.contenders import (
    CONTENDERS,
    LOAD_CORE,
    SECRET_KEY,
    SERVER_CORE,
    pinned,
    program,
)
from benchmarks.ground import (
    OPTIONS,
    Ground,
    Poll,
    RunFailedError,
    make_poll_by_api,
)
from benchmarks.load import Job, Report
from benchmarks.votes import run_load, vote_requests
from devtools import servers
from devtools.service import ROOT, Service

CONNECTIONS = 16  # that votes at a fixed rate come by


@dataclass(frozen=True)
class Site:
    """A service that runs, and its one poll."""

    port: int
    pid: int
    poll: Poll

    @property
    def path(self) -> str:
        """The path of the poll's dashboards."""
        return f"/ws/polls/{self.poll.id}/"

    def results(self) -> dict[str, Any]:
        """Return the count as the database has it."""
        url = f"http://127.0.0.1:{self.port}/api/v1/polls/{self.poll.id}/results/"
        answer = requests.get(url, timeout=30)
        if not answer.ok:
            raise RunFailedError(f"results/ answered {answer.status_code}: {answer.text[:500]}")
        found: dict[str, Any] = answer.json()
        return found

    def vote(
        self, seconds: float, rate: float, *, warm: float = 0.0, notes: bool = False
    ) -> Report:
        """Send votes at a fixed rate, and return once all are answered."""
        job = Job(
            port=self.port,
            requests=vote_requests(self.port, [self.poll], CONTENDERS[0]),
            connections=min(CONNECTIONS, max(1, int(rate / 10))),
            seconds=seconds,
            warm=warm,
            rate=rate,
            core=LOAD_CORE,
            notes=notes,
        )
        return run_load(job)

    def cpu(self) -> float:
        """Return the seconds of CPU that the process has used, user and system."""
        return cpu_of(self.pid)

    def held(self) -> int:
        """Return how many clients' connections the process holds."""
        found = psutil.Process(self.pid).net_connections("tcp")
        return sum(one.status == "ESTABLISHED" and one.laddr[1:] == (self.port,) for one in found)

    def rss(self) -> int:
        """Return the bytes of memory that the process holds."""
        return int(psutil.Process(self.pid).memory_info().rss)


def make_poll(port: int, options: int = OPTIONS) -> Poll:
    """Make an open poll that anybody may vote in and watch."""
    return make_poll_by_api(f"http://127.0.0.1:{port}", "open", options)


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU that a process has used: /proc/<pid>/stat, user and system."""
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


@contextlib.contextmanager
def serving(
    environment: Mapping[str, str], *, core: int | None = SERVER_CORE, options: int = OPTIONS
) -> Iterator[Site]:
    """Have the service run as `make run` does, with one open poll."""
    with contextlib.ExitStack() as stack:
        with pinned(core):
            service = stack.enter_context(Service(SECRET_KEY=SECRET_KEY, **environment))
        yield Site(service.port, service.pid, make_poll(service.port, options))


class Place:
    """PostgreSQL and Redis, or the embedded default; every service gets a fresh database."""

    def __init__(self, *, embedded: bool) -> None:
        self.ground = None if embedded else Ground()
        self.redis = None if embedded else servers.redis_url()

    @property
    def version(self) -> str:
        """The version of PostgreSQL."""
        return self.ground.version() if self.ground is not None else "not used"

    @contextlib.contextmanager
    def environment(self) -> Iterator[dict[str, str]]:
        """Give the settings of a service with a fresh database."""
        if self.ground is None or self.redis is None:
            with tempfile.TemporaryDirectory(prefix="polls-live-") as folder:
                yield {"DATA_DIR": folder}
            return
        self.ground.settle()
        with self.ground.database() as database:
            yield {"DATABASE_URL": database, "REDIS_URL": self.redis}

    @contextlib.contextmanager
    def service(
        self, *, core: int | None = SERVER_CORE, options: int = OPTIONS, **more: str
    ) -> Iterator[Site]:
        """Have the service run on a fresh database, with one open poll."""
        with (
            self.environment() as environment,
            serving({**environment, **more}, core=core, options=options) as site,
        ):
            yield site

    @contextlib.contextmanager
    def on_daphne(self) -> Iterator[Site]:
        """Have the same application run on Daphne."""
        port = servers.free_port()
        command = [sys.executable, "-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(port)]
        command.append("polls_project.asgi:application")
        with self.environment() as place:
            environment = {"SECRET_KEY": SECRET_KEY, **place}
            if self.ground is None:
                migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
                path = {"PATH": os.environ.get("PATH", "")}
                subprocess.run(migrate, cwd=ROOT, env={**path, **environment}, check=True)  # noqa: S603 - our own
            with program(command, port, SERVER_CORE, environment) as pid:
                yield Site(port, pid, make_poll(port))
