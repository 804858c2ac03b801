"""The organiser's desk: polls are listed, made, changed and run, without a line of JavaScript."""

import json
import re
import uuid
from contextlib import closing
from typing import Any
from urllib.parse import urljoin

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from polls.models import Poll
from tests.cast import Person, voter, votes_of
from tests.web.browsers import (
    HOSTILE,
    LIST,
    NEW,
    TWO,
    Browser,
    assert_only_text,
    make,
    page_of,
    said,
    sign_in,
)

# -- who may -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [LIST, f"{NEW}?title=Lunch?&option=a", "/desk/tokens"])
def test_desk_leads_to_log_in_and_back(charlie: Person, path: str) -> None:
    del charlie
    answer = Browser().get(path)
    assert answer.status_code == 302
    where, _, query = answer["Location"].partition("?next=")
    assert where == "/accounts/login"
    assert query.startswith(path.split("?", maxsplit=1)[0])


@pytest.mark.parametrize(
    "action", ["", "/open", "/schedule", "/close", "/reset", "/duplicate", "/delete"]
)
def test_poll_of_another_is_not_there_and_nothing_happens_to_it(
    alice: Person, desk: Browser, action: str
) -> None:
    bob = sign_in("bob")
    poll = alice.make_poll(status="draft")
    before = alice.read_poll(poll)
    for path in (page_of(poll), f"/desk/polls/{uuid.uuid4()}"):
        answer = bob.send(path + action, LIST, title="Mine!", option=TWO)
        # The list has no form without polls, so the token comes from a page that has one.
        assert answer.status_code == 404
    assert alice.read_poll(poll) == before
    assert Poll.objects.count() == 1
    assert "Lunch?" not in bob.read(LIST)
    assert "Lunch?" in desk.read(LIST)


@pytest.mark.parametrize("action", ["", "/open", "/close", "/reset", "/duplicate", "/delete"])
def test_row_22_form_without_the_csrf_token_is_refused(
    alice: Person, desk: Browser, action: str
) -> None:
    poll = alice.make_poll(status="draft")
    assert desk.http.post(page_of(poll) + action, {"title": "Other"}).status_code == 403
    assert alice.read_poll(poll) == poll


# -- the list ----------------------------------------------------------------------------------


def test_list_shows_own_polls_newest_first_with_their_counts(alice: Person, desk: Browser) -> None:
    assert "You have no polls yet." in said(desk.get(LIST))
    polls = [alice.make_poll(title=f"Poll {name}") for name in "abc"]
    voter().vote(polls[1], 0)
    page = desk.read(LIST)
    assert re.findall(r"Poll (\w)</a>", page) == ["c", "b", "a"]
    assert re.findall(r'data-poll="([^"]+)"', page) == [poll["id"] for poll in reversed(polls)]
    text = said(desk.get(LIST))
    assert re.findall(r"(\d) ballots?", text) == ["0", "1", "0"]
    for poll in polls:
        assert poll["join_code"] in text
    assert "no-store" in desk.get(LIST)["Cache-Control"]


def test_list_goes_by_pages(alice: Person, desk: Browser) -> None:
    for number in range(21):
        alice.make_poll(title=f"Poll {number}")
    first, second = desk.read(LIST), desk.read(LIST, page=2)
    assert ("?page=2" in first, "?page=1" in second) == (True, True)
    assert (first.count("data-poll"), second.count("data-poll")) == (20, 1)
    assert desk.read(LIST, page="x").count("data-poll") == 20


def test_list_costs_the_same_at_one_and_at_three(alice: Person, desk: Browser) -> None:
    counts = []
    for number in (1, 3):
        while Poll.objects.count() < number:
            alice.make_poll()
        with CaptureQueriesContext(connection) as queries:
            desk.read(LIST)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 8


# -- actions -----------------------------------------------------------------------------------


def act(desk: Browser, poll: dict[str, Any], action: str, **fields: str) -> Any:
    return desk.send(f"{page_of(poll)}/{action}", page_of(poll), **fields)


@pytest.mark.parametrize(
    ("back", "where"), [("", "page"), ("polls", LIST), ("//evil.example", "page")]
)
def test_open_opens_and_leads_back(alice: Person, desk: Browser, back: str, where: str) -> None:
    poll = alice.make_poll(status="draft")
    answer = act(desk, poll, "open", back=back)
    assert answer.status_code == 303
    assert answer["Location"] == (page_of(poll) if where == "page" else where)
    assert alice.read_poll(poll)["status"] == "open"
    assert "The poll is open." in said(desk.get(answer["Location"]))


def test_close_asks_then_closes_for_good(alice: Person, desk: Browser) -> None:
    poll = alice.make_poll()
    voter().vote(poll, 0)
    asked = said(desk.get(f"{page_of(poll)}/close"))
    assert "it can never be opened again" in asked
    assert "1 ballot " in asked
    assert alice.read_poll(poll)["status"] == "open"
    assert act(desk, poll, "close").status_code == 303
    assert alice.read_poll(poll)["status"] == "closed"
    again = act(desk, poll, "open")
    assert "The poll is closed, and stays so." in said(desk.get(again["Location"]))


