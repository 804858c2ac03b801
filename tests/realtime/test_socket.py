"""/ws/polls/{id}/: what a dashboard that may see results is told, frame by frame."""

import time
from contextlib import ExitStack
from itertools import pairwise

import pytest

from polls.errors import CATALOGUE, Code
from tests.live import Caller, Server
from tests.realtime.client import (
    PATIENCE,
    closed_of,
    dashboard,
    error_of,
    results_of,
    snapshot_of,
    tally_of,
    ticket_for,
    vote_for,
)
from tests.realtime.servers import TalkativeServer, serving

NO_SUCH_POLL = "01890000-0000-7000-8000-000000000000"
NOT_FOUND = CATALOGUE[Code.NOT_FOUND].remedy


def test_first_frame_is_a_snapshot_equal_to_the_results(live: Server, organiser: Caller) -> None:
    poll = organiser.make_poll(options=[{"text": str(n)} for n in range(5)])
    live.voter().vote(poll, 3)
    with dashboard(live, poll) as screen:
        assert screen.frame() == snapshot_of(results_of(organiser, poll))
        screen.silence(0.5)


def test_vote_is_told_by_a_tally_equal_to_the_results(live: Server, organiser: Caller) -> None:
    poll = organiser.make_poll()
    with dashboard(live, poll) as screen:
        screen.frame()
        receipt = live.voter().vote(poll, 1).json()
        tally = screen.frame()
        assert tally == tally_of(receipt["results"])
        assert (tally["seq"], tally["ballots"]) == (receipt["seq"], 1)
        screen.silence(0.5)


def test_every_socket_of_a_poll_is_told_the_same_and_no_socket_of_another(
    live: Server, organiser: Caller
) -> None:
    poll, other = organiser.make_poll(), organiser.make_poll()
    with (
        dashboard(live, poll) as one,
        dashboard(live, poll) as two,
        dashboard(live, other) as elsewhere,
    ):
        for screen in (one, two, elsewhere):
            screen.frame()
        live.voter().vote(poll, 0)
        assert one.frame() == two.frame() == tally_of(results_of(organiser, poll))
        elsewhere.silence(0.5)


def test_many_votes_are_told_by_one_tally_a_tick_at_most(live: Server, organiser: Caller) -> None:
    poll = organiser.make_poll(identity="open")
    with dashboard(live, poll) as screen:
        first = screen.frame()
        began = time.monotonic()
        counted = vote_for(3, poll, live)
        last = screen.until_ballots(counted)
        ticks = (time.monotonic() - began) / 0.1
    tallies = screen.frames[1:]
    assert {frame["type"] for frame in tallies} == {"tally"}
    assert all(before["seq"] < after["seq"] for before, after in pairwise(screen.frames))
    # One more than the whole ticks that have passed: the first is told at once.
    assert 2 <= len(tallies) <= ticks + 1
    # Without ticks there would have been a frame for each seq.
    assert last["seq"] - first["seq"] > len(tallies)
    assert last == tally_of(results_of(organiser, poll))


def test_tick_is_as_long_as_the_operator_says() -> None:
    with serving(TICK_MS="500") as server:
        poll = server.sign_up().make_poll(identity="open")
        with dashboard(server, poll) as screen:
            screen.frame()
            began = time.monotonic()
            counted = vote_for(1.5, poll, server)
            screen.until_ballots(counted)
            ticks = (time.monotonic() - began) / 0.5
    assert 2 <= len(screen.frames[1:]) <= ticks + 1


def test_since_is_answered_with_hello_only_where_nothing_has_changed(
    live: Server, organiser: Caller
) -> None:
    poll = organiser.make_poll()
    live.voter().vote(poll, 0)
    results = results_of(organiser, poll)
    seq = results["seq"]
    with dashboard(live, poll, f"?since={seq}") as screen:
        assert screen.frame() == {"type": "hello", "poll": poll["id"], "seq": seq}
        live.voter().vote(poll, 0)
        newer = results_of(organiser, poll)
        assert screen.frame() == tally_of(newer)
    for other in (0, seq, newer["seq"] + 1, 2**63 - 1):
        with dashboard(live, poll, f"?since={other}") as screen:
            assert screen.frame() == snapshot_of(newer)


def test_closing_is_told_once_with_the_results_and_ends_the_socket(
    live: Server, organiser: Caller
) -> None:
    poll = organiser.make_poll()
    with dashboard(live, poll) as screen, dashboard(live, poll) as pinging:
        screen.frame()
        pinging.frame()
        live.voter().vote(poll, 1)
        organiser.post(f"{poll['links']['self']}close/")
        last = screen.until_type("closed")
        began = time.monotonic()
        assert last == closed_of(results_of(organiser, poll))
        # Whatever changes in the five seconds that are left: it was the last word.
        organiser.call("PATCH", poll["links"]["self"], {"title": "Dinner?"})
        pinging.until_type("closed")
        pinging.ping()
        assert screen.end() == ([], 1000)
        assert 4 < time.monotonic() - began < PATIENCE
        assert pinging.end() == ([], 1000)


