"""The service as `make run` starts it, for programs that then talk to it over the wire."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import requests

from devtools import servers
from devtools.children import signal_when_parent_ends

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60
STOP_SECONDS = 30


class ServiceFailedError(Exception):
    """The service ended, or did not become ready; the message is what it said."""


class Service:
    """`python -m polls_project.serve` on a free port, with data that end with it."""

    def __init__(self, **environment: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="polls-service-")
        self._log = Path(self._folder.name) / "log"
        self.port = servers.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # Only what is named here: the caller's own settings are for the caller's own service.
        self._environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONDONTWRITEBYTECODE": "1",
            "DATA_DIR": self._folder.name,
            "PORT": str(self.port),
            **environment,
        }
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        """Start it and wait until it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "polls_project.serve"],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # it is told to end by us, not by Ctrl-C
                preexec_fn=signal_when_parent_ends(signal.SIGTERM),  # noqa: PLW1509 - one call
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                if requests.get(f"{self.url}/readyz", timeout=5).ok:
                    return
            except requests.RequestException:
                pass
            if self._process.poll() is not None or time.monotonic() > until:
                raise ServiceFailedError(self.said)
            time.sleep(0.1)

    @property
    def pid(self) -> int:
        """The process that was started; with one web process it is the one that serves."""
        return self._process.pid

    @property
    def said(self) -> str:
        """All that it has written until now."""
        return self._log.read_text(errors="replace").strip()

    def __exit__(self, *_: object) -> None:
        """End it, whatever state it is in."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._folder.cleanup()
