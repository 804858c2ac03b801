"""`/ws/`: many polls on one socket, each with its own beginning, rights and end."""

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from polls.errors import CATALOGUE, Code
from realtime import reception, subscription
from realtime.runtime import runtime
from tests.cast import Person, voter
from tests.live import Caller, Server
from tests.realtime.client import (
    Dashboard,
    Frame,
    closed_of,
    dashboard,
    error_of,
    results_of,
    snapshot_of,
    status_of,
    tally_of,
    ticket_for,
)
from tests.realtime.inside import TICK, InnerSocket, Inside
from tests.realtime.servers import DaphneServer, TalkativeServer, serving

PATH = "/ws/"
HIDDEN = "They are shown to its organisers and viewers alone."


@pytest.fixture
def screen(live: Server) -> Iterator[Dashboard]:
    with dashboard(live, PATH) as opened:
        yield opened


def subscribe(*polls: dict[str, Any], **how: Any) -> Frame:
    return {"type": "subscribe", "polls": [{"poll": poll["id"], **how} for poll in polls]}


def unsubscribe(*polls: dict[str, Any]) -> Frame:
    return {"type": "unsubscribe", "polls": [poll["id"] for poll in polls]}


def _by_poll(screen: Dashboard, count: int) -> dict[str, Frame]:
    frames = [screen.frame() for _ in range(count)]
    found = {frame["poll"]: frame for frame in frames}
    assert len(found) == count
    return found


def test_each_poll_begins_with_its_snapshot_and_moves_alone(
    live: Server, organiser: Caller, screen: Dashboard
) -> None:
    polls = [organiser.make_poll() for _ in range(3)]
    live.voter().vote(polls[1], 0)
    screen.say(subscribe(*polls))
    assert _by_poll(screen, 3) == {
        poll["id"]: snapshot_of(results_of(organiser, poll)) for poll in polls
    }
    for poll in polls:
        assert live.voter().vote(poll, 1).status_code == 201
        assert screen.frame() == tally_of(results_of(organiser, poll))
    screen.silence(0.3)


def test_client_that_is_up_to_date_is_only_greeted(
    live: Server, organiser: Caller, screen: Dashboard
) -> None:
    old, new = organiser.make_poll(), organiser.make_poll()
    live.voter().vote(old, 0)
    screen.say({"type": "subscribe", "polls": [_since(old, 1), _since(new, 1)]})
    assert _by_poll(screen, 2) == {
        old["id"]: snapshot_of(results_of(organiser, old)),
        new["id"]: {"type": "hello", "poll": new["id"], "seq": 1},
    }


def _since(poll: dict[str, Any], seq: int) -> dict[str, Any]:
    return {"poll": poll["id"], "since": seq}


def test_unsubscribed_poll_is_silent_and_the_others_are_not(
    live: Server, organiser: Caller, screen: Dashboard
) -> None:
    gone, kept, never = (organiser.make_poll() for _ in range(3))
    screen.say(subscribe(gone, kept))
    _by_poll(screen, 2)
    screen.say(unsubscribe(gone, never))
    screen.ping()
    live.voter().vote(gone, 0)
    live.voter().vote(kept, 0)
    assert screen.frame() == tally_of(results_of(organiser, kept))
    screen.silence(0.3)
    screen.say(subscribe(gone))
    assert screen.frame() == snapshot_of(results_of(organiser, gone))


def test_subscribing_again_begins_again(live: Server, organiser: Caller, screen: Dashboard) -> None:
    poll = organiser.make_poll()
    for _ in range(3):
        screen.say(subscribe(poll))
        assert screen.frame() == snapshot_of(results_of(organiser, poll))
    live.voter().vote(poll, 0)
    assert screen.frame() == tally_of(results_of(organiser, poll))  # and once only
    screen.silence(0.3)


def test_refusal_of_one_poll_leaves_the_socket_and_the_others(
    live: Server, organiser: Caller, screen: Dashboard
) -> None:
    seen = organiser.make_poll()
    draft = organiser.make_poll(status="draft")
    hidden = organiser.make_poll(results_visibility="owner")
    unknown = {"id": str(uuid.uuid4())}
    screen.say(subscribe(seen, draft, hidden, unknown))
    assert screen.frame() == snapshot_of(results_of(organiser, seen))
    screen.silence(2)  # for a ticket may come
    missing = CATALOGUE[Code.NOT_FOUND].remedy
    assert _by_poll(screen, 3) == {
        draft["id"]: error_of(draft, "not_found", missing),
        hidden["id"]: error_of(hidden, "results_hidden", HIDDEN),
        unknown["id"]: error_of(unknown, "not_found", missing),
    }
    live.voter().vote(seen, 0)
    assert screen.frame() == tally_of(results_of(organiser, seen))


