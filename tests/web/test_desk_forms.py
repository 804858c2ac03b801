"""The form of a poll on the desk: a new one, and one that is changed."""

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polls.models import Poll
from tests.cast import Person, voter
from tests.web.browsers import LIST, NEW, TWO, Browser, form_of, make, page_of, said


def the_poll() -> Poll:
    return Poll.objects.standing().get()


def edit(desk: Browser, poll: dict[str, Any], **changes: Any) -> Any:
    """Change a few fields of a poll's form and send the whole."""
    path = page_of(poll)
    return desk.send(path, **{**form_of(desk.read(path)), **changes})


# -- a new poll --------------------------------------------------------------------------------


def test_title_and_two_answers_make_an_open_poll(alice: Person, desk: Browser) -> None:
    answer = make(desk)
    made = the_poll()
    assert (answer.status_code, answer["Location"]) == (303, f"/desk/polls/{made.id}")
    read = alice.get(f"/api/v1/polls/{made.id}/").json()
    expected = alice.make_poll()
    own = ("id", "join_code", "links", "options", "created_at", "opened_at")
    assert {n: v for n, v in read.items() if n not in own} == {
        n: v for n, v in expected.items() if n not in own
    }
    assert [option["text"] for option in read["options"]] == TWO
    assert "The poll is open." in said(desk.get(answer["Location"]))


def test_form_sent_as_it_is_shown_makes_a_poll_by_the_defaults(desk: Browser) -> None:
    shown = form_of(desk.read(NEW))
    assert make(desk, **{**shown, "title": "Lunch?", "option": [*TWO, ""]}).status_code == 303
    made = the_poll()
    assert (made.kind, made.identity, made.results_visibility) == ("single", "device", "always")
    assert (made.min_selections, made.max_selections) == (1, 1)


def test_everything_that_can_be_said_of_a_poll_is_kept(desk: Browser) -> None:
    fields = {
        "description": "One\r\nTwo",
        "kind": "multiple",
        "min_selections": "2",
        "max_selections": "",
        "identity": "account",
        "results_visibility": "after_close",
        "opens_at": "2098-01-01T10:30",
        "closes_at": "2098-01-02T10:30",
        "embed_origins": "https://a.example\nhttps://b.example:8000",
        "option": ["a", "", " b ", "c"],
    }
    assert make(desk, **fields).status_code == 303
    made = the_poll()
    assert (made.description, made.kind, made.status_now) == ("One\nTwo", "multiple", "scheduled")
    assert (made.min_selections, made.max_selections) == (2, 3)
    assert (made.identity, made.results_visibility) == ("account", "after_close")
    assert made.opens_at == datetime(2098, 1, 1, 10, 30, tzinfo=UTC)
    assert made.closes_at == datetime(2098, 1, 2, 10, 30, tzinfo=UTC)
    assert made.embed_origins == ["https://a.example", "https://b.example:8000"]
    assert [option.text for option in made.options.all()] == ["a", "b", "c"]


def test_rules_of_votes_are_kept_told_and_duplicated(alice: Person, desk: Browser) -> None:
    make(desk, network_cap="12", allow_change=["", "on"])
    capped = the_poll()
    assert (capped.network_cap, capped.secrecy, capped.allow_change) == (12, "confidential", True)
    page = desk.get(f"/desk/polls/{capped.id}")
    for rule in (
        "One vote for each browser;",
        "Voters from one network: 12 at most;",
        "Confidential:",
        "Votes can be changed and withdrawn until the poll closes.",
    ):
        assert rule in said(page)
    copy = desk.send(f"/desk/polls/{capped.id}/duplicate", LIST)["Location"].rpartition("/")[2]
    duplicate = alice.get(f"/api/v1/polls/{copy}/").json()
    assert (duplicate["network_cap"], duplicate["allow_change"]) == (12, True)


def test_box_that_is_unticked_counts_and_one_that_did_not_come_stays(
    alice: Person, desk: Browser
) -> None:
    poll = alice.make_poll(allow_change=True, network_cap=5)
    assert form_of(desk.read(page_of(poll)))["allow_change"] == "on"
    # As from a page that was loaded while votes had frozen it.
    edit(desk, poll, title="Dinner?")
    desk.send(page_of(poll), title="Supper?", option=TWO)
    assert alice.read_poll(poll)["allow_change"] is True
    edit(desk, poll, allow_change="", network_cap="", identity="code", secrecy="secret")
    now = alice.read_poll(poll)
    assert (now["allow_change"], now["network_cap"]) == (False, None)
    assert (now["identity"], now["secrecy"]) == ("code", "secret")