def test_joining_a_closed_poll_is_told_so_first_and_ends(live: Server, organiser: Caller) -> None:
    poll = organiser.make_poll()
    live.voter().vote(poll, 0)
    organiser.post(f"{poll['links']['self']}close/")
    results = results_of(organiser, poll)
    with ExitStack() as opened:
        screens = [
            opened.enter_context(dashboard(live, poll, query))
            for query in ("", "?since=0", f"?since={results['seq']}", "?view=status")
        ]
        # A client that always brings a ticket does not keep the socket open with it.
        ticket = ticket_for(organiser, poll)
        screens.append(opened.enter_context(dashboard(live, poll, ticket=ticket)))
        began = time.monotonic()
        for screen in screens:
            assert screen.end() == ([closed_of(results)], 1000)
            assert time.monotonic() - began > 4


def test_ping_is_answered_with_pong(live: Server, organiser: Caller) -> None:
    with dashboard(live, organiser.make_poll()) as screen:
        screen.frame()
        for _ in range(3):
            screen.ping()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/ws/polls/",
        "/ws/polls/lunch/",
        "/ws/polls/%00/",
        "/ws/polls/%FF%FE/",
        f"/ws/polls/{NO_SUCH_POLL}",
        f"/ws/polls/{NO_SUCH_POLL}/x/",
        f"/WS/polls/{NO_SUCH_POLL}/",
        f"/ws/polls/{NO_SUCH_POLL.replace('-', '')}/",
        "/api/v1/polls/",
    ],
)
def test_path_without_a_socket_is_refused_as_an_unknown_poll(live: Server, path: str) -> None:
    with dashboard(live, path) as screen:
        frames, code = screen.end()
    assert frames == [{"type": "error", "code": "not_found", "detail": NOT_FOUND}]
    assert code == 4404


def test_deleting_a_poll_ends_its_sockets(live: Server, organiser: Caller) -> None:
    poll, other = organiser.make_poll(), organiser.make_poll()
    with (
        dashboard(live, poll) as screen,
        dashboard(live, poll, "?view=status") as phone,
        dashboard(live, other) as elsewhere,
    ):
        for opened in (screen, phone, elsewhere):
            opened.frame()
        began = time.monotonic()
        assert organiser.call("DELETE", poll["links"]["self"]).status_code == 204
        for opened in (screen, phone):
            assert opened.end() == ([error_of(poll, "not_found", NOT_FOUND)], 4404)
        assert time.monotonic() - began < PATIENCE / 2
        elsewhere.ping()


def test_draft_is_for_everybody_but_its_owner_what_no_poll_is(
    live: Server, organiser: Caller
) -> None:
    draft, nothing = organiser.make_poll(status="draft"), {"id": NO_SUCH_POLL}
    outsider = ticket_for(live.sign_up(), organiser.make_poll())
    began = time.monotonic()
    with (
        dashboard(live, f"/ws/polls/{NO_SUCH_POLL}/") as lost,
        dashboard(live, draft) as screen,
        dashboard(live, draft, "?view=status") as phone,
        dashboard(live, draft, ticket=outsider) as with_ticket,
    ):
        assert with_ticket.end() == ([error_of(draft, "not_found", NOT_FOUND)], 4404)
        for opened, poll in ((lost, nothing), (screen, draft), (phone, draft)):
            assert opened.end() == ([error_of(poll, "not_found", NOT_FOUND)], 4404)
            # The time for a ticket is given in any case: it tells nothing of drafts.
            assert 2.5 < time.monotonic() - began < PATIENCE
    with dashboard(live, draft, ticket=ticket_for(organiser, draft)) as screen:
        assert screen.frame() == snapshot_of(results_of(organiser, draft))
        organiser.post(f"{draft['links']['self']}open/")
        assert screen.frame() == tally_of(results_of(organiser, draft))
        assert screen.frames[-1]["status"] == "open"


def test_silence_is_broken_by_heartbeats_with_the_seq_of_those_who_may_know_it() -> None:
    with serving(TalkativeServer) as server:
        owner = server.sign_up()
        poll = owner.make_poll()
        hidden = owner.make_poll(results_visibility="owner")
        with (
            dashboard(server, poll) as screen,
            dashboard(server, hidden, "?view=status") as phone,
        ):
            assert screen.frame()["type"] == "snapshot"
            assert phone.frame()["type"] == "status"
            seq = results_of(owner, poll)["seq"]
            for _ in range(2):
                assert screen.frame() == {"type": "heartbeat", "seq": seq}
                assert phone.frame() == {"type": "heartbeat"}
            server.voter().vote(poll, 0)
            newer = results_of(owner, poll)
            assert screen.until_type("tally") == tally_of(newer)
            assert screen.frame() == {"type": "heartbeat", "seq": newer["seq"]}


def test_shutdown_is_told_by_1012() -> None:
    with serving() as server:
        poll = server.sign_up().make_poll()
        hidden = server.sign_up().make_poll(results_visibility="owner")
        with (
            dashboard(server, poll) as screen,
            dashboard(server, hidden) as waiting,
            dashboard(server, hidden, "?view=status") as phone,
        ):
            screen.frame()
            phone.frame()
            began = time.monotonic()
            server.stop()
            assert time.monotonic() - began < 10
            for opened in (screen, waiting, phone):
                assert opened.end() == ([], 1012)
