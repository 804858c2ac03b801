"""The desk's events: made, filled, put in order, shown one by one, without a line of JavaScript."""

import re
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from polls.domain import agenda
from polls.models import Event, Poll
from tests.cast import Person
from tests.web.browsers import HOSTILE, NEW, TWO, Browser, assert_only_text, make, said, sign_in

EVENTS = "/desk/events"
ACTIONS = ("show", "show-nothing", "up", "down", "add", "take-out", "delete")


def page_of(event: dict[str, Any]) -> str:
    return f"{EVENTS}/{event['id']}"


def read(alice: Person, event: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = alice.get(event["links"]["self"]).json()
    return found


def titles(alice: Person, event: dict[str, Any]) -> str:
    return "".join(poll["title"] for poll in read(alice, event)["polls"])


def press(desk: Browser, event: dict[str, Any], action: str, poll: Any = None) -> Any:
    fields = {} if poll is None else {"poll": poll["id"]}
    return desk.send(f"{page_of(event)}/{action}", page_of(event), **fields)


@pytest.fixture
def abc(alice: Person) -> list[dict[str, Any]]:
    return [alice.make_poll(title=title) for title in "abc"]


@pytest.fixture
def event(alice: Person, abc: list[dict[str, Any]]) -> dict[str, Any]:
    return alice.make_event(*abc)


# -- who may -----------------------------------------------------------------------------------


def test_events_lead_to_log_in_and_back(event: dict[str, Any]) -> None:
    for path in (EVENTS, page_of(event)):
        assert Browser().get(path)["Location"] == f"/accounts/login?next={path}"


@pytest.mark.parametrize("action", ["", *(f"/{name}" for name in ACTIONS)])
def test_event_of_another_is_not_there_and_nothing_happens_to_it(
    alice: Person, abc: list[dict[str, Any]], event: dict[str, Any], action: str
) -> None:
    bob = sign_in("bob")
    before = read(alice, event)
    for path in (page_of(event), f"{EVENTS}/{uuid.uuid4()}"):
        answer = bob.send(path + action, EVENTS, title="Mine!", poll=abc[1]["id"])
        assert answer.status_code == 404
    assert bob.get(page_of(event)).status_code == 404
    assert bob.get(NEW, event=event["id"]).status_code == 404
    assert bob.send(f"{NEW}?event={event['id']}", NEW, title="x", option=TWO).status_code == 404
    assert read(alice, event) == before
    assert Poll.objects.count() == 3
    assert "An evening" not in bob.read(EVENTS)


@pytest.mark.parametrize("action", ["", *(f"/{name}" for name in ACTIONS)])
def test_row_22_form_without_the_csrf_token_is_refused(
    alice: Person, desk: Browser, event: dict[str, Any], action: str
) -> None:
    assert desk.http.post(page_of(event) + action, {"title": "Other"}).status_code == 403
    assert read(alice, event) == event


# -- the list ----------------------------------------------------------------------------------


def test_list_shows_own_events_newest_first_and_what_they_show(
    alice: Person, abc: list[dict[str, Any]], desk: Browser
) -> None:
    assert "You have no events yet." in said(desk.get(EVENTS))
    first = alice.make_event(*abc[:2], title="First", current=abc[1]["id"])
    second = alice.make_event(title="Second")
    page = desk.read(EVENTS)
    assert re.findall(r"(First|Second)</a>", page) == ["Second", "First"]
    text = said(desk.get(EVENTS))
    assert f"2 polls Code {first['join_code']} Shown now: b" in text
    assert f"0 polls Code {second['join_code']} Nothing is shown now." in text


def test_list_goes_by_pages_and_costs_the_same_whatever_it_holds(
    alice: Person, desk: Browser
) -> None:
    counts = []
    for number in (1, 21):
        while Event.objects.count() < number:
            alice.make_event(alice.make_poll())
        with CaptureQueriesContext(connection) as queries:
            page = desk.read(EVENTS)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 9
    assert "?page=2" in page
    assert desk.read(EVENTS, page=2).count("1 poll<") == 1


def test_every_page_of_the_desk_leads_to_the_events(desk: Browser) -> None:
    for path in ("/desk", "/desk/tokens", NEW, EVENTS):
        assert f'<a href="{EVENTS}">' in desk.read(path)


# -- making ------------------------------------------------------------------------------------


def test_title_is_enough_for_an_event(alice: Person, desk: Browser) -> None:
    answer = desk.send(EVENTS, title="Annual meeting")
    made = Event.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, f"{EVENTS}/{made.id}")
    assert (made.title, made.current_id, made.owner) == ("Annual meeting", None, alice.user)
    assert "The event is made." in said(desk.get(answer["Location"]))


