"""Events: an evening's polls in order, the one that is shown, and one code for all of them."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from polls.domain import agenda, lifecycle, purge
from polls.domain.database import clock
from polls.domain.now_showing import read_showings
from polls.models import Event, EventPoll, JoinCode, Poll
from tests.cast import Fault, Person, assert_problem, voter

EVENTS = "/api/v1/events/"
UNKNOWN = f"{EVENTS}01980c5e-8f00-7000-8000-0000000000e1/"


def read(person: Person, event: dict[str, Any]) -> dict[str, Any]:
    answer = person.get(event["links"]["self"])
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def change(person: Person, event: dict[str, Any], **fields: Any) -> dict[str, Any]:
    answer = person.patch(event["links"]["self"], fields)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def ids(event: dict[str, Any]) -> list[str]:
    return [poll["id"] for poll in event["polls"]]


def named(poll: dict[str, Any]) -> dict[str, Any]:
    """Return a poll as its event names it."""
    return {name: poll[name] for name in ("id", "join_code", "title", "status", "links")}


# -- making ------------------------------------------------------------------------------------


def test_event_reads_as_it_was_made(alice: Person, charlie: Person) -> None:
    polls = [alice.make_poll(title=str(number)) for number in range(3)]
    answer = alice.post(
        EVENTS,
        {
            "title": "Annual meeting",
            "polls": [poll["id"] for poll in polls[::-1]],
            "current": polls[1]["id"],
        },
    )
    row = Event.objects.get()
    expected = {
        "id": str(row.id),
        "join_code": row.join_code,
        "owner": "alice",
        "title": "Annual meeting",
        "created_at": row.created_at.isoformat().replace("+00:00", "Z"),
        "seq": 1,
        "current": polls[1]["id"],
        "polls": [named(poll) for poll in polls[::-1]],
        "links": {
            "self": f"{EVENTS}{row.id}/",
            "live": f"/ws/events/{row.id}/",
            "page": f"/p/{row.join_code}",
        },
    }
    assert (answer.status_code, answer.json()) == (201, expected)
    assert answer.headers["Location"] == f"{EVENTS}{row.id}/"
    assert row.id.version == 7
    for person in (alice, charlie, voter()):
        assert read(person, expected) == expected


def test_event_needs_a_title_alone(alice: Person) -> None:
    event = alice.post(EVENTS, {"title": "An evening"}).json()
    assert (event["polls"], event["current"]) == ([], None)


BLANK = ("title", "blank", "There is nothing to read in it.")
TOO_LONG = ("title", "too_long", "It may have 200 characters at most.")
NOT_IN_EVENT = ("current", "not_in_event", "It must be one of the event's polls.")


def unknown(place: int) -> Fault:
    return (f"polls[{place}]", "unknown_poll", "This is no poll of yours.")


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"title": ""}, [BLANK]),
        ({"title": "\u200b \n"}, [BLANK]),
        ({"title": "x" * 201}, [TOO_LONG]),
        ({"polls": ["x"]}, [unknown(0)]),
        ({"polls": ["01980c5e-8f00-7000-8000-0000000000a1", ""]}, [unknown(0), unknown(1)]),
        ({"polls": ["{mine}", "{bobs}"]}, [unknown(1)]),
        ({"polls": ["{mine}", "{gone}"]}, [unknown(1)]),
        ({"polls": ["{mine}", "{mine}"]}, [("polls[1]", "repeated", "A poll comes once.")]),
        (
            {"polls": ["{taken}"]},
            [("polls[0]", "in_another_event", "It is in another event.")],
        ),
        (
            {"polls": ["x"] * 101},
            [("polls", "too_many", "An event has 100 polls at most.")],
        ),
        ({"current": "{mine}"}, [NOT_IN_EVENT]),
        ({"polls": ["{mine}"], "current": "x"}, [NOT_IN_EVENT]),
        ({"polls": ["{mine}"], "current": "{taken}"}, [NOT_IN_EVENT]),
        ({"title": "", "polls": ["x"], "current": "y"}, [BLANK, unknown(0), NOT_IN_EVENT]),
    ],
)
def test_event_that_cannot_be_is_refused_by_every_field_at_fault(
    alice: Person, bob: Person, fields: dict[str, Any], errors: list[Fault]
) -> None:
    polls = {name: alice.make_poll()["id"] for name in ("mine", "taken", "gone")}
    alice.make_event({"id": polls["taken"]})
    lifecycle.delete_poll(uuid.UUID(polls["gone"]))
    polls["bobs"] = bob.make_poll()["id"]

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(item) for item in value]
        return value.format(**polls) if value else value

    event = alice.make_event()
    body = {name: filled(value) for name, value in fields.items()}
    answer = alice.post(EVENTS, {"title": "An evening", **body})
    assert_problem(answer, 400, "invalid_event", errors=errors)
    answer = alice.patch(event["links"]["self"], body)
    assert_problem(answer, 400, "invalid_event", errors=errors)
    assert read(alice, event) == event
    assert Event.objects.count() == 2


def test_event_takes_as_many_polls_as_the_limit_says(alice: Person) -> None:
    most = alice.get("/api/v1/limits/").json()["limits"]["event_polls"]
    polls = [alice.make_poll() for _ in range(most)]
    assert len(alice.make_event(*polls)["polls"]) == most


# -- reading and listing -----------------------------------------------------------------------


@pytest.mark.parametrize("path", [UNKNOWN, f"{EVENTS}x/", f"{EVENTS}1/", UNKNOWN.upper()])
def test_unknown_event_is_not_found(charlie: Person, path: str) -> None:
    assert_problem(charlie.get(path), 404, "not_found")


def test_drafts_are_their_owners_alone(alice: Person, bob: Person, charlie: Person) -> None:
    draft, shown = alice.make_poll(status="draft"), alice.make_poll()
    event = alice.make_event(draft, shown, current=draft["id"])
    assert (event["polls"], event["current"]) == ([named(draft), named(shown)], draft["id"])
    for person in (bob, charlie, voter()):
        found = read(person, event)
        assert found == {**event, "polls": [named(shown)], "current": None}
    alice.open(draft)
    opened = read(alice, event)
    assert (opened["current"], opened["seq"]) == (draft["id"], event["seq"] + 1)
    for person in (bob, charlie):
        assert read(person, event) == opened


def test_list_holds_the_callers_own_events_newest_first(alice: Person, bob: Person) -> None:
    draft = alice.make_poll(status="draft")
    made = [alice.make_event(draft, title="1"), alice.make_event(alice.make_poll(), title="2")]
    gone = alice.make_event()
    alice.delete(gone["links"]["self"])
    bob.make_event()
    answer = alice.get(EVENTS)
    assert answer.json() == {"results": made[::-1], "next": None, "previous": None}
    assert_problem(Person().get(EVENTS), 401, "authentication_required")


def test_list_is_read_to_its_end_and_back_by_cursor(alice: Person) -> None:
    newest_first = [alice.make_event(title=str(number))["id"] for number in range(52)][::-1]
    page = alice.get(EVENTS).json()
    assert [event["id"] for event in page["results"]] == newest_first[:50]
    rest = alice.get(page["next"]).json()
    assert [event["id"] for event in rest["results"]] == newest_first[50:]
    again = alice.get(rest["previous"]).json()
    assert [event["id"] for event in again["results"]] == newest_first[:50]
    errors = [("cursor", "invalid", "Take it from `next` or `previous`.")]
    assert_problem(alice.get(f"{EVENTS}?cursor=x"), 400, "malformed", errors=errors)


def test_polls_whose_time_has_come_read_as_they_stand(alice: Person, charlie: Person) -> None:
    poll = alice.make_poll(closes_at="2098-01-01T00:00:00Z")
    event = alice.make_event(poll)
    Poll.objects.filter(id=poll["id"]).update(closes_at=clock() - timedelta(seconds=1))
    assert read(charlie, event)["polls"][0]["status"] == "closed"


@pytest.mark.parametrize("what", ["one event", "list", "join", "frame"])
def test_reading_costs_the_same_for_one_poll_and_for_three(alice: Person, what: str) -> None:
    counts = []
    for number in (1, 3):
        events = [
            alice.make_event(*(alice.make_poll() for _ in range(number))) for _ in range(number)
        ]
        with CaptureQueriesContext(connection) as queries:
            if what == "one event":
                read(Person(), events[0])
            elif what == "list":
                alice.get(EVENTS)
            elif what == "join":
                Person().get(f"/api/v1/join/{events[0]['join_code']}/")
            else:
                assert len(read_showings([uuid.UUID(event["id"]) for event in events])) == number
        counts.append(len(queries))
    assert counts[0] == counts[1]


# -- join codes --------------------------------------------------------------------------------


def test_join_code_leads_to_its_event_in_either_case(alice: Person, charlie: Person) -> None:
    event = alice.make_event(alice.make_poll())
    for person in (alice, charlie, voter()):
        for code in (event["join_code"], event["join_code"].lower()):
            answer = person.get(f"/api/v1/join/{code}/")
            assert answer.json() == {"type": "event", "event": read(person, event)}


def test_code_of_what_is_gone_leads_nowhere_and_is_never_given_out_again(alice: Person) -> None:
    event, poll = alice.make_event(), alice.make_poll()
    alice.delete(event["links"]["self"])
    alice.delete(poll["links"]["self"])
    Poll.objects.update(deleted_at=clock() - timedelta(seconds=61))
    purge.purge_deleted_polls()
    assert not Poll.objects.exists()
    for code in (event["join_code"], poll["join_code"]):
        assert_problem(Person().get(f"/api/v1/join/{code}/"), 404, "not_found")
        assert JoinCode.objects.filter(code=code).exists()


# -- changing ----------------------------------------------------------------------------------


def test_every_change_raises_seq_and_a_change_of_nothing_does_not(alice: Person) -> None:
    polls = [alice.make_poll() for _ in range(3)]
    event = alice.make_event(*polls[:2])
    order = [polls[2]["id"], polls[0]["id"]]
    changes: list[dict[str, Any]] = [
        {"title": "Another"},
        {"polls": order},
        {"current": order[1]},
        {"current": None},
    ]
    for number, fields in enumerate(changes):
        for _ in range(2):
            found = change(alice, event, **fields)
            assert found["seq"] == number + 2
    assert (found["title"], ids(found), found["current"]) == ("Another", order, None)
    assert change(alice, event) == found


def test_order_is_replaced_whole_with_what_is_shown(alice: Person) -> None:
    polls = [alice.make_poll() for _ in range(4)]
    event = alice.make_event(*polls[:3], current=polls[0]["id"])
    order = [polls[place]["id"] for place in (3, 1)]
    answer = alice.patch(event["links"]["self"], {"polls": order})
    assert_problem(answer, 400, "invalid_event", errors=[NOT_IN_EVENT])  # it is still shown
    found = change(alice, event, polls=order, current=order[0], title="Another")
    assert (ids(found), found["current"], found["seq"]) == (order, order[0], 2)
    # What was taken out may go into another one.
    assert ids(alice.make_event(polls[0])) == [polls[0]["id"]]


def test_any_poll_of_the_order_is_shown_or_none(alice: Person) -> None:
    polls = [alice.make_poll() for _ in range(3)]
    event = alice.make_event(*polls)
    event_id = uuid.UUID(event["id"])
    agenda.show_poll(event_id, uuid.UUID(polls[2]["id"]))
    assert read(alice, event)["current"] == polls[2]["id"]
    agenda.show_poll(event_id, None)
    assert read(alice, event)["current"] is None


@pytest.mark.parametrize("shown", [True, False])
def test_deleted_poll_leaves_its_event(alice: Person, charlie: Person, *, shown: bool) -> None:
    polls = [alice.make_poll() for _ in range(3)]
    event = alice.make_event(*polls, current=polls[1 if shown else 0]["id"])
    alice.delete(polls[1]["links"]["self"])
    for person in (alice, charlie):
        found = read(person, event)
        assert ids(found) == [polls[0]["id"], polls[2]["id"]]
        assert found["current"] == (None if shown else polls[0]["id"])
        assert found["seq"] == 2
    # The gap in the positions is nobody's trouble.
    more = alice.make_poll()
    assert ids(change(alice, event, polls=[*ids(found), more["id"]]))[2] == more["id"]
    Poll.objects.filter(id=polls[1]["id"]).update(deleted_at=clock() - timedelta(seconds=61))
    purge.purge_deleted_polls()
    assert Poll.objects.count() == 3


def test_closing_and_voting_leave_the_event_as_it_is(alice: Person) -> None:
    poll = alice.make_poll()
    event = alice.make_event(poll, current=poll["id"])
    voter().vote(poll, 0)
    alice.close(poll)
    found = read(alice, event)
    assert (found["current"], found["seq"]) == (poll["id"], 1)
    assert found["polls"][0]["status"] == "closed"


def test_deleted_event_is_gone_and_its_polls_stay(alice: Person) -> None:
    poll = alice.make_poll()
    event = alice.make_event(poll, current=poll["id"])
    answer = alice.delete(event["links"]["self"])
    assert (answer.status_code, answer.content) == (204, b"")
    assert_problem(alice.get(event["links"]["self"]), 404, "not_found")
    assert_problem(alice.patch(event["links"]["self"], {"title": "x"}), 404, "not_found")
    assert_problem(alice.delete(event["links"]["self"]), 404, "not_found")
    assert alice.read_poll(poll) == poll
    assert not EventPoll.objects.exists()
    assert ids(alice.make_event(poll)) == [poll["id"]]


@pytest.mark.parametrize(("method", "body"), [("PATCH", {"title": "Mine!"}), ("DELETE", None)])
def test_owners_call_by_anybody_else_finds_nothing_and_changes_nothing(
    alice: Person, bob: Person, method: str, body: Any
) -> None:
    event = alice.make_event()
    assert_problem(bob.call(method, event["links"]["self"], body), 404, "not_found")
    for person in (voter(), Person()):
        answer = person.call(method, event["links"]["self"], body)
        assert_problem(answer, 401, "authentication_required")
        assert_problem(person.post(EVENTS, {"title": "x"}), 401, "authentication_required")
    assert read(alice, event) == event


# -- what everybody is told --------------------------------------------------------------------


def test_draft_is_shown_to_nobody_until_it_opens(alice: Person) -> None:
    poll = alice.make_poll(status="draft")
    event = alice.make_event(poll, current=poll["id"])
    event_id = uuid.UUID(event["id"])
    before = read_showings([event_id, uuid.uuid4()])
    assert list(before) == [event_id]
    assert before[event_id].question is None
    alice.open(poll)
    after = read_showings([event_id])[event_id]
    assert after.question is not None
    assert (str(after.poll_id), after.question.join_code) == (poll["id"], poll["join_code"])
    assert after.seq == before[event_id].seq + 1
