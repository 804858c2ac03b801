"""Votes of every kind through both doors, held to the oracle; hypothesis makes failures small."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from benchmarks.audit_store import Sums
from fuzz import oracle, votes
from fuzz.identities import IDENTITIES
from fuzz.oracle import COUNTED, Ruling, judge
from fuzz.report import Report, dice
from fuzz.scenes import SHAPES, Organiser, Site
from fuzz.wire import Request
from fuzz.world import Ballot, Poll, RefusedError, Vote, World
from tests.live import Server

Counts = Callable[[str], Sums]


@pytest.fixture(scope="module")
def organiser(fuzzed: Server) -> Organiser:
    async def make() -> Organiser:
        async with Site(fuzzed.port) as site:
            return await site.organiser()

    return asyncio.run(make())


def _play(  # noqa: PLR0913, PLR0917 - as `votes.play`
    server: Server,
    organiser: Organiser,
    counts: Counts,
    draw: random.Random,
    steps: int,
    shapes: list[str] | None = None,
) -> Report:
    report = Report("votes")

    async def play() -> None:
        async with Site(server.port) as site:
            await votes.play(site, organiser, draw, report, counts, steps, shapes)

    asyncio.run(play())
    return report


@settings(
    max_examples=30,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(draw=st.randoms(use_true_random=False), shape=st.sampled_from(sorted(SHAPES)))
def test_both_doors_answer_every_vote_as_the_contract_says(
    fuzzed: Server, organiser: Organiser, counts: Counts, draw: random.Random, shape: str
) -> None:
    report = _play(fuzzed, organiser, counts, draw, 6, [shape])
    assert report.found == {}


def test_many_votes_in_polls_of_every_kind_are_answered_and_counted_as_the_contract_says(
    fuzzed: Server, organiser: Organiser, counts: Counts
) -> None:
    report = _play(fuzzed, organiser, counts, dice("suite"), 1200)
    assert report.found == {}
    assert report.inputs == 2400
    # The refusals hide one behind the other: each must have been reached.
    assert {
        *("201", "200", "204", "200 replayed", "204 replayed", "409 already_voted"),
        *("422 idempotency_key_reused", "410 poll_closed", "409 poll_not_open", "404 no_vote"),
        *("409 change_not_allowed", "403 code_invalid", "403 network_cap_reached"),
    } <= set(report.answers)


def _refuse(*_: object) -> None:
    raise RefusedError(oracle.INVALID_BALLOT)


def _ignore(*_: object) -> None:
    """Hold nothing against a request, and keep nothing of it."""


def _read_any_change(poll: Poll, method: str, fields: Mapping[str, Any]) -> Ballot | None:
    return None if method == "DELETE" else oracle.read_ballot(poll, fields)


def _confidential(read_as: Mapping[str, Any], of: Callable[..., Poll] = Poll.of) -> Poll:
    return of({**read_as, "secrecy": "confidential"})


def _say_nothing_of_changes(*args: Any, replay: Callable[..., Ruling] = oracle._replay) -> Ruling:
    return replace(replay(*args), told=frozenset())


@pytest.mark.parametrize(
    ("where", "name", "broken", "shape", "found"),
    [
        (oracle._KINDS, "single", _refuse, "single", "wrongly accepted"),
        (IDENTITIES, "device", _refuse, "single", "wrongly accepted"),
        (IDENTITIES, "code", _refuse, "codes", "wrongly accepted"),
        (oracle, "may_see", lambda *_, **__: False, "single", "a receipt whose results is wrong"),
        (oracle, "_require_retry", _ignore, "codes", "another answer"),
        (oracle, "_require_room", _ignore, "capped", "another answer"),
        (oracle, "_read_change", _read_any_change, "single", "another answer"),
        (
            oracle,
            "_replay",
            _say_nothing_of_changes,
            "changing",
            "a receipt whose members is wrong",
        ),
        (
            oracle,
            "own_vote",
            lambda *_: {},
            "secret",
            "a vote that is told otherwise than it stands",
        ),
        (Vote, "change", _ignore, "changing", "counted wrong: tally"),
        (Poll, "of", _confidential, "secret", "another answer"),
    ],
)
def test_control_service_that_differs_from_the_oracle_is_found_out(  # noqa: PLR0913, PLR0917 - fixtures
    fuzzed: Server,
    organiser: Organiser,
    counts: Counts,
    monkeypatch: pytest.MonkeyPatch,
    where: Any,
    name: str,
    broken: Callable[..., Any],
    shape: str,
    found: str,
) -> None:
    if isinstance(where, dict):
        monkeypatch.setitem(where, name, broken)
    else:
        monkeypatch.setattr(where, name, broken)
    assert found in _play(fuzzed, organiser, counts, dice("control"), 120, [shape]).found


def test_control_vote_that_is_counted_and_not_acknowledged_is_found_out(
    fuzzed: Server, organiser: Organiser, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget: list[Ruling] = []

    def take(ruling: Ruling, receipt: str) -> None:
        if forget:
            oracle.take(ruling, receipt)
        forget.append(ruling)

    monkeypatch.setattr(votes, "take", take)
    found = _play(
        fuzzed, organiser, counts, dice("control"), 60, ["approval of nobody in particular"]
    )
    assert {"counted wrong: participations", "counted wrong: ballots"} <= set(found.found)


def test_control_doors_that_differ_are_found_out(
    fuzzed: Server, organiser: Organiser, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(votes, "DOORS", ("", "door=2&door=2"))
    found = _play(fuzzed, organiser, counts, dice("control"), 30, ["single"]).found
    assert "the doors differ" in found


def test_faults_of_a_request_come_before_what_it_asks_for() -> None:
    poll = Poll("p", "single", ["a"], 1, 1, "open", "always", "open", "o")
    world = World("h", {"p": poll})
    path = "/api/v1/polls/p/votes/"
    json = (b"Content-Type", b"application/json")
    good = Request("POST", path, [json], b'{"choices":["a"]}')
    assert judge(world, good).may == {COUNTED}
    several = Request("POST", path, [(b"Idempotency-Key", b"x")], b"{")
    assert judge(world, several).may == {
        (400, "malformed"),
        (415, "unsupported_media_type"),
    }
    nowhere = Request("POST", "/api/v1/polls/q/votes/", [json], b'{"choices":[]}')
    assert judge(world, nowhere).may == {(404, "not_found")}