@pytest.mark.parametrize("first", ["ticket", "subscription"])
def test_ticket_speaks_for_the_polls_it_names_and_for_no_other(
    organiser: Caller, screen: Dashboard, first: str
) -> None:
    named, other = (organiser.make_poll(results_visibility="owner") for _ in range(2))
    said = [{"type": "auth", "ticket": ticket_for(organiser, named)}, subscribe(named, other)]
    for frame in said if first == "ticket" else reversed(said):
        screen.say(frame)
    assert screen.frame() == snapshot_of(results_of(organiser, named))
    assert screen.frame() == error_of(other, "results_hidden", HIDDEN)
    screen.ping()


def test_several_tickets_add_up(live: Server, organiser: Caller, screen: Dashboard) -> None:
    else_ = live.sign_up()
    mine = organiser.make_poll(results_visibility="owner")
    theirs = else_.make_poll(results_visibility="owner")
    screen.say(subscribe(mine, theirs))
    for caller, poll in ((organiser, mine), (else_, theirs)):
        screen.say({"type": "auth", "ticket": ticket_for(caller, poll)})
        assert screen.frame() == snapshot_of(results_of(caller, poll))
    screen.silence(0.3)


def test_ticket_that_is_no_good_ends_the_socket(organiser: Caller, screen: Dashboard) -> None:
    screen.say(subscribe(organiser.make_poll()))
    screen.frame()
    screen.say({"type": "auth", "ticket": "x"})
    frames, code = screen.end()
    assert [(frame["code"], "poll" in frame) for frame in frames] == [
        ("authentication_required", False)
    ]
    assert code == 4401


def test_status_view_becomes_a_snapshot_when_results_open(
    organiser: Caller, screen: Dashboard
) -> None:
    poll = organiser.make_poll(results_visibility="owner")
    screen.say(subscribe(poll, view="status"))
    assert screen.frame() == status_of(poll)
    organiser.call("PATCH", poll["links"]["self"], {"results_visibility": "always"})
    screen.until_results_open(results_of(organiser, poll))


def test_results_that_are_hidden_later_end_the_one_subscription(
    live: Server, organiser: Caller, screen: Dashboard
) -> None:
    poll, other = organiser.make_poll(), organiser.make_poll()
    screen.say(subscribe(poll, other))
    _by_poll(screen, 2)
    organiser.call("PATCH", poll["links"]["self"], {"results_visibility": "owner"})
    remedy = CATALOGUE[Code.RESULTS_HIDDEN].remedy
    assert screen.frame() == error_of(poll, "results_hidden", remedy)
    live.voter().vote(poll, 0)
    live.voter().vote(other, 0)
    assert screen.frame() == tally_of(results_of(organiser, other))


def test_closed_and_deleted_polls_end_and_the_socket_stays(
    organiser: Caller, screen: Dashboard
) -> None:
    closed, deleted = organiser.make_poll(), organiser.make_poll()
    screen.say(subscribe(closed, deleted))
    _by_poll(screen, 2)
    organiser.post(f"{closed['links']['self']}close/")
    last = closed_of(results_of(organiser, closed))
    assert screen.frame() == last
    organiser.call("DELETE", deleted["links"]["self"])
    missing = CATALOGUE[Code.NOT_FOUND].remedy
    assert screen.frame() == error_of(deleted, "not_found", missing)
    screen.silence(6)  # a socket of one poll would be closed by now
    screen.say(subscribe(closed))
    assert screen.frame() == last


def test_row_15_socket_has_100_polls_at_most(organiser: Caller, screen: Dashboard) -> None:
    poll = organiser.make_poll()
    wait = [{"id": str(uuid.uuid4())} for _ in range(99)]
    screen.say(subscribe(*wait[:50]))
    screen.say(subscribe(*wait[50:], poll))
    assert screen.frame()["poll"] == poll["id"]
    more = organiser.make_poll()
    screen.say(subscribe(more))
    detail = "A socket has 100 polls at most."
    assert screen.frame() == error_of(more, "too_many", detail)
    screen.say(unsubscribe(wait[0]))
    screen.say(subscribe(more))
    assert screen.frame() == snapshot_of(results_of(organiser, more))


