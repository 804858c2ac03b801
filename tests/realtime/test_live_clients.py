"""The two example clients: they follow a poll to the exact count, whatever happens on the way."""

import json
import random
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from devtools.servers import free_port
from examples import live_client
from realtime.asyncapi import document
from realtime.outbox import HEARTBEAT_SECONDS
from tests.live import ROOT, Caller, Server
from tests.realtime.client import (
    Frame,
    State,
    apply,
    counts_of,
    results_of,
    status_of,
    vote_for,
)
from tests.realtime.followers import NODE, PATIENCE, PROGRAMS, following, relay
from tests.realtime.servers import OwnServer, TalkativeServer, serving

JAVASCRIPT = ROOT / "web/static/web/js/lib/live.js"
PYTHON = ROOT / "examples/live_client.py"

every_client = pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)


# -- on a real server --------------------------------------------------------------------------


@every_client
def test_client_follows_votes_to_the_exact_count_and_ends_with_the_poll(
    live: Server, organiser: Caller, program: tuple[str, ...]
) -> None:
    poll = organiser.make_poll(identity="open")
    with following(program, live.url + poll["links"]["live"]) as follower:
        assert follower.next() == {"state": counts_of(results_of(organiser, poll))}
        counted = vote_for(2, poll, live)
        results = results_of(organiser, poll)
        assert results["ballots"] == counted > 0
        said = follower.until_it_shows(counts_of(results))
        seqs = [each["state"]["seq"] for each in said]
        assert seqs == sorted(set(seqs))
        organiser.post(f"{poll['links']['self']}close/")
        closed = counts_of(results_of(organiser, poll))
        assert follower.end() == [{"state": closed}, {"over": 1000}]


@every_client
def test_client_resumes_from_its_seq_when_the_server_has_been_killed(
    program: tuple[str, ...],
) -> None:
    with OwnServer() as server:
        owner = server.sign_up()
        poll = owner.make_poll(identity="open")
        with (
            relay(server) as before,
            following(program, before.url + poll["links"]["live"]) as follower,
        ):
            vote_for(0.5, poll, server)
            results = results_of(owner, poll)
            follower.until_it_shows(counts_of(results))
            server.kill()
            time.sleep(1)
            server.start()
            counted = results["ballots"] + vote_for(0.5, poll, server)
            newer = results_of(owner, poll)
            assert newer["ballots"] == counted
            follower.until_it_shows(counts_of(newer))
            path = poll["links"]["live"]
            first, *later = (line for line in before.requests if line)
            assert first == f"GET {path} HTTP/1.1"
            assert set(later) == {f"GET {path}?since={results['seq']} HTTP/1.1"}
            follower.process.send_signal(signal.SIGTERM)
            assert follower.end()[-1] == {"over": 1000}


@every_client
def test_client_that_missed_nothing_is_told_nothing_twice(
    live: Server, organiser: Caller, program: tuple[str, ...]
) -> None:
    poll = organiser.make_poll()
    live.voter().vote(poll, 0)
    state = counts_of(results_of(organiser, poll))
    with (
        relay(live) as before,
        following(program, f"{before.url}{poll['links']['live']}?view=status") as follower,
    ):
        follower.until_it_shows(state)
        for round_ in range(1, 4):
            before.cut()
            _wait_for(lambda count=round_ + 1: len(before.requests) == count)  # type: ignore[misc]
            time.sleep(0.3)  # for the hello
        live.voter().vote(poll, 1)
        # The votes' frame is the next that it shows: the hellos have changed nothing.
        assert follower.next() == {"state": counts_of(results_of(organiser, poll))}
        assert len(before.requests) == 4
        seq = state["seq"]
        assert set(before.requests[1:]) == {
            f"GET {poll['links']['live']}?view=status&since={seq} HTTP/1.1"
        }


@every_client
def test_client_leaves_a_silent_connection(program: tuple[str, ...]) -> None:
    with serving(TalkativeServer) as server:  # a heartbeat each second
        owner = server.sign_up()
        poll = owner.make_poll()
        with (
            relay(server) as before,
            following(program, before.url + poll["links"]["live"], silence=2) as follower,
        ):
            follower.until_it_shows(counts_of(results_of(owner, poll)))
            time.sleep(3)
            assert len(before.requests) == 1  # heartbeats are no silence
            before.hold()
            server.voter().vote(poll, 1)
            _wait_for(lambda: len(before.came) >= 3)  # the first that follows is silent, too
            before.release()
            follower.until_it_shows(counts_of(results_of(owner, poll)))