def test_chosen_polls_are_in_the_new_event_in_the_order_of_the_list(
    alice: Person, abc: list[dict[str, Any]], desk: Browser
) -> None:
    alice.make_event(alice.make_poll(title="elsewhere"))
    offered = re.findall(r'name="polls" value="([^"]+)"', desk.read(EVENTS))
    assert offered == [poll["id"] for poll in abc]
    desk.send(EVENTS, title="Meeting", polls=[offered[0], offered[2]])
    made = Event.objects.get(title="Meeting")
    assert [str(poll) for poll in agenda.order_of(made)] == [abc[0]["id"], abc[2]["id"]]


@pytest.mark.parametrize(
    ("title", "sentence"),
    [
        ("", "Write a title."),
        (" \u200b", "Write a title."),
        ("x" * 201, "A title has 200 characters at most."),
        ("nul\0", "Null characters are not allowed."),
    ],
)
def test_title_that_cannot_be_is_told_at_its_field(
    abc: list[dict[str, Any]], desk: Browser, title: str, sentence: str
) -> None:
    answer = desk.send(EVENTS, title=title, polls=[abc[1]["id"]])
    assert answer.status_code == 400
    assert sentence in said(answer)
    page = answer.content.decode()
    assert re.findall(r'value="([^"]+)" checked', page) == [abc[1]["id"]]
    assert re.search(r'<input[^>]*name="title"[^>]*autofocus', page)
    assert Event.objects.count() == 0


@pytest.mark.parametrize("gone", ["deleted", "elsewhere", "nonsense", "another's"])
def test_poll_that_cannot_be_chosen_any_more_is_told_beside_the_others(
    alice: Person, abc: list[dict[str, Any]], desk: Browser, gone: str
) -> None:
    poll, sentence = abc[0]["id"], "A poll that you chose is not there any more."
    if gone == "deleted":
        alice.delete(abc[0]["links"]["self"])
    elif gone == "elsewhere":
        alice.make_event(abc[0], title="Other")
        sentence = "A poll that you chose is in another event now."
    elif gone == "nonsense":
        poll = "x\0"
    else:
        make(sign_in("bob"), title="Bob's")
        poll = str(Poll.objects.get(title="Bob's").id)
    answer = desk.send(EVENTS, title="Meeting", polls=[poll, abc[1]["id"]])
    assert answer.status_code == 400
    assert sentence in said(answer)
    page = answer.content.decode()
    assert re.findall(r'value="([^"]+)" checked', page) == [abc[1]["id"]]
    assert 'value="Meeting"' in page
    assert desk.send(EVENTS, title="Meeting", polls=[abc[1]["id"]]).status_code == 303


def test_more_polls_than_an_event_takes_are_refused_in_words(desk: Browser) -> None:
    answer = desk.send(EVENTS, title="Meeting", polls=[str(uuid.uuid4()) for _ in range(101)])
    assert answer.status_code == 400
    assert "An event has 100 polls at most." in said(answer)


# -- its page ----------------------------------------------------------------------------------


def test_page_tells_where_to_join_and_what_is_in_the_event(
    alice: Person, abc: list[dict[str, Any]], event: dict[str, Any], desk: Browser
) -> None:
    alice.close(abc[1])
    page = desk.read(page_of(event))
    code = event["join_code"]
    for path in ("", "/present", "/results", "/qr.png", "/qr.svg"):
        assert f'href="/p/{code}{path}"' in page
    assert f'id="address" href="http://testserver/p/{code}"' in page
    assert re.search(r'<svg[^>]* class="qr"', page)
    assert re.findall(r'class="badge status" data-word="(\w+)"', page) == ["open", "closed", "open"]
    assert [f"/desk/polls/{poll['id']}" in page for poll in abc] == [True] * 3
    assert page_of(event) in desk.read(f"/desk/polls/{abc[0]['id']}")


def test_page_costs_the_same_at_one_poll_and_at_four(alice: Person, desk: Browser) -> None:
    counts = []
    for number in (1, 4):
        event = alice.make_event(*(alice.make_poll() for _ in range(number)))
        with CaptureQueriesContext(connection) as queries:
            desk.read(page_of(event))
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 9


def test_poll_is_shown_and_then_nothing(
    alice: Person, abc: list[dict[str, Any]], event: dict[str, Any], desk: Browser
) -> None:
    answer = press(desk, event, "show", abc[1])
    assert (answer.status_code, answer["Location"]) == (303, page_of(event))
    now = read(alice, event)
    assert (now["current"], now["seq"]) == (abc[1]["id"], event["seq"] + 1)
    page = desk.read(page_of(event))
    assert "The poll is shown now." in page
    assert re.findall(r'id="poll-([^"]+)"[^>]* aria-current="true"', page) == [abc[1]["id"]]
    press(desk, event, "show-nothing")
    assert read(alice, event)["current"] is None
    text = said(desk.get(page_of(event)))
    assert "Nothing is shown now." in text
    assert "Show nothing" not in text