POLL = "01890a5d-ac96-774b-bcce-b302099a8057"
BAD = {
    "no polls": {"type": "subscribe"},
    "none": {"type": "subscribe", "polls": []},
    "not a list": {"type": "subscribe", "polls": {"poll": POLL}},
    "a bare id": {"type": "subscribe", "polls": [POLL]},
    "a null": {"type": "subscribe", "polls": [None]},
    "no id": {"type": "subscribe", "polls": [{"since": 1}]},
    "not an id": {"type": "subscribe", "polls": [{"poll": "x"}]},
    "a group": {"type": "subscribe", "polls": [{"poll": "poll.x!*"}]},
    "too long an id": {"type": "subscribe", "polls": [{"poll": "0" * 101}]},
    "an id in capitals": {"type": "subscribe", "polls": [{"poll": POLL.upper()}]},
    "an id without hyphens": {"type": "subscribe", "polls": [{"poll": POLL.replace("-", "")}]},
    "an id in braces": {"type": "subscribe", "polls": [{"poll": "{" + POLL + "}"}]},
    "a number for an id": {"type": "subscribe", "polls": [{"poll": 1}]},
    "an unknown field": {"type": "subscribe", "polls": [{"poll": POLL, "x": 1}]},
    "one more field": {"type": "subscribe", "polls": [{"poll": POLL}], "x": 1},
    "since a text": {"type": "subscribe", "polls": [{"poll": POLL, "since": "1"}]},
    "since true": {"type": "subscribe", "polls": [{"poll": POLL, "since": True}]},
    "since a fraction": {"type": "subscribe", "polls": [{"poll": POLL, "since": 1.0}]},
    "since below zero": {"type": "subscribe", "polls": [{"poll": POLL, "since": -1}]},
    "since nothing": {"type": "subscribe", "polls": [{"poll": POLL, "since": None}]},
    "another view": {"type": "subscribe", "polls": [{"poll": POLL, "view": "results"}]},
    "twice the same": {"type": "subscribe", "polls": [{"poll": POLL}, {"poll": POLL}]},
    "unsubscribe from none": {"type": "unsubscribe", "polls": []},
    "unsubscribe twice": {"type": "unsubscribe", "polls": [POLL, POLL]},
    "unsubscribe an object": {"type": "unsubscribe", "polls": [{"poll": POLL}]},
    "unsubscribe a number": {"type": "unsubscribe", "polls": [1]},
    "another type": {"type": "publish", "polls": [{"poll": POLL}]},
}


@pytest.mark.parametrize("what", BAD)
def test_bad_frame_ends_the_socket(screen: Dashboard, what: str) -> None:
    screen.say(BAD[what])
    frames, code = screen.end()
    assert [(frame["code"], "poll" in frame) for frame in frames] == [("malformed", False)]
    assert code == 4400


@pytest.mark.parametrize("kind", ["subscribe", "unsubscribe"])
def test_socket_of_one_poll_subscribes_to_no_other(
    live: Server, organiser: Caller, kind: str
) -> None:
    poll, other = organiser.make_poll(), organiser.make_poll()
    with dashboard(live, poll) as one:
        one.frame()
        one.say(subscribe(other) if kind == "subscribe" else unsubscribe(poll))
        frames, code = one.end()
        assert ([frame["code"] for frame in frames], code) == (["malformed"], 4400)


@pytest.mark.parametrize("query", ["?since=1", "?view=status", "?x"])
def test_path_takes_no_query(live: Server, query: str) -> None:
    with dashboard(live, PATH, query) as screen:
        frames, code = screen.end()
        assert ([frame["code"] for frame in frames], code) == (["malformed"], 4400)


def test_flood_of_frames_is_refused(screen: Dashboard) -> None:
    for _ in range(101):
        screen.say(unsubscribe({"id": POLL}))
    frames, code = screen.end()
    assert ([frame["code"] for frame in frames], code) == (["too_many"], 4429)