@every_client
@pytest.mark.parametrize(
    ("case", "code"), [("hidden", 4403), ("unknown", 4404), ("bad query", 4400), ("ticket", 4401)]
)
def test_client_that_is_refused_for_good_does_not_come_back(
    live: Server, organiser: Caller, program: tuple[str, ...], case: str, code: int
) -> None:
    poll = organiser.make_poll(results_visibility="owner" if case == "hidden" else "always")
    path = poll["links"]["live"]
    if case == "unknown":
        path = path.replace(poll["id"], "01890000-0000-7000-8000-000000000000")
    path += "?x=1" if case == "bad query" else ""
    how = {"ticket": "none"} if case == "ticket" else {}
    with (
        relay(live) as before,
        following(program, before.url + path, **how) as follower,
    ):
        said = follower.end()
        assert said[-1] == {"over": code}
        assert [each for each in said[:-1] if each != {"state": None}] == (
            [{"state": counts_of(results_of(organiser, poll))}] if case == "ticket" else []
        )
        assert len(before.requests) == 1


@every_client
def test_client_comes_back_while_a_server_is_full(program: tuple[str, ...]) -> None:
    with serving(CrowdedServer) as server:
        owner = server.sign_up()
        poll = owner.make_poll()
        url = server.url + poll["links"]["live"]
        with following(program, url) as first:
            first.until_it_shows(counts_of(results_of(owner, poll)))
            with (
                relay(server) as before,
                following(program, before.url + poll["links"]["live"]) as second,
            ):
                _wait_for(lambda: len(before.requests) >= 3)
                first.process.send_signal(signal.SIGTERM)
                first.end()
                second.until_it_shows(counts_of(results_of(owner, poll)))


@every_client
def test_client_brings_a_new_ticket_to_every_connection(
    live: Server, organiser: Caller, program: tuple[str, ...]
) -> None:
    poll = organiser.make_poll(results_visibility="owner")
    tickets = _tickets(live, organiser, poll)
    with (
        relay(live) as before,
        following(program, before.url + poll["links"]["live"], tickets=tickets) as follower,
    ):
        for ballots in range(3):
            state = counts_of(results_of(organiser, poll))
            assert state["ballots"] == ballots
            follower.until_it_shows(state)
            before.cut()
            live.voter().vote(poll, 0)
        follower.until_it_shows(counts_of(results_of(organiser, poll)))
        assert len(before.requests) == 4
        assert "ticket" not in " ".join(before.requests)


@every_client
def test_client_that_waits_for_a_ticket_in_vain_asks_for_another(
    live: Server, organiser: Caller, program: tuple[str, ...]
) -> None:
    poll = organiser.make_poll(results_visibility="owner")
    state = counts_of(results_of(organiser, poll))
    with relay(live) as desk, relay(live) as before:
        desk.hold()
        tickets = {**_tickets(live, organiser, poll), "url": f"{desk.url}/api/v1/live-tickets/"}
        url = before.url + poll["links"]["live"]
        with following(program, url, tickets=tickets, silence=1.5) as follower:
            _wait_for(lambda: len(desk.came) >= 2)
            assert before.came == []
            desk.release()
            follower.until_it_shows(state)
            desk.cut()


@every_client
def test_client_shows_the_status_and_then_the_results_as_they_open(
    live: Server, organiser: Caller, program: tuple[str, ...]
) -> None:
    poll = organiser.make_poll(results_visibility="after_close")
    status = status_of(poll)
    del status["type"]
    with following(program, f"{live.url}{poll['links']['live']}?view=status") as follower:
        assert follower.next() == {"state": status}
        organiser.post(f"{poll['links']['self']}close/")
        said = follower.end()
        assert said[-2:] == [
            {"state": counts_of(results_of(organiser, poll))},
            {"over": 1000},
        ]


