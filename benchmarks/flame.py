"""`make flame`: a flame graph of the loaded server, into benchmarks/express.svg.

The server votes as fast as it can on one core, by the express door, on PostgreSQL; py-spy looks at
whoever holds the interpreter's lock a thousand times a second.
"""

import argparse
import re
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import psutil

from benchmarks import contenders, votes
from benchmarks.contenders import LOAD_CORE, SERVER_CORE
from benchmarks.election import say
from benchmarks.ground import Ground, RunFailedError, make_polls
from benchmarks.load import Job

SECONDS = 10.0
_TITLE = "The express door under 64 connections, PostgreSQL: who holds the interpreter"
PICTURE = Path(__file__).with_name("express.svg")


def _pid_of(port: int) -> int:
    """Return the process that listens on this port."""
    for found in psutil.net_connections(kind="tcp"):
        listens = found.status == psutil.CONN_LISTEN and found.laddr[1:] == (port,)
        if listens and found.pid is not None:
            return found.pid
    raise RunFailedError(f"Nobody listens on port {port}.")


def _record(pid: int) -> None:
    """Look at a process for half of the time that it is loaded."""
    command = [str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(pid)]
    command += ["--rate", "1000", "--duration", str(round(SECONDS / 2)), "--gil"]
    command += ["--output", str(PICTURE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if done.returncode:
        raise RunFailedError(
            f"py-spy failed: {done.stderr.strip()[-500:]} (It needs the right to trace another "
            "process: run as root, or set kernel.yama.ptrace_scope to 0.)"
        )


def _tidy() -> None:
    """Take the script out, which only zooms, and name what is drawn instead of the command."""
    picture = PICTURE.read_text(encoding="utf-8")
    picture = re.sub(r"<script.*?</script>", "", picture, flags=re.DOTALL)
    picture = picture.replace(' onload="init(evt)"', "")
    picture = re.sub(r"(<text id=\"title\"[^>]*>)[^<]*", rf"\g<1>{_TITLE}", picture)
    PICTURE.write_text(picture, encoding="utf-8")


def main() -> int:
    """Load the server and draw what it does."""
    argparse.ArgumentParser(prog="make flame", description=__doc__).parse_args()
    ground = Ground()
    with ground.database() as database:
        polls = make_polls(database, 1, "open")
        with contenders.ours(database, SERVER_CORE, {}) as port:
            job = Job(
                port=port,
                requests=votes.vote_requests(port, polls, contenders.CONTENDERS[0]),
                seconds=SECONDS,
                core=LOAD_CORE,
            )
            contenders.wait_until_idle()
            votes.run_load(replace(job, seconds=1.0))
            load = threading.Thread(target=votes.run_load, args=[job])
            load.start()
            try:
                _record(_pid_of(port))
            finally:
                load.join()
    _tidy()
    say(f"Drawn: {PICTURE.relative_to(Path.cwd())}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RunFailedError as error:
        sys.exit(str(error))
