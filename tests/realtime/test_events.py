"""The socket of an event: what it shows, and the frames of whichever poll that is."""

import time
import uuid
from collections.abc import Collection
from contextlib import ExitStack
from typing import Any

import pytest

from polls.domain.now_showing import Showing, read_showings
from polls.errors import CATALOGUE, Code
from realtime import shows, subscription
from realtime.runtime import runtime
from tests.cast import Person
from tests.live import Caller, Server
from tests.realtime.client import (
    Dashboard,
    closed_of,
    dashboard,
    error_of,
    event_of,
    first_frames,
    results_of,
    snapshot_of,
    status_of,
    tally_of,
    ticket_for,
)
from tests.realtime.inside import InnerSocket, Inside, live_path
from tests.realtime.servers import HastyServer, execute, serving

HIDDEN = CATALOGUE[Code.RESULTS_HIDDEN].remedy
HEALED = 12.0  # five seconds are the promise; a busy machine gets more


def change(owner: Caller, event: dict[str, Any], **fields: Any) -> dict[str, Any]:
    answer = owner.call("PATCH", event["links"]["self"], fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def read(live: Server, event: dict[str, Any]) -> dict[str, Any]:
    """Return an event as somebody reads who is not its owner."""
    found: dict[str, Any] = Caller(live).get(event["links"]["self"]).json()
    return found


def shows_poll(screen: Dashboard, organiser: Caller, event: Any, poll: Any) -> None:
    """Make sure that the next frames tell what the event shows, and then that poll."""
    assert screen.frame() == event_of(organiser, event)
    assert screen.frame() == snapshot_of(results_of(organiser, poll))


# -- following ---------------------------------------------------------------------------------


def test_socket_follows_whichever_poll_is_shown(live: Server, organiser: Caller) -> None:
    polls = [organiser.make_poll(title=str(number)) for number in range(3)]
    event = organiser.make_event(*polls)
    with dashboard(live, event) as screen:
        assert screen.frame() == event_of(organiser, event)
        assert screen.frames[-1]["current"] is None
        for poll in (polls[0], polls[2], polls[0]):
            shows_poll(screen, organiser, change(organiser, event, current=poll["id"]), poll)
            assert live.voter().vote(poll, 0).status_code == 201
            assert screen.frame() == tally_of(results_of(organiser, poll))
        for poll in polls[1:]:  # which are not shown now
            assert live.voter().vote(poll, 0).status_code == 201
        screen.silence(0.5)
        assert change(organiser, event, current=None)["seq"] == 5
        assert screen.frame() == event_of(organiser, read(live, event))
        assert live.voter().vote(polls[0], 0).status_code == 201
        screen.silence(0.5)
        screen.ping()


def test_change_of_title_or_order_is_told_and_the_poll_goes_on(
    live: Server, organiser: Caller
) -> None:
    polls = [organiser.make_poll() for _ in range(2)]
    event = organiser.make_event(*polls, current=polls[0]["id"])
    with dashboard(live, event) as screen:
        shows_poll(screen, organiser, event, polls[0])
        changes: list[dict[str, Any]] = [
            {"title": "Another"},
            {"polls": [poll["id"] for poll in polls[::-1]]},
        ]
        for fields in changes:
            changed = change(organiser, event, **fields)
            assert screen.frame() == event_of(organiser, changed)
        assert live.voter().vote(polls[0], 0).status_code == 201
        assert screen.frame() == tally_of(results_of(organiser, polls[0]))


def test_poll_that_closes_does_not_end_the_socket(live: Server, organiser: Caller) -> None:
    polls = [organiser.make_poll() for _ in range(2)]
    event = organiser.make_event(*polls, current=polls[0]["id"])
    with dashboard(live, event) as screen:
        shows_poll(screen, organiser, event, polls[0])
        organiser.post(f"{polls[0]['links']['self']}close/")
        assert screen.frame() == closed_of(results_of(organiser, polls[0]))
        screen.silence(subscription.CLOSED_SECONDS + 1)
        shows_poll(screen, organiser, change(organiser, event, current=polls[1]["id"]), polls[1])
        # And back to the closed one, which says so again.
        back = change(organiser, event, current=polls[0]["id"])
        assert screen.frame() == event_of(organiser, back)
        assert screen.frame() == closed_of(results_of(organiser, polls[0]))


def test_draft_is_shown_to_nobody_until_it_opens(live: Server, organiser: Caller) -> None:
    draft = organiser.make_poll(status="draft")
    event = organiser.make_event(draft, current=draft["id"])
    assert event["current"] == draft["id"]
    ticket = ticket_for(organiser, draft)
    with dashboard(live, event) as phone, dashboard(live, event, ticket=ticket) as owners:
        for screen in (phone, owners):
            assert screen.frame() == event_of(organiser, read(live, event))
            assert screen.frames[-1]["current"] is None
        organiser.post(f"{draft['links']['self']}open/")
        for screen in (phone, owners):
            shows_poll(screen, organiser, read(live, event), draft)
            assert screen.frames[-2]["seq"] == event["seq"] + 1


def test_poll_that_is_deleted_leaves_nothing_shown(live: Server, organiser: Caller) -> None:
    polls = [organiser.make_poll() for _ in range(2)]
    event = organiser.make_event(*polls, current=polls[0]["id"])
    with dashboard(live, event) as screen:
        shows_poll(screen, organiser, event, polls[0])
        organiser.call("DELETE", polls[0]["links"]["self"])
        # The poll's own end may be told before the event's change is, or not at all.
        frames = [screen.until_type("event")]
        assert frames == [event_of(organiser, read(live, event))]
        assert frames[0]["current"] is None
        told = [frame["code"] for frame in screen.frames if frame["type"] == "error"]
        assert told in ([], ["not_found"])
        shows_poll(screen, organiser, change(organiser, event, current=polls[1]["id"]), polls[1])


def test_event_that_is_deleted_ends_its_sockets(live: Server, organiser: Caller) -> None:
    poll = organiser.make_poll()
    event = organiser.make_event(poll, current=poll["id"])
    with dashboard(live, event) as screen:
        shows_poll(screen, organiser, event, poll)
        organiser.call("DELETE", event["links"]["self"])
        remedy = CATALOGUE[Code.NOT_FOUND].remedy
        error = {"type": "error", "code": "not_found", "detail": remedy}
        assert screen.end() == ([error], 4404)


def test_event_that_there_is_not_is_refused(live: Server, organiser: Caller) -> None:
    poll = organiser.make_poll()
    for event_id in (uuid.uuid4(), poll["id"]):
        with dashboard(live, f"/ws/events/{event_id}/") as screen:
            frames, code = screen.end()
            assert ([frame["code"] for frame in frames], code) == (["not_found"], 4404)


@pytest.mark.parametrize("query", ["?since=1", "?view=all", "?view=status&view=status", "?x=1"])
def test_query_takes_the_view_alone(live: Server, organiser: Caller, query: str) -> None:
    event = organiser.make_event()
    with dashboard(live, event, query) as screen:
        frames, code = screen.end()
        assert ([frame["code"] for frame in frames], code) == (["malformed"], 4400)


@pytest.mark.parametrize("frame", [[], {"type": "subscribe", "polls": [{"poll": "x"}]}])
def test_client_says_ping_and_auth_alone(live: Server, organiser: Caller, frame: Any) -> None:
    with dashboard(live, organiser.make_event()) as screen:
        screen.frame()
        screen.say(frame)
        assert screen.end()[1] == 4400


# -- who may see -------------------------------------------------------------------------------


def test_ticket_counts_for_whichever_of_its_polls_is_shown(live: Server, organiser: Caller) -> None:
    polls = [organiser.make_poll(results_visibility="owner") for _ in range(3)]
    event = organiser.make_event(*polls, current=polls[0]["id"])
    ticket = ticket_for(organiser, *polls[:2])
    with dashboard(live, event, ticket=ticket) as owners:
        shows_poll(owners, organiser, event, polls[0])
        shows_poll(owners, organiser, change(organiser, event, current=polls[1]["id"]), polls[1])
        assert live.voter().vote(polls[1], 0).status_code == 201
        assert owners.frame() == tally_of(results_of(organiser, polls[1]))
        # The third it does not name: that one is refused alone, in its time.
        change(organiser, event, current=polls[2]["id"])
        assert owners.frame()["type"] == "event"
        assert owners.frame() == error_of(polls[2], "results_hidden", refusal_of(polls[2]))
        # And another ticket lets it in, though it was refused.
        owners.say({"type": "auth", "ticket": ticket_for(organiser, polls[2])})
        assert owners.frame() == snapshot_of(results_of(organiser, polls[2]))


def refusal_of(poll: dict[str, Any]) -> str:
    """Return the sentence by which results are hidden when a socket joins."""
    sentences = {"owner": "They are shown to its organisers and viewers alone."}
    return sentences[poll["results_visibility"]]


def test_results_that_are_hidden_from_a_socket_end_its_poll_alone(
    live: Server, organiser: Caller
) -> None:
    polls = [organiser.make_poll() for _ in range(2)]
    event = organiser.make_event(*polls, current=polls[0]["id"])
    with dashboard(live, event) as screen, dashboard(live, event, "?view=status") as phone:
        for one in (screen, phone):
            shows_poll(one, organiser, event, polls[0])
        hide = {"results_visibility": "owner"}
        hidden = organiser.call("PATCH", polls[0]["links"]["self"], hide).json()
        # The rule is told with the poll, and then what it means to each.
        told = event_of(organiser, read(live, event))
        for one, meant in (
            (screen, error_of(polls[0], "results_hidden", HIDDEN)),
            (phone, status_of(hidden)),
        ):
            frames = [one.frame(), one.frame()]
            assert told in frames
            assert meant in frames
        shown = change(organiser, event, current=polls[1]["id"])
        for one in (screen, phone):
            shows_poll(one, organiser, shown, polls[1])


def test_status_view_tells_of_hidden_polls_and_of_the_opening_of_their_results(
    live: Server, organiser: Caller
) -> None:
    polls = [organiser.make_poll(results_visibility="after_vote") for _ in range(2)]
    event = organiser.make_event(*polls, current=polls[0]["id"])
    ann = live.voter()
    with dashboard(live, event, "?view=status", ticket=ticket_for(ann, *polls)) as phone:
        for poll in polls:
            assert phone.until_type("status") == status_of(poll)
            assert ann.vote(poll, 0).status_code == 201
            phone.until_results_open(results_of(ann, poll))
            change(organiser, event, current=polls[1]["id"])


# -- many, and trouble -------------------------------------------------------------------------


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[set[uuid.UUID]]:
    """The events of each reading, as they are read."""
    found: list[set[uuid.UUID]] = []

    def read(event_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Showing]:
        found.append(set(event_ids))
        return read_showings(event_ids)

    monkeypatch.setattr(shows, "read_showings", read)
    return found


def test_change_is_read_once_and_encoded_once_for_all_who_follow(
    inside: Inside, alice: Person, readings: list[set[uuid.UUID]]
) -> None:
    polls = [alice.make_poll() for _ in range(2)]
    event = alice.make_event(*polls, current=polls[0]["id"])
    sockets = [InnerSocket(inside, live_path(event)) for _ in range(300)]
    for socket in sockets:
        socket.until(2)
    assert len(readings) <= 3  # they came beside each other
    readings.clear()
    alice.patch(event["links"]["self"], {"current": polls[1]["id"]})
    for socket in sockets:
        assert [frame["type"] for frame in socket.until(4)] == ["event", "snapshot"] * 2
    assert readings == [{uuid.UUID(event["id"])}]
    watched = runtime.hub.shows.watched[uuid.UUID(event["id"])]
    assert {id(frame) for frame in watched.told.values()} == {id(watched.frame)}
    for socket in sockets:
        socket.leave()
        socket.until_over()


def test_all_events_are_compared_by_one_reading_and_only_what_differs_is_told(
    inside: Inside,
    alice: Person,
    readings: list[set[uuid.UUID]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = [alice.make_event() for _ in range(3)]
    sockets = [InnerSocket(inside, live_path(event)) for event in events]
    for socket in sockets:
        socket.until(1)
    with monkeypatch.context() as patch:
        patch.setattr("polls.events._sinks", [])  # this change nobody hears of
        alice.patch(events[1]["links"]["self"], {"title": "Another"})
    time.sleep(0.6)
    assert [len(socket.frames) for socket in sockets] == [1, 1, 1]
    readings.clear()
    inside.call(runtime.hub.reconcile())
    assert [frame["title"] for frame in sockets[1].until(2)] == ["An evening", "Another"]
    assert readings == [{uuid.UUID(event["id"]) for event in events}]
    assert [len(socket.frames) for socket in sockets] == [1, 2, 1]
    for socket in sockets:
        socket.leave()
        socket.until_over()


def test_slow_reader_is_told_the_newest_event_and_nothing_of_the_polls_before(
    inside: Inside, alice: Person
) -> None:
    polls = [alice.make_poll() for _ in range(3)]
    event = alice.make_event(*polls, current=polls[0]["id"])
    socket = InnerSocket(inside, live_path(event))
    fast = InnerSocket(inside, live_path(event))
    socket.until(2)
    fast.until(2)
    socket.stop_reading()
    for number, poll in enumerate((*polls[1:], polls[0], polls[2]), 2):
        alice.patch(event["links"]["self"], {"current": poll["id"]})
        fast.until(2 * number)
    socket.read_on()
    frames = socket.until(5)
    # One was in flight; of what waited behind it only the last event and its poll are left.
    told = [
        (frame["type"], frame["poll"] if frame["type"] == "snapshot" else frame["current"]["poll"])
        for frame in frames[2:]
    ]
    assert told == [
        ("event", polls[1]["id"]),
        ("event", polls[2]["id"]),
        ("snapshot", polls[2]["id"]),
    ]
    for one in (socket, fast):
        one.leave()
        one.until_over()


def test_change_that_is_heard_by_nobody_is_told_within_six_seconds(
    live: Server, organiser: Caller
) -> None:
    polls = [organiser.make_poll() for _ in range(2)]
    event = organiser.make_event(*polls, current=polls[0]["id"])
    with dashboard(live, event) as screen:
        shows_poll(screen, organiser, event, polls[0])
        execute(
            live,
            "UPDATE polls_event SET current_id = %s, seq = seq + 1 WHERE id = %s",
            uuid.UUID(polls[1]["id"]),
            uuid.UUID(event["id"]),
        )
        began = time.monotonic()
        shows_poll(screen, organiser, read(live, event), polls[1])
        assert time.monotonic() - began < HEALED


def test_event_of_a_restored_database_is_told_by_a_lower_seq() -> None:
    with serving(HastyServer) as server:
        owner = server.sign_up()
        event = owner.make_event()
        with dashboard(server, event) as screen:
            screen.frame()
            for title in ("One", "Two"):
                change(owner, event, title=title)
                assert screen.frame()["title"] == title
            sql = "UPDATE polls_event SET title = 'An evening', seq = 1 WHERE id = %s"
            execute(server, sql, uuid.UUID(event["id"]))
            assert screen.frame(HEALED) == event_of(owner, event)


def test_sockets_of_events_outlive_a_database_that_does_not_answer() -> None:
    with HastyServer() as server:
        owner = server.sign_up()
        event = owner.make_event()
        with dashboard(server, event) as screen:
            screen.frame()
            execute(server, "ALTER TABLE polls_eventpoll RENAME TO polls_elsewhere")
            execute(server, "ALTER TABLE polls_event RENAME TO polls_gone")
            try:
                with dashboard(server, event) as joining:
                    remedy = CATALOGUE[Code.UNAVAILABLE].remedy
                    error = {"type": "error", "code": "unavailable", "detail": remedy}
                    assert joining.end() == ([error], 4503)
                time.sleep(2)
                screen.ping()
            finally:
                execute(server, "ALTER TABLE polls_gone RENAME TO polls_event")
                execute(server, "ALTER TABLE polls_elsewhere RENAME TO polls_eventpoll")
            change(owner, event, title="Another")
            assert screen.frame(HEALED)["title"] == "Another"
            assert first_frames(server, event) == screen.frames[-1:]
    log = server.log.read_text()
    assert "What events show could not be told" in log  # the operator is told
    assert "never retrieved" not in log


def test_forty_phones_and_a_hundred_switches_end_at_the_same_poll(
    live: Server, organiser: Caller
) -> None:
    *polls, last_of_all = [organiser.make_poll() for _ in range(5)]
    event = organiser.make_event(*polls, last_of_all)
    with ExitStack() as opened:
        phones = [opened.enter_context(dashboard(live, event)) for _ in range(40)]
        for number in range(99):
            change(organiser, event, current=polls[number % 4]["id"])
        # One that cannot have been shown before: of the others some are skipped.
        assert change(organiser, event, current=last_of_all["id"])["seq"] == 101
        for phone in phones:
            phone.until(lambda frame: frame["type"] == "event" and frame["seq"] == 101)
            phone.until(lambda frame: frame.get("poll") == last_of_all["id"])
            shown: str | None = None
            for frame in phone.frames:  # a poll's frames come only while it is shown
                if frame["type"] == "event":
                    shown = frame["current"] and frame["current"]["poll"]
                else:
                    assert frame["poll"] == shown


def test_revision_rises_with_an_edit_and_a_reset(live: Server, organiser: Caller) -> None:
    poll = organiser.make_poll()
    event = organiser.make_event(poll, current=poll["id"])
    with dashboard(live, event, "?view=status") as phone:
        revisions = [phone.until_type("event")["current"]["revision"]]
        organiser.call("PATCH", poll["links"]["self"], {"title": "Dinner?"})
        revisions.append(phone.until_type("event")["current"]["revision"])
        live.voter().vote(poll, 0)
        assert organiser.post(f"{poll['links']['self']}reset/").status_code == 200
        revisions.append(phone.until_type("event")["current"]["revision"])
    assert revisions == sorted(set(revisions))
