"""The receivers, as the benchmark talks to them: one process on the load generator's core."""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Self

from benchmarks.contenders import LOAD_CORE, pinned
from benchmarks.ground import RunFailedError
from devtools.children import signal_when_parent_ends
from devtools.service import ROOT

AT_ONCE = 200  # handshakes on their way


@dataclass(frozen=True)
class Joined:
    """How joining went."""

    seconds: float  # from the first connection to the last that had joined
    took: list[float]  # seconds, each socket's own
    lost: int  # connections that ended meanwhile


@dataclass(frozen=True)
class Heard:
    """What a group has had since the mark."""

    lost: int  # connections that ended, ever
    frames: int  # of all sockets together
    least: int  # of one socket
    most: int
    bytes: int  # of all their texts
    seconds: float  # from the first count to the last
    lasts: list[str]  # the last counts that they hold: the different ones, five at most
    cpu: float  # seconds of the receivers' own process


class Receivers:
    """Thousands of WebSockets in groups. Whatever does not come about raises RunFailedError."""

    def __enter__(self) -> Self:
        """Start the process."""
        with pinned(LOAD_CORE):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.live.ears"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
                preexec_fn=signal_when_parent_ends(signal.SIGTERM),  # noqa: PLW1509 - one call
            )
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, do: str, **values: object) -> dict[str, Any]:
        if self._process.stdin is None or self._process.stdout is None:
            raise RunFailedError("The receivers have not been started.")
        try:
            self._process.stdin.write(f"{json.dumps({'do': do, **values})}\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RunFailedError("The receivers have ended.")
        found: dict[str, Any] = json.loads(line)
        if "fault" in found:
            raise RunFailedError(f"The receivers met {found['fault']}")
        return found

    def join(  # noqa: PLR0913 - what a group is
        self,
        group: str,
        port: int,
        path: str,
        *,
        count: int,
        dialect: str = "ours",
        deaf: bool = False,
        at_once: int = AT_ONCE,
        within: float = 180.0,
    ) -> Joined:
        """Connect a new group, and wait until all of it has joined."""
        found = self._ask(
            "join",
            group=group,
            port=port,
            path=path,
            count=count,
            dialect=dialect,
            deaf=deaf,
            at_once=at_once,
            within=within,
        )
        if "late" in found:
            raise RunFailedError(f"{count:,} sockets have not all joined within {within:g} s")
        return Joined(**found)

    def leave(self, group: str) -> None:
        """Reset a group's connections."""
        self._ask("leave", group=group)

    def drop(self, group: str, within: float) -> Joined:
        """Reset a group's connections, and wait until all are back, each after its own time."""
        found = self._ask("drop", group=group, within=within)
        if "late" in found:
            raise RunFailedError(f"Not all sockets have come back within {within:g} s")
        return Joined(**found)

    def mark(self, *, records: bool = False) -> None:
        """Count anew from now on; `records` keeps when each count came, too."""
        self._ask("mark", records=records)

    def go(self, group: str, frames: int, interval: float) -> None:
        """Let a peer send so many counts, evenly."""
        self._ask("go", group=group, job=json.dumps({"frames": frames, "interval": interval}))

    def wait_for(self, group: str, within: float, **least: int) -> float:
        """Wait until each has had so many `frames`, or a count with this `seq`; say when.

        The time is that of the last count that came, by the clock of time.perf_counter().
        """
        ((field, number),) = least.items()
        found = self._ask("wait", group=group, field=field, least=number, within=within)
        if "late" in found:
            heard = self.report(group)
            raise RunFailedError(
                f"Not all receivers have had {field} {number} within {within:g} s: they had "
                f"{heard.least} to {heard.most} frames, the last of them {heard.lasts}"
            )
        return float(found["at"])

    def report(self, group: str) -> Heard:
        """Return what a group has had since the mark."""
        return Heard(**self._ask("report", group=group))

    def arrivals(self, group: str) -> list[list[tuple[float, int]]]:
        """Return when which seq has come, a list a socket, in order."""
        found: list[list[tuple[float, int]]] = self._ask("arrivals", group=group)["arrivals"]
        return found


def check_lasts(heard: Heard, results: dict[str, Any]) -> None:
    """Raise where a receiver's last count is not that of `results/`, or a connection was lost."""
    if heard.lost:
        raise RunFailedError(f"{heard.lost:,} connections were lost")
    for last in heard.lasts:
        frame = json.loads(last)
        votes = {option["id"]: option["votes"] for option in frame["options"]}
        shown = frame["seq"], frame["ballots"], votes
        counted = {option["id"]: option["votes"] for option in results["options"]}
        if shown != (results["seq"], results["ballots"], counted):
            raise RunFailedError(f"A receiver shows {shown}, but the results are {results}")