def test_shown_draft_is_told_to_be_seen_by_nobody(alice: Person, desk: Browser) -> None:
    draft = alice.make_poll(status="draft")
    event = alice.make_event(draft, current=draft["id"])
    assert "people see nothing until it is open" in said(desk.get(page_of(event)))
    alice.open(draft)
    assert "people see nothing" not in said(desk.get(page_of(event)))


def test_polls_move_up_and_down_and_stay_at_the_ends(
    alice: Person, abc: list[dict[str, Any]], event: dict[str, Any], desk: Browser
) -> None:
    a, b, c = abc
    press(desk, event, "show", b)
    order = []
    for action, poll in (("up", c), ("up", c), ("up", c), ("down", a), ("down", a), ("up", b)):
        answer = press(desk, event, action, poll)
        assert answer["Location"] == f"{page_of(event)}#poll-{poll['id']}"
        order.append(titles(alice, event))
    assert order == ["acb", "cab", "cab", "cba", "cba", "bca"]
    now = read(alice, event)
    assert (now["current"], now["seq"]) == (b["id"], event["seq"] + 1 + 4)


def test_poll_that_is_taken_out_stays_among_ones_polls_and_is_shown_no_more(
    alice: Person, abc: list[dict[str, Any]], event: dict[str, Any], desk: Browser
) -> None:
    press(desk, event, "show", abc[1])
    answer = press(desk, event, "take-out", abc[1])
    assert "The poll is out of the event." in said(desk.get(answer["Location"]))
    assert (titles(alice, event), read(alice, event)["current"]) == ("ac", None)
    assert alice.read_poll(abc[1])["status"] == "open"


def test_poll_that_is_in_no_event_is_added_behind_the_others(
    alice: Person, event: dict[str, Any], abc: list[dict[str, Any]], desk: Browser
) -> None:
    d = alice.make_poll(title="d")
    alice.make_event(alice.make_poll(title="elsewhere"))
    press(desk, event, "take-out", abc[0])
    offered = re.findall(r'<option value="([^"]+)"', desk.read(page_of(event)))
    assert offered == [abc[0]["id"], d["id"]]
    for poll in (d, abc[0], abc[0]):  # a form that is sent twice adds once
        answer = press(desk, event, "add", poll)
        assert (answer.status_code, answer["Location"]) == (303, page_of(event))
    assert titles(alice, event) == "bcda"


def test_event_that_is_renamed_keeps_all_else(
    alice: Person, event: dict[str, Any], desk: Browser
) -> None:
    assert desk.send(page_of(event), title="Morning").status_code == 303
    assert read(alice, event) == event | {"title": "Morning", "seq": event["seq"] + 1}
    for title in ("", " \u200b", "x" * 201):
        answer = desk.send(page_of(event), title=title)
        assert answer.status_code == 400
        assert re.search(r'<details[^>]*id="edit" open>', answer.content.decode())
    assert read(alice, event)["title"] == "Morning"


def test_delete_asks_then_the_event_is_gone_and_its_polls_stay(
    alice: Person, abc: list[dict[str, Any]], event: dict[str, Any], desk: Browser
) -> None:
    asked = said(desk.get(f"{page_of(event)}/delete"))
    assert "Its polls stay, with their votes." in asked
    assert "3 polls" in asked
    answer = press(desk, event, "delete")
    assert (answer.status_code, answer["Location"]) == (303, EVENTS)
    assert "The event is deleted." in said(desk.get(EVENTS))
    assert desk.get(page_of(event)).status_code == 404
    assert desk.get(f"/p/{event['join_code']}").status_code == 404
    assert [alice.read_poll(poll)["status"] for poll in abc] == ["open"] * 3


# -- a new poll for it -------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["draft", "open"])
def test_new_poll_for_an_event_comes_last_in_it(
    alice: Person, event: dict[str, Any], desk: Browser, status: str
) -> None:
    path = f"{NEW}?event={event['id']}"
    assert path in desk.read(page_of(event))
    assert "New poll for this event" in desk.read(path)
    answer = desk.send(path, title="d", option=TWO, status=status)
    assert (answer.status_code, answer["Location"]) == (303, page_of(event))
    assert titles(alice, event) == "abcd"
    assert Poll.objects.get(title="d").status == status


def test_form_of_a_new_poll_for_an_event_is_mended_and_still_for_it(
    alice: Person, event: dict[str, Any], desk: Browser
) -> None:
    path = f"{NEW}?event={event['id']}"
    answer = desk.send(path, title="", option=TWO)
    assert answer.status_code == 400
    # The form names no address of its own: it goes where it was loaded from.
    form = re.search(r'<form[^>]*id="poll-form"[^>]*>', answer.content.decode())
    assert form is not None
    assert "action=" not in form[0]
    assert "New poll for this event" in said(answer)
    assert titles(alice, event) == "abc"


