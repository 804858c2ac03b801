"""A command in a terminal of its own, as somebody at a keyboard has it."""

import fcntl
import os
import pty
import signal
import subprocess
import termios
import threading
import time
from pathlib import Path
from typing import Self

import psutil

WAIT_SECONDS = 120


class Terminal:
    """Runs a command, keeps all that it writes, and types for it."""

    def __init__(self, *command: str, cwd: Path, env: dict[str, str]) -> None:
        self._keyboard, screen = pty.openpty()
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=screen,
            stdout=screen,
            stderr=screen,
            start_new_session=True,
            preexec_fn=_own_this_terminal,  # noqa: PLW1509 - one system call, before exec
        )
        os.close(screen)
        self._written = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.family: list[psutil.Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing running, whatever the test found."""
        for process in [*self.relatives(), *self.family]:
            if process.is_running():
                process.kill()
        self.process.wait()
        self._reader.join(WAIT_SECONDS)
        os.close(self._keyboard)

    def _read(self) -> None:
        while True:
            try:
                read = os.read(self._keyboard, 65536)
            except OSError:  # nobody has the terminal open any more
                return
            self._written += read

    @property
    def text(self) -> str:
        """All that was written until now."""
        return self._written.decode(errors="replace").replace("\r\n", "\n")

    def wait_for(self, text: str) -> None:
        """Wait until the command has written this."""
        until = time.monotonic() + WAIT_SECONDS
        while text not in self.text:
            assert self.process.poll() is None, self.text
            assert time.monotonic() < until, self.text
            time.sleep(0.05)

    def relatives(self) -> list[psutil.Process]:
        """Return the command's process and all that came of it."""
        try:
            process = psutil.Process(self.process.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def press_ctrl_c(self) -> None:
        """Interrupt whatever is in the foreground."""
        self.family = self.relatives()
        os.write(self._keyboard, b"\x03")

    def terminate(self) -> None:
        """Send SIGTERM to the command alone."""
        self.family = self.relatives()
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the command alone: it has no say."""
        self.family = self.relatives()
        self.process.kill()

    def wait(self) -> int:
        """Wait for the end and return the exit status."""
        status = self.process.wait(WAIT_SECONDS)
        self._reader.join(WAIT_SECONDS)
        return status

    def left_running(self) -> list[psutil.Process]:
        """Return who of the family still runs a while after the end."""
        _, alive = psutil.wait_procs(self.family, timeout=30)
        return [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]


def _own_this_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