def test_draft_opens_by_itself_at_its_time(alice: Person, desk: Browser) -> None:
    poll = alice.make_poll(status="draft", opens_at="2098-01-01T10:00:00Z")
    assert "Open at its time" in desk.read(page_of(poll))
    assert act(desk, poll, "schedule").status_code == 303
    now = alice.read_poll(poll)
    assert (now["status"], now["opens_at"], now["seq"]) == (
        "scheduled",
        "2098-01-01T10:00:00Z",
        poll["seq"] + 1,
    )


def test_draft_whose_time_is_not_set_is_not_scheduled(alice: Person, desk: Browser) -> None:
    poll = alice.make_poll(status="draft")
    answer = act(desk, poll, "schedule")
    assert "Its time has passed. Set another first." in said(desk.get(answer["Location"]))
    assert alice.read_poll(poll) == poll


@pytest.mark.parametrize("before", ["draft", "open", "closed"])
def test_duplicate_is_a_draft_with_the_same_definition(
    alice: Person, desk: Browser, before: str
) -> None:
    fields = {"kind": "multiple", "max_selections": 1, "description": "Why", "identity": "open"}
    poll = alice.make_poll(status="draft" if before == "draft" else "open", **fields)
    if before == "closed":
        alice.close(poll)
    elif before == "open":
        voter().vote(poll, 0, Idempotency_Key="k" * 16)
    answer = act(desk, poll, "duplicate")
    copy = alice.get(f"/api/v1{answer['Location'].removeprefix('/desk')}/").json()
    assert (copy["status"], copy["ballots"]) == ("draft", 0)
    assert copy["join_code"] != poll["join_code"]
    for name in ("title", "kind", "max_selections", "description", "identity"):
        assert copy[name] == poll[name]
    assert [option["text"] for option in copy["options"]] == TWO


def test_delete_asks_then_the_poll_is_gone(alice: Person, desk: Browser) -> None:
    poll = alice.make_poll()
    assert "It is gone at once for everybody" in said(desk.get(f"{page_of(poll)}/delete"))
    assert alice.get(poll["links"]["self"]).status_code == 200
    answer = act(desk, poll, "delete")
    assert (answer.status_code, answer["Location"]) == (303, LIST)
    assert alice.get(poll["links"]["self"]).status_code == 404
    assert desk.get(page_of(poll)).status_code == 404


def test_reset_asks_then_takes_all_votes_back(alice: Person, desk: Browser) -> None:
    poll, somebody = alice.make_poll(), voter()
    somebody.vote(poll, 0)
    assert "everybody can vote again" in said(desk.get(f"{page_of(poll)}/reset"))
    assert votes_of(alice, poll) == [1, 0]
    assert act(desk, poll, "reset").status_code == 303
    assert votes_of(alice, poll) == [0, 0]
    assert somebody.vote(poll, 1).status_code == 201


# -- what organisers write ---------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_of_an_organiser_stays_text(alice: Person, desk: Browser, text: str) -> None:
    poll = alice.make_poll(
        title=text, description=text, options=[{"text": text}, {"text": f"{text} again"}]
    )
    pages = [LIST, page_of(poll), f"{page_of(poll)}/close", f"{page_of(poll)}/delete"]
    for path in pages:
        assert_only_text(desk.read(path))
    assert_only_text(desk.read(NEW, title=text, option=[text, text]))
    assert_only_text(make(desk, title=text, option=[text, text]).content.decode())


def test_pages_of_the_desk_hold_nothing_inline(alice: Person, desk: Browser) -> None:
    poll = alice.make_poll()
    for path in (LIST, NEW, page_of(poll), f"{page_of(poll)}/close", "/desk/tokens"):
        page = desk.read(path)
        assert not re.search(r"<style|<[^>]+ style=|<[^>]+ on\w+=", page), path
        for data in re.findall(r'<script id="texts"[^>]*>(.*?)</script>', page):
            assert json.loads(data)["statuses"]["open"] == "Open"
        ids = re.findall(r' id="([^"]+)"', page)
        assert len(set(ids)) == len(ids), path


def test_scripts_of_the_desk_and_what_they_import_are_served(alice: Person, desk: Browser) -> None:
    page = desk.read(page_of(alice.make_poll()))
    waiting = re.findall(r'<script type="module" src="([^"]+)"', page)
    served = set[str]()
    while waiting:
        path = waiting.pop()
        with closing(desk.get(path)) as file:
            assert file.status_code == 200, path
            script = file.getvalue().decode()
        served.add(path.partition("/web/js/")[2])
        waiting += [
            urljoin(path, name)
            for name in re.findall(r'^import .* from "(.+)";$', script, re.MULTILINE)
        ]
    assert served == {
        *("desk.js", "desk_form.js"),
        *("lib/live.js", "lib/many.js", "lib/times.js", "lib/words.js"),
    }