def test_new_poll_for_an_event_that_is_full_is_not_made(
    alice: Person, event: dict[str, Any], desk: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agenda, "MAX_POLLS", 3)
    answer = desk.send(f"{NEW}?event={event['id']}", title="d", option=TWO)
    assert answer.status_code == 400
    assert "polls at most." in said(answer)
    assert (titles(alice, event), Poll.objects.count()) == ("abc", 3)
    page = said(desk.get(page_of(event)))
    assert "The event is full." in page
    assert "Add one of your polls" not in page


@pytest.mark.parametrize("named", ["", "x", "01980c5e-8f00-7000-8000-0000000000e1"])
def test_new_poll_for_an_event_that_there_is_not_is_not_made(
    event: dict[str, Any], desk: Browser, named: str
) -> None:
    assert desk.get(NEW, event=named).status_code == 404
    answer = desk.send(f"{NEW}?event={named}", page_of(event), title="d", option=TWO)
    assert answer.status_code == 404
    assert Poll.objects.count() == 3


# -- what has changed meanwhile ----------------------------------------------------------------


@pytest.mark.parametrize("action", ["show", "up", "down", "take-out"])
def test_button_of_a_poll_that_vanished_meanwhile_says_so(
    alice: Person,
    abc: list[dict[str, Any]],
    event: dict[str, Any],
    desk: Browser,
    action: str,
) -> None:
    alice.delete(abc[1]["links"]["self"])
    before = read(alice, event)
    answer = press(desk, event, action, abc[1])
    assert (answer.status_code, answer["Location"]) == (303, page_of(event))
    page = desk.read(page_of(event))
    assert '<p class="notice bad" role="status">This poll is not in the event any more.' in page
    assert read(alice, event) == before
    for nonsense in ("", "x\0"):
        answer = desk.send(f"{page_of(event)}/{action}", page_of(event), poll=nonsense)
        assert answer.status_code == 303
    assert read(alice, event) == before


@pytest.mark.parametrize("gone", ["deleted", "elsewhere", "nonsense"])
def test_poll_that_cannot_be_added_any_more_is_told_beside_the_form(
    alice: Person, event: dict[str, Any], desk: Browser, gone: str
) -> None:
    poll, sentence = alice.make_poll(title="d"), "A poll that you chose is not there any more."
    if gone == "deleted":
        alice.delete(poll["links"]["self"])
    elif gone == "elsewhere":
        alice.make_event(poll, title="Other")
        sentence = "A poll that you chose is in another event now."
    else:
        poll = {"id": "x\0"}
    answer = press(desk, event, "add", poll)
    assert answer.status_code == 400
    assert re.search(rf'id="add_error"[^>]*>{sentence}', answer.content.decode())
    assert titles(alice, event) == "abc"
    # Whoever loads the answer anew by its address is back at the event.
    assert desk.get(f"{page_of(event)}/add")["Location"] == page_of(event)


@pytest.mark.parametrize("action", ["", *(f"/{name}" for name in ACTIONS)])
def test_event_that_vanished_meanwhile_is_not_there(
    alice: Person, abc: list[dict[str, Any]], event: dict[str, Any], desk: Browser, action: str
) -> None:
    alice.delete(event["links"]["self"])
    answer = desk.send(page_of(event) + action, EVENTS, title="x", poll=abc[0]["id"])
    assert answer.status_code == 404


# -- what organisers write ---------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_in_events_stays_text(alice: Person, desk: Browser, text: str) -> None:
    poll = alice.make_poll(title=text)
    event = alice.make_event(poll, title=text, current=poll["id"])
    alice.make_poll(title=text)
    for path in (EVENTS, page_of(event), f"{page_of(event)}/delete", f"/desk/polls/{poll['id']}"):
        assert_only_text(desk.read(path))
    assert_only_text(desk.read(NEW, event=event["id"]))
    assert_only_text(desk.send(EVENTS, title=text, polls=text).content.decode())
    assert_only_text(desk.send(page_of(event), title=text + "x" * 200).content.decode())
    assert_only_text(desk.send(f"{page_of(event)}/add", page_of(event), poll=text).content.decode())


def test_pages_of_events_hold_nothing_inline_and_no_id_twice(
    event: dict[str, Any], desk: Browser
) -> None:
    for path in (EVENTS, page_of(event), f"{page_of(event)}/delete"):
        page = desk.read(path)
        assert not re.search(r"<style|<[^>]+ style=|<[^>]+ on\w+=", page), path
        ids = re.findall(r' id="([^"]+)"', page)
        assert len(set(ids)) == len(ids), path