def test_draft_is_kept_for_its_owner_alone(desk: Browser, charlie: Person) -> None:
    answer = make(desk, status="draft")
    assert the_poll().status == "draft"
    assert "Nobody but you can see it." in said(desk.get(answer["Location"]))
    assert charlie.get(f"/p/{the_poll().join_code}").status_code == 404


PAST = "2001-01-01T10:00"
LONG = "x" * 201


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"title": " "}, "Write a title."),
        ({"title": LONG}, "A title has 200 characters at most."),
        ({"option": ["one", ""]}, "Write at least 2 answers, and 100 at most."),
        ({"option": []}, "Write at least 2 answers, and 100 at most."),
        ({"option": [str(n) for n in range(101)]}, "Write at least 2 answers, and 100 at most."),
        ({"option": ["a", "b", "A"]}, "This answer looks the same as another."),
        ({"option": ["a", "", LONG]}, "An answer has 200 characters at most."),
        ({"option": ["a", "\u200b"]}, "There is nothing to read in this answer."),
        ({"description": LONG * 50}, "A description has 10000 characters at most."),
        ({"kind": "multiple", "max_selections": "3"}, "There are not as many answers as that."),
        ({"kind": "multiple", "min_selections": "3"}, "It lies between 1 and the most."),
        ({"kind": "multiple", "min_selections": "x"}, "Enter a whole number."),
        ({"kind": "ranked"}, "Select a valid choice."),
        ({"identity": "name"}, "Select a valid choice."),
        ({"secrecy": "open"}, "Select a valid choice."),
        ({"network_cap": "0"}, "It lies between 1 and 1000000."),
        ({"network_cap": "1000001"}, "It lies between 1 and 1000000."),
        ({"network_cap": "many"}, "Enter a whole number."),
        ({"network_cap": "3", "identity": "code"}, "This goes with one vote for each browser."),
        ({"allow_change": "on", "secrecy": "secret"}, "Nobody knows which ballot to change"),
        ({"allow_change": "on", "identity": "open"}, "nobody is known to have voted"),
        ({"identity": "open", "results_visibility": "after_vote"}, "nobody is known to have voted"),
        ({"closes_at": PAST}, "This time has passed."),
        ({"closes_at": "soon"}, "Enter a valid date/time."),
        (
            {"opens_at": "2098-01-02T10:00", "closes_at": "2098-01-01T10:00"},
            "It closes before it opens.",
        ),
        ({"embed_origins": "https://a.example/x"}, "Each is like https://example.org"),
        (
            {"embed_origins": "\n".join(f"https://{n}.example" for n in range(21))},
            "There may be 20 of them at most.",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_poll_that_cannot_be_is_told_at_its_field(
    desk: Browser, fields: dict[str, Any], sentence: str
) -> None:
    answer = make(desk, **fields)
    assert answer.status_code == 400
    assert sentence in said(answer)
    assert answer.content.decode().count("autofocus") == 1
    assert not Poll.objects.exists()


def test_fault_of_an_answer_stands_at_its_row_past_empty_ones(desk: Browser) -> None:
    page = make(desk, option=["a", "", "b", "B"]).content.decode()
    [fault] = re.findall(r'id="(answer-\d)-error"', page)
    assert fault == "answer-4"
    field = re.search(r'<input id="answer-4"[^>]*>', page)
    assert field is not None
    assert "autofocus" in field[0]
    assert 'aria-invalid="true"' in field[0]


def test_address_fills_the_form_in(desk: Browser) -> None:
    page = desk.read(NEW, title="Lunch?", option=["a", "b", "c"])
    shown = form_of(page)
    assert (shown["title"], shown["option"]) == ("Lunch?", ["a", "b", "c"])
    assert not Poll.objects.exists()


@pytest.mark.parametrize(
    ("command", "rows"),
    [
        ("add", ["a", "b", "c", ""]),
        ("remove-1", ["a", "c"]),
        ("up-2", ["a", "c", "b"]),
        ("up-0", ["a", "b", "c"]),
        ("down-0", ["b", "a", "c"]),
        ("remove-9", ["a", "b", "c"]),
        ("remove-x", ["a", "b", "c"]),
        ("nonsense", ["a", "b", "c"]),
    ],
)
def test_answers_are_added_removed_and_moved_without_a_script(
    desk: Browser, command: str, rows: list[str]
) -> None:
    answer = make(desk, option=["a", "b", "c"], do=command)
    assert answer.status_code == 200
    page = answer.content.decode()
    assert form_of(page)["option"] == rows
    assert form_of(page)["title"] == "Lunch?"
    assert not Poll.objects.exists()


def test_first_button_of_the_form_is_not_one_that_changes_answers(desk: Browser) -> None:
    form = desk.read(NEW).partition('id="poll-form"')[2]
    first = re.search(r"<button[^>]*>", form)
    assert first is not None
    assert "name=" not in first[0]


# -- one poll ----------------------------------------------------------------------------------


def test_page_shows_how_people_get_there(alice: Person, desk: Browser, settings: Any) -> None:
    settings.PUBLIC_URL = "https://polls.example.org"
    poll = alice.make_poll(embed_origins=["https://blog.example"])
    page = desk.read(page_of(poll))
    address = f"https://polls.example.org/p/{poll['join_code']}"
    assert f'href="{address}"' in page
    assert "<svg" in page
    for path in ("results", "present", "qr.png", "qr.svg"):
        assert f'href="/p/{poll["join_code"]}/{path}"' in page
        assert desk.get(f"/p/{poll['join_code']}/{path}").status_code == 200
    line = f'<iframe src="https://polls.example.org/embed/{poll["join_code"]}"'
    assert line in html.unescape(page)


def test_form_sent_as_it_is_shown_changes_nothing(alice: Person, desk: Browser) -> None:
    soon = (datetime.now(UTC) + timedelta(days=1, seconds=17)).isoformat()
    poll = alice.make_poll(
        kind="multiple",
        description="One\nTwo",
        min_selections=1,
        max_selections=1,
        closes_at=soon,
        embed_origins=["https://a.example"],
    )
    assert edit(desk, poll).status_code == 303
    assert alice.read_poll(poll) == poll


def test_change_is_kept_and_raises_seq(alice: Person, desk: Browser) -> None:
    poll = alice.make_poll(status="draft")
    changes = {"title": "Dinner?", "option": ["Soup", "Sushi", "Pizza"], "kind": "approval"}
    answer = edit(desk, poll, **changes)
    assert (answer.status_code, answer["Location"]) == (303, page_of(poll))
    now = alice.read_poll(poll)
    assert (now["title"], now["kind"], now["max_selections"]) == ("Dinner?", "approval", 3)
    assert [option["text"] for option in now["options"]] == ["Soup", "Sushi", "Pizza"]
    assert now["seq"] == poll["seq"] + 1


def test_what_votes_have_frozen_is_shown_and_not_sent(alice: Person, desk: Browser) -> None:
    poll = alice.make_poll()
    voter().vote(poll, 0)
    page = desk.read(page_of(poll))
    assert "Votes are in:" in page
    assert "The poll has opened." in page
    assert set(form_of(page)) == {
        *("title", "description", "results_visibility", "closes_at", "embed_origins")
    }
    assert edit(desk, poll, title="Dinner?").status_code == 303
    now = alice.read_poll(poll)
    assert (now["title"], now["options"]) == ("Dinner?", poll["options"])


def test_vote_that_came_while_the_form_was_open_is_told_kindly(
    alice: Person, desk: Browser
) -> None:
    poll = alice.make_poll()
    shown = form_of(desk.read(page_of(poll)))
    voter().vote(poll, 0)
    changed = {**shown, "title": "Dinner?", "option": ["Soup", "Sushi"], "kind": "multiple"}
    answer = desk.send(page_of(poll), **changed)
    assert answer.status_code == 409
    text = said(answer)
    assert "Some of this came too late" in text
    assert text.count("This can no longer be changed") == 2
    # What can still be changed is there to be sent again; the rest is shown as it stands.
    again = form_of(answer.content.decode())
    assert again["title"] == "Dinner?"
    assert not {"option", "kind"} & set(again)
    assert "Pizza" in answer.content.decode()
    assert alice.read_poll(poll)["title"] == "Lunch?"
    assert desk.send(page_of(poll), **again).status_code == 303
    assert alice.read_poll(poll)["title"] == "Dinner?"


def test_change_that_cannot_be_is_told_at_its_field(alice: Person, desk: Browser) -> None:
    poll = alice.make_poll()
    answer = edit(desk, poll, option=["a", "A"], title=" ")
    assert answer.status_code == 400
    assert "Write a title." in said(answer)
    assert "This answer looks the same as another." in said(answer)
    assert alice.read_poll(poll) == poll