def test_subscribing_again_and_again_waits_its_turn(organiser: Caller, screen: Dashboard) -> None:
    poll = organiser.make_poll()
    began = time.monotonic()
    for _ in range(10):
        screen.say(subscribe(poll))
    for _ in range(10):
        assert screen.frame()["type"] == "snapshot"
    assert time.monotonic() - began > reception.READING_SECONDS * 5


def test_heartbeat_names_no_seq() -> None:
    with serving(TalkativeServer) as server:  # a heartbeat each second, so the poll comes first
        poll = server.sign_up().make_poll()
        with dashboard(server, PATH) as screen:
            screen.say(subscribe(poll))
            assert screen.until_type("snapshot")["poll"] == poll["id"]
            assert screen.frame() == {"type": "heartbeat"}


def test_daphne_carries_many_polls_and_ends_what_is_malformed() -> None:
    with serving(DaphneServer) as server, dashboard(server, PATH) as screen:
        owner = server.sign_up()
        polls = [owner.make_poll() for _ in range(3)]
        screen.say(subscribe(*polls))
        assert {frame["type"] for frame in _by_poll(screen, 3).values()} == {"snapshot"}
        for poll in polls:
            server.voter().vote(poll, 0)
            assert screen.frame() == tally_of(results_of(owner, poll))
        screen.say(BAD["not an id"])
        assert screen.end()[1] == 4400


@pytest.mark.parametrize("offers_frames", [True, False])
def test_nothing_is_watched_for_a_socket_that_has_left_its_polls(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch, *, offers_frames: bool
) -> None:
    monkeypatch.setattr(subscription, "AUTH_SECONDS", 0.2)
    inside.offers_frames = offers_frames
    tasks = inside.tasks()
    polls = [alice.make_poll() for _ in range(20)]
    sockets = [InnerSocket(inside, PATH) for _ in range(6)]
    for socket in sockets:
        socket.say(subscribe(*polls, {"id": str(uuid.uuid4())}))
        socket.until(21)
        assert len([f for f in socket.frames if f["type"] == "error"]) == 1
        socket.say(unsubscribe(*polls[:19]))
    inside.wait_until(lambda: len(runtime.hub.watched) == 1)
    for socket in sockets:
        socket.leave()
        socket.until_over()
    inside.nothing_is_left(tasks)


def test_longest_subscription_fits_a_message() -> None:
    # A client with the most polls that it may have needs two messages at most to come back.
    half = [{"id": str(uuid.uuid4())} for _ in range(50)]
    assert len(json.dumps(subscribe(*half))) <= 4096


@pytest.mark.parametrize("offers_frames", [True, False])
def test_last_frame_of_a_poll_waits_for_a_slow_reader(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch, *, offers_frames: bool
) -> None:
    monkeypatch.setattr(subscription, "CLOSED_SECONDS", 0.3)
    inside.offers_frames = offers_frames
    closed, gone = alice.make_poll(), alice.make_poll()
    socket = InnerSocket(inside, PATH)
    socket.say(subscribe(closed, gone))
    socket.until(2)
    socket.stop_reading()
    voter().vote(closed, 0)
    time.sleep(TICK * 1.5)  # that is in flight
    alice.post(f"{closed['links']['self']}close/")
    alice.delete(gone["links"]["self"])
    time.sleep(1)
    socket.read_on()
    told = [(frame["type"], frame["poll"]) for frame in socket.until(5)[2:]]
    assert sorted(told) == sorted(
        [("tally", closed["id"]), ("closed", closed["id"]), ("error", gone["id"])]
    )


def test_error_that_was_not_read_yet_does_not_follow_a_new_beginning(
    inside: Inside, alice: Person
) -> None:
    poll = alice.make_poll()
    socket = InnerSocket(inside, PATH)
    socket.say(subscribe(poll))
    socket.until(1)
    socket.stop_reading()
    voter().vote(poll, 0)
    time.sleep(TICK * 1.5)  # that is in flight
    path = poll["links"]["self"]
    alice.patch(path, {"results_visibility": "owner"})
    time.sleep(TICK * 1.5)
    alice.patch(path, {"results_visibility": "always"})
    socket.say(subscribe(poll))
    time.sleep(0.5)
    socket.read_on()
    frames = socket.until(3)
    assert [frame["type"] for frame in frames] == ["snapshot", "tally", "snapshot"]
    assert frames[-1]["seq"] == 4
