"""Other processes on the suite's own database, for what threads cannot show."""

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import IO

from django.db import connection

from tests.live import ROOT

# The suite's database has a name of its own, which the settings do not know.
_PROLOGUE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "polls_project.settings.test"
import django
django.setup()
from django.db import connection
connection.settings_dict["NAME"] = os.environ["SUITE_DATABASE"]
"""


def start_python(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a script that has Django set up; it may read stdin and write stdout."""
    return subprocess.Popen(
        [sys.executable, "-c", _PROLOGUE + script, *arguments],
        cwd=ROOT,
        env={**os.environ, "SUITE_DATABASE": str(connection.settings_dict["NAME"])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def run_python(script: str, *arguments: str) -> str:
    """Run a script and return what it wrote."""
    with start_python(script, *arguments) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return out


def run_at_once(script: str, *arguments: str, count: int) -> Sequence[str]:
    """Run a script in several processes, which begin together; return what each wrote.

    The script calls `ready()` when it is about to do what they race for.
    """
    gate = 'def ready():\n    print("ready", flush=True)\n    sys.stdin.readline()\n'
    processes = [start_python(gate + script, *arguments) for _ in range(count)]
    try:
        for process in processes:
            assert _pipe(process.stdout).readline() == "ready\n"
        for process in processes:
            _pipe(process.stdin).write("go\n")
            _pipe(process.stdin).flush()
        return [process.communicate(timeout=60)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
