"""`make stack`: `make run` on PostgreSQL and Redis, with two web processes.

Servers are the environment's, else of our own, out of wheels; what else runs on this machine is
left alone.
"""

import hashlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from devtools import servers
from devtools.children import signal_when_parent_ends
from devtools.errors import FolderClosedError, ServerMissingError
from devtools.postgres import PostgresServer

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "polls"
# As root PostgreSQL runs as another account, which cannot enter a checkout in /root, say.
ELSEWHERE = Path("/var/lib/polls")


def environment() -> dict[str, str]:
    """Return the environment of the stack; servers of our own are started where none is given."""
    return {
        **os.environ,
        "DATABASE_URL": os.environ.get("DATABASE_URL", "").strip() or _own_database(),
        "REDIS_URL": os.environ.get("REDIS_URL", "").strip() or servers.RedisServer().url,
        "WEB_WORKERS": os.environ.get("WEB_WORKERS", "").strip() or "2",
    }


def _own_database() -> str:
    """Start PostgreSQL on this checkout's data; return the URL of the database on it."""
    given = os.environ.get("DATA_DIR")
    folder = Path(given or ROOT / ".data") / "postgres"
    try:
        server = PostgresServer(folder)
    except FolderClosedError:
        if given:
            raise
        folder = ELSEWHERE / hashlib.sha256(str(folder).encode()).hexdigest()[:12]
        sys.stdout.write(f"PostgreSQL, which refuses to run as root, keeps its data in {folder}\n")
        server = PostgresServer(folder)
    return servers.keep_database(server.url, DATABASE, _seed)


def _seed(database: str) -> None:
    """Give a new database what a first `make run` gives its own."""
    for command in (("migrate", "--verbosity=0"), ("seed_demo",)):
        done = subprocess.run(  # noqa: S603 - our own commands
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": database},
            start_new_session=True,  # Ctrl-C waits for it
            check=False,
        )
        if done.returncode != 0:
            raise ServerMissingError("The new database could not be filled; see above.")


def _without_password(urls: str) -> str:
    return re.sub(r"(//[^/@:]*):[^/@]*@", r"\1:***@", urls)


class Ending:
    """The wish to end, passed on to the service once; its servers end after it."""

    def __init__(self) -> None:
        self.asked = False
        self._service: subprocess.Popen[bytes] | None = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.asked = True
        self._tell()

    def _tell(self) -> None:
        if self._service is not None:
            self._service.send_signal(signal.SIGTERM)

    def serve(self, env: dict[str, str]) -> int:
        """Run the service until it ends; return the exit status."""
        # A session of its own: a terminal sends Ctrl-C to everybody, and told twice, Uvicorn
        # drops its clients.
        with subprocess.Popen(
            [sys.executable, "-m", "polls_project.serve"],
            env=env,
            start_new_session=True,
            preexec_fn=signal_when_parent_ends(signal.SIGTERM),  # noqa: PLW1509 - one call
        ) as service:
            self._service = service
            if self.asked:  # while it was being started
                self._tell()
            status = service.wait()
        ended_as_asked = self.asked and status in {0, -signal.SIGTERM}
        return 0 if ended_as_asked else status


def main() -> int:
    """Start what is missing, serve, and end the servers with the service."""
    ending = Ending()
    try:
        env = environment()
    except ServerMissingError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for name in ("DATABASE_URL", "REDIS_URL"):
        sys.stdout.write(f"{name}={_without_password(env[name])}\n")
    sys.stdout.flush()
    return 0 if ending.asked else ending.serve(env)


if __name__ == "__main__":
    sys.exit(main())
