"""`make demo`, with a few hundred voters."""

import copy
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.burlington import PUBLISHED, figures, report
from benchmarks.outcome import Dashboard, Outcome, delays, differences
from tests.live import Server

ROOT = Path(__file__).resolve().parent.parent.parent
VOTERS, DASHBOARDS = 300, 20


def _demo(**environment: str) -> "subprocess.CompletedProcess[str]":
    arguments = ["--voters", str(VOTERS), "--dashboards", str(DASHBOARDS)]
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.burlington", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )


def _assert_all_is_well(found: "subprocess.CompletedProcess[str]") -> None:
    expected = figures(VOTERS)
    assert found.returncode == 0, found.stdout + found.stderr
    numbers = re.findall(r"(?m)^ +([\d,]+)  (.+)$", found.stdout)
    seen = {name: int(number.replace(",", "")) for number, name in numbers}
    counts = re.findall(
        r"(?m)^(\S.*?) +tally +([\d,]+) +recount +([\d,]+) +expected +([\d,]+)$", found.stdout
    )
    assert {name: set(found) for name, *found in counts} == {
        name: {f"{votes:,}"} for name, votes in expected.items()
    }
    assert seen["votes acknowledged"] == sum(expected.values())
    assert seen["spoilt ballots refused"] == 4
    assert seen["retries answered with the first receipt"] == 6
    assert seen["second votes refused"] == 6
    assert f"the last frame of all {DASHBOARDS} dashboards." in found.stdout
    assert "median" in found.stdout


def test_demo_holds_at_a_service_that_it_is_given() -> None:
    with Server(WEB_WORKERS="2") as server:
        found = _demo(POLLS_URL=server.url)
    _assert_all_is_well(found)
    assert server.url in found.stdout
    held = re.findall(r"process \d+ holds (\d+)", found.stdout)
    assert sum(map(int, held)) == DASHBOARDS
    assert len(held) <= 2


def test_demo_holds_at_a_service_of_its_own_on_postgresql_and_redis() -> None:
    _assert_all_is_well(_demo(POLLS_URL=""))


def test_demo_says_in_one_line_that_nobody_answers() -> None:
    found = _demo(POLLS_URL="http://127.0.0.1:1")
    assert found.returncode == 1
    assert "cannot be talked to" in found.stdout.splitlines()[-1]
    assert found.stderr == ""


def test_figures_are_those_of_the_election() -> None:
    assert sum(PUBLISHED.values()) == 8976
    assert figures(8980) == PUBLISHED


# -- the judge: whatever is wrong is found and named ------------------------------------------


def _good() -> Outcome:
    """Return what a flawless election of three votes leaves."""
    expected = {"a": 2, "b": 1}
    rows = [
        {"id": "a", "text": "A", "votes": 2},
        {"id": "b", "text": "B", "votes": 1},
    ]
    last = {
        "type": "tally",
        "poll": "p",
        "status": "open",
        "seq": 4,
        "ballots": 3,
        "options": [{"id": "a", "votes": 2}, {"id": "b", "votes": 1}],
    }
    return Outcome(
        expected=expected,
        spoilt=1,
        retries=1,
        doubles=1,
        acknowledged=[(10.0, 2), (10.1, 3), (10.2, 4)],
        receipts={"x", "y", "z"},
        retries_answered=1,
        doubles_refused=1,
        spoilt_refused=1,
        integrity={"equal": True, "seq": 4, "tally": dict(expected), "recount": dict(expected)},
        results={"poll": "p", "seq": 4, "ballots": 3, "options": rows},
        dashboards=[
            Dashboard(1, heard=[(9.0, 1), (10.25, 4)], last=copy.deepcopy(last)),
            Dashboard(2, heard=[(9.0, 1), (10.05, 3), (10.5, 4)], last=copy.deepcopy(last)),
        ],
    )


def _set(name: str, key: str, value: object) -> Callable[[Outcome], None]:
    def change(outcome: Outcome) -> None:
        getattr(outcome, name)[key] = value

    return change


FAULTS: dict[str, Callable[[Outcome], None]] = {
    "votes acknowledged: 2, expected 3": lambda o: o.acknowledged.pop() and None,
    "different receipts: 2, expected 3": lambda o: o.receipts.discard("x"),
    "retries answered with the first receipt: 0, expected 1": lambda o: setattr(
        o, "retries_answered", 0
    ),
    "second votes refused: 0, expected 1": lambda o: setattr(o, "doubles_refused", 0),
    "spoilt ballots refused: 0, expected 1": lambda o: setattr(o, "spoilt_refused", 0),
    "vote answered 500 internal_error: 1 times": lambda o: o.unexpected.update(
        ["vote answered 500 internal_error"]
    ),
    "tally: {'a': 3, 'b': 1}, expected {'a': 2, 'b': 1}": _set(
        "integrity", "tally", {"a": 3, "b": 1}
    ),
    "recount: {'a': 1, 'b': 1}, expected {'a': 2, 'b': 1}": _set(
        "integrity", "recount", {"a": 1, "b": 1}
    ),
    "the service says that tally and recount differ": _set("integrity", "equal", value=False),
    "ballots in the results: 4, expected 3": _set("results", "ballots", 4),
    "end of dashboard 2: closed with 1006, expected none": lambda o: setattr(
        o.dashboards[1], "ended", "closed with 1006"
    ),
    "last frame of dashboard 1": lambda o: o.dashboards[0].last.update(seq=3),
}


def test_election_without_a_fault_has_no_differences() -> None:
    assert differences(_good()) == []


@pytest.mark.parametrize("named", FAULTS)
def test_fault_is_found_and_named(named: str, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = _good()
    FAULTS[named](outcome)
    found = differences(outcome)
    assert [difference for difference in found if difference.startswith(named)] == found != []
    assert report(outcome, 1.0) == 1
    assert f"DIFFERENCE  {named}" in capsys.readouterr().out


def test_delay_runs_from_the_acknowledgement_to_the_first_frame_with_its_seq() -> None:
    found = delays(_good())
    assert [round(seconds, 3) for seconds in found] == [0.25, 0.15, 0.05, 0.05, 0.0, 0.3]