def test_python_client_prints_the_counts_by_name(live: Server, organiser: Caller) -> None:
    poll, hidden = organiser.make_poll(), organiser.make_poll(results_visibility="owner")
    command = [sys.executable, str(PYTHON), live.url]
    program = subprocess.Popen([*command, poll["id"]], cwd="/", stdout=subprocess.PIPE, text=True)
    timer = threading.Timer(PATIENCE, program.kill)
    timer.start()
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == "open 1 · Pizza 0, Sushi 0\n"
        live.voter().vote(poll, 1)
        assert program.stdout.readline() == "open 2 · Pizza 0, Sushi 1\n"
        organiser.post(f"{poll['links']['self']}close/")
        assert program.stdout.read() == "closed 3 · Pizza 0, Sushi 1\n"
        assert program.wait(PATIENCE) == 0
    finally:
        timer.cancel()
        program.kill()
        assert program.stdout is not None
        program.stdout.close()
    refused = subprocess.run(
        [*command, hidden["id"]], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert re.fullmatch("4403: [A-Z].+\n", refused.stderr)
    for wrong, line in {
        (live.url,): "not enough values to unpack (expected 3, got 2)",
        ("localhost", poll["id"]): "unknown url type: ",
        (live.url, str(uuid.uuid4())): "HTTP Error 404: Not Found",
        (f"http://127.0.0.1:{free_port()}", poll["id"]): "<urlopen error [Errno 111] ",
    }.items():
        told = subprocess.run(
            [sys.executable, str(PYTHON), *wrong], capture_output=True, text=True, check=False
        )
        assert (told.returncode, told.stderr[: len(line)]) == (1, line)
        assert "Traceback" not in told.stderr


class CrowdedServer(OwnServer):
    """`make run` with room for one socket."""

    def command(self) -> list[str]:
        """Change the setting, then run the module as ever."""
        more = (
            "import runpy, django; from django.conf import settings; django.setup(); "
            "settings.MAX_SOCKETS = 1; "
            "runpy.run_module('polls_project.serve', run_name='__main__', alter_sys=True)"
        )
        return [sys.executable, "-c", more]


def _tickets(server: Server, caller: Caller, poll: dict[str, Any]) -> dict[str, Any]:
    """Return how a client fetches the caller's tickets for a poll."""
    return {
        "url": f"{server.url}/api/v1/live-tickets/",
        "headers": {**caller.headers, "Content-Type": "application/json"},
        "body": {"polls": [poll["id"]]},
    }


def _wait_for(happens: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


# -- the pure functions --------------------------------------------------------------------------

LISTS = 60


def _count(poll: dict[str, Any], seq: int) -> dict[str, Any]:
    return {
        "poll": poll["id"],
        "status": "open",
        "seq": seq,
        "ballots": seq // 2,
        "options": [{"id": o["id"], "votes": seq // (place + 2)} for place, o in poll["options"]],
    }


def _stormy(chance: random.Random) -> list[Frame]:
    """Return a poll's frames as a bad day has them: lost, doubled, reordered; the newest last."""
    ids = [f"01980c5e-8f00-7000-8000-{number:012x}" for number in range(4)]
    poll = {"id": ids[0], "options": list(enumerate({"id": i} for i in ids[1:]))}
    newest = chance.randint(2, 30)
    counts = [_count(poll, seq) for seq in range(1, newest + 1)]
    frames: list[Frame] = [{"type": "tally", **count} for count in counts]
    frames += [{"type": "snapshot", **count} for count in chance.sample(counts, newest // 3)]
    frames = [frame for frame in frames for _ in range(chance.choice([0, 1, 1, 2]))]
    moments = {"opens_at": None, "closes_at": "2030-01-31T20:00:00Z"}
    frames += [{"type": "status", "poll": ids[0], "status": "open", **moments}]
    frames += [{"type": "hello", "poll": ids[0], "seq": newest}, {"type": "pong"}]
    frames += [{"type": "heartbeat"}, {"type": "heartbeat", "seq": newest}]
    codes = protocol_codes()
    frames += [{"type": "error", "code": code, "detail": "x"} for code in chance.sample(codes, 2)]
    chance.shuffle(frames)
    return [*frames, {"type": chance.choice(["tally", "snapshot"]), **counts[-1]}]


def protocol_codes() -> list[str]:
    codes: list[str] = document(host="x", secure=False)["components"]["schemas"]["code"]["enum"]
    return codes


def _states(
    reducer: Callable[[State | None, Frame], State | None], frames: list[Frame]
) -> list[State | None]:
    state: State | None = None
    return [state := reducer(state, frame) for frame in frames]


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What both languages are asked, and what JavaScript answers."""
    chance = random.Random(20301)
    asked: dict[str, Any] = {
        "lists": [_stormy(chance) for _ in range(LISTS)],
        "delays": [[n, part] for n in (0, 1, 2, 4, 5, 30, 5000) for part in (0, 0.25, 0.5, 0.999)],
        "samples": [[n, 2000] for n in (0, 3, 5, 40)],
    }
    file = tmp_path_factory.mktemp("vectors") / "vectors.json"
    file.write_text(json.dumps(asked))
    done = subprocess.run(
        [*NODE, json.dumps({"vectors": str(file)})],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return {**asked, "javascript": json.loads(done.stdout)}


def test_state_after_a_storm_is_the_newest_count(vectors: dict[str, Any]) -> None:
    for frames in vectors["lists"]:
        newest = {name: value for name, value in frames[-1].items() if name != "type"}
        assert _states(apply, frames)[-1] == newest
        assert newest["seq"] == max(frame.get("seq", 0) for frame in frames)


def test_both_clients_make_the_states_that_the_tests_own_reducer_makes(
    vectors: dict[str, Any],
) -> None:
    expected = [_states(apply, frames) for frames in vectors["lists"]]
    assert [_states(live_client.apply, frames) for frames in vectors["lists"]] == expected
    assert vectors["javascript"]["states"] == expected
    # The storms hold what tells a reducer from one that takes whatever comes.
    assert {frame["type"] for frames in vectors["lists"] for frame in frames} == {
        *("snapshot", "tally", "status", "hello", "heartbeat", "pong", "error")
    }
    kept = [
        state is not None and state["seq"] > frame["seq"]
        for frames, states in zip(vectors["lists"], expected, strict=True)
        for frame, state in zip(frames, states, strict=True)
        if frame["type"] == "tally"
    ]
    assert kept.count(True) > LISTS
    final = {**_stormy(random.Random(1))[-1], "type": "closed", "status": "closed", "final": True}
    assert live_client.apply(None, final) == apply(None, final)


def test_a_reducer_that_takes_any_tally_is_found(vectors: dict[str, Any]) -> None:
    def careless(state: State | None, frame: Frame) -> State | None:
        return apply(None if frame["type"] == "tally" else state, frame)

    assert any(_states(careless, frames) != _states(apply, frames) for frames in vectors["lists"])


def test_delay_is_the_whole_of_a_growing_time_by_chance(vectors: dict[str, Any]) -> None:
    expected = [part * min(15.0, 0.5 * 2.0 ** min(n, 99)) for n, part in vectors["delays"]]
    assert [live_client.delay(n, part) for n, part in vectors["delays"]] == pytest.approx(expected)
    assert vectors["javascript"]["delays"] == pytest.approx(expected)


@every_client
def test_delays_of_many_are_spread_over_the_whole_time(
    vectors: dict[str, Any], program: tuple[str, ...]
) -> None:
    for place, (failures, count) in enumerate(vectors["samples"]):
        found: Sequence[float] = (
            vectors["javascript"]["samples"][place]
            if program is NODE
            else [live_client.delay(failures) for _ in range(count)]
        )
        most = min(15.0, 0.5 * 2**failures)
        tenths = [0] * 10
        for seconds in found:
            assert 0 <= seconds < most
            tenths[int(seconds / most * 10)] += 1
        # Two hundred each, less what a chance of one in a million allows for.
        assert all(120 < tenth < 290 for tenth in tenths), tenths


def test_clients_know_the_lasting_close_codes_of_the_document(vectors: dict[str, Any]) -> None:
    codes = document(host="x", secure=False)["x-close-codes"]
    lasting = {entry["code"] for entry in codes if not entry["reconnect"]}
    assert lasting == live_client.LASTING
    assert lasting == set(vectors["javascript"]["lasting"])


def test_clients_are_more_patient_than_heartbeats_are_rare() -> None:
    assert live_client.SILENCE_SECONDS >= HEARTBEAT_SECONDS + 5
    milliseconds = f"SILENCE_MS = {live_client.SILENCE_SECONDS * 1000:_.0f};"
    assert milliseconds in JAVASCRIPT.read_text(encoding="utf-8")


@pytest.mark.parametrize("source", [JAVASCRIPT, PYTHON], ids=lambda path: path.name)
def test_client_is_read_in_one_sitting(source: Path) -> None:
    lines = source.read_text(encoding="utf-8").splitlines()
    assert len(lines) < 150
    assert max(map(len, lines)) <= 110
