"""`make stack`: `make run` on PostgreSQL and Redis, with two web processes."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from devtools import servers
from devtools.children import signal_when_parent_ends
from devtools.errors import ServerMissingError

DATABASE = "polls_stack"


def environment() -> dict[str, str]:
    """Return the environment of the stack; servers of our own are started where none is given."""
    database = os.environ.get("DATABASE_URL", "").strip()
    if not database:
        database = servers.keep_database(servers.postgres(folder=_data() / "postgres"), DATABASE)
    return {
        **os.environ,
        "DATABASE_URL": database,
        "REDIS_URL": servers.redis_url(),
        "WEB_WORKERS": os.environ.get("WEB_WORKERS", "").strip() or "2",
    }


def _data() -> Path:
    return Path(os.environ.get("DATA_DIR") or Path(__file__).resolve().parent.parent / ".data")


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
