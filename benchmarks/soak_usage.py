"""What the processes of a service hold, what of it has grown, and what they should not say."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

_MEMORY_SHARE, _MEMORY_BYTES = 0.10, 20 << 20  # that may have been added
_HANDFUL = 5  # open files and connections, which pools and healing open and close
# Of a small pool whose threads start when there is work for them, which nobody can bring about from
# outside: those who join at once are let in together. A leak has one a fault, or one a dashboard.
_LATE_THREADS = 3
_LOOK_SECONDS = 0.5
_ALIKE = 6  # looks after each other that find the same
_RECORD = re.compile(r"(?m)^(?=\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")
_TRACEBACK = "Traceback (most recent call last)"
_EXCUSED = "Unexpected exception in receive task"  # channels-redis' own, where Redis is down


@dataclass(frozen=True)
class Usage:
    """What one process holds."""

    memory: int  # bytes, resident
    threads: int
    files: int  # open ones, sockets among them
    connections: int  # of TCP, listening sockets among them

    @classmethod
    def of(cls, process: psutil.Process) -> "Usage":
        """Look at a process."""
        with process.oneshot():
            return cls(
                process.memory_info().rss,
                process.num_threads(),
                process.num_fds(),
                len(process.net_connections("tcp")),
            )


def usages(pid: int) -> dict[int, Usage]:
    """Return what a process and all that it has started hold, by pid."""
    first = psutil.Process(pid)
    return {one.pid: Usage.of(one) for one in (first, *first.children(recursive=True))}


def _held(found: Mapping[int, Usage]) -> dict[int, tuple[int, int, int]]:
    return {pid: (one.threads, one.files, one.connections) for pid, one in found.items()}


def at_rest(pid: int, within: float) -> dict[int, Usage]:
    """Wait until threads, files and connections move no more, at most so long; return the usage."""
    until = time.monotonic() + within
    found, alike = usages(pid), 0
    while alike < _ALIKE and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
        last, found = found, usages(pid)
        alike = alike + 1 if _held(found) == _held(last) else 0
    return found


def grown(before: Mapping[int, Usage], after: Mapping[int, Usage]) -> list[str]:
    """Name what has grown further than it may."""
    if set(before) != set(after):
        return [f"other processes: {sorted(before)} before, {sorted(after)} after"]
    return [
        f"process {pid} has grown: {what} from {was:,} to {now:,}"
        for pid in before
        for what, was, now, most in _limits(before[pid], after[pid])
        if now > most
    ]


def _limits(before: Usage, after: Usage) -> list[tuple[str, int, int, float]]:
    """Return each figure's name, what it was, what it is, and what it may be."""
    memory = before.memory * (1 + _MEMORY_SHARE) + _MEMORY_BYTES
    return [
        ("memory (bytes)", before.memory, after.memory, memory),
        ("threads", before.threads, after.threads, before.threads + _LATE_THREADS),
        ("open files", before.files, after.files, before.files + _HANDFUL),
        ("connections", before.connections, after.connections, before.connections + _HANDFUL),
    ]


def back_within(before: Mapping[int, Usage], pid: int, within: float) -> dict[int, Usage]:
    """Wait until nothing has grown any more, at most so long; return the usage."""
    until = time.monotonic() + within
    found = at_rest(pid, within)
    while grown(before, found) and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
        found = usages(pid)
    return found


def tracebacks(said: str) -> list[str]:
    """Return the records of a log that hold a traceback which nothing excuses."""
    records = _RECORD.split(said)
    return [one for one in records if _TRACEBACK in one and _EXCUSED not in one]
