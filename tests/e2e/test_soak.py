"""The checkers of the long runs find what they are there to find, and the live part runs."""

import json
import re
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest

from benchmarks.audit_control import self_test
from benchmarks.live import wire
from benchmarks.soak_dashboards import Audience, Count, Seat
from benchmarks.soak_live import FAULTS
from benchmarks.soak_usage import Usage, grown, tracebacks
from tests.live import ROOT

RECORD = (
    "2026-11-25 10:00:00,000 ERROR {name}: {said}\nTraceback (most recent call last):\n  File\n"
)
EXCUSED = RECORD.format(name="channels_redis.core", said="Unexpected exception in receive task")


def test_audit_finds_every_fault_that_is_put_before_it() -> None:
    assert self_test() == []


def test_sockets_that_stay_open_are_found() -> None:
    me = psutil.Process()
    before = Usage.of(me)
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = [socket.create_connection(server.getsockname()) for _ in range(6)]
        found = grown({me.pid: before}, {me.pid: Usage.of(me)})
        for one in kept:
            one.close()
    assert [re.sub(r" from .*", "", line) for line in found] == [
        f"process {me.pid} has grown: open files",
        f"process {me.pid} has grown: connections",
    ]
    assert grown({me.pid: before}, {me.pid: Usage.of(me)}) == []


@pytest.mark.parametrize(
    ("after", "what"),
    [
        (Usage(131 << 20, 9, 30, 12), "memory"),
        (Usage(129 << 20, 9, 30, 12), ""),
        (Usage(100 << 20, 13, 30, 12), "threads"),
        (Usage(100 << 20, 12, 30, 12), ""),
    ],
)
def test_growth_of_memory_and_threads_is_found(after: Usage, what: str) -> None:
    found = grown({7: Usage(100 << 20, 9, 30, 12)}, {7: after})
    assert len(found) == bool(what)
    assert all(line.startswith(f"process 7 has grown: {what}") for line in found)


def test_a_process_that_was_replaced_is_found() -> None:
    usage = Usage(1, 1, 1, 1)
    assert grown({7: usage}, {8: usage}) == ["other processes: [7] before, [8] after"]


def test_tracebacks_are_found_but_for_the_one_that_redis_explains() -> None:
    unexpected = RECORD.format(name="realtime.hub", said="it broke")
    assert tracebacks(f"it starts\n{EXCUSED}{unexpected}{EXCUSED}") == [unexpected]


def _frame(kind: str, seq: int) -> bytes:
    votes = [{"id": "a", "votes": seq}]
    said = {"type": kind, "poll": "p", "seq": seq, "ballots": seq, "options": votes}
    payload = json.dumps(said).encode()
    return bytes((wire.TEXT, len(payload))) + payload


def _serve_backwards(server: socket.socket) -> None:
    """Take one dashboard, and send it a count that goes back."""
    client, _ = server.accept()
    with client:
        client.recv(4096)
        client.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: "
            + wire.ACCEPT
            + b"\r\n\r\n"
            + _frame("snapshot", 5)
            + _frame("tally", 4)
        )


def test_a_count_that_goes_back_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve_backwards, args=(server,), daemon=True).start()
        with Audience(server.getsockname()[1]) as audience:
            (dashboard,) = audience.join([Seat(["p"])])
            until = time.monotonic() + 10
            while not dashboard.ended and time.monotonic() < until:
                time.sleep(0.01)
    assert dashboard.wrong == ["tally went back from seq 5 to 4"]
    assert dashboard.shows("p", Count(4, 4, {"a": 4}))
    assert not dashboard.shows("p", Count(5, 5, {"a": 5}))


def test_live_part_runs_and_finds_nothing() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.soak", "--only", "live"),
            *("--live-minutes", "0.2", "--no-write"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    for title, _ in FAULTS.values():
        assert re.search(rf"(?m)^\| {title} \| 1 \| \d+\.\d+ s \|$", done.stdout), done.stdout
    assert re.search(r"(?m)^\| process 0 \| at the end \| \d+ MiB \|", done.stdout)
    assert re.search(r"votes: [\d,]+ x 201, the longest", done.stdout)
