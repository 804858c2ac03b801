"""The pages: a poll can be seen and voted in without a line of JavaScript."""

import html
import json
import re
from contextlib import closing
from typing import Any
from urllib.parse import urljoin

import pytest
from django.conf import settings
from django.test import Client

from realtime.asyncapi import document
from tests.cast import PASSWORD, Person

HTML = {"Accept": "text/html"}


@pytest.fixture
def browser(database: None) -> Client:
    """A browser with its own cookies, which checks CSRF as a real one must."""
    del database
    return Client(enforce_csrf_checks=True, headers=HTML)


def form_of(page: str) -> dict[str, str]:
    """Return the hidden fields of a page's form."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)"', page))


def shown_votes(page: str) -> list[int]:
    """Return the counts that a page shows beside its options."""
    return [int(votes) for votes in re.findall(r'class="number votes">(\d+)<', page)]


def vote(browser: Client, poll: dict[str, Any], *places: int, **changes: str) -> Any:
    """Fill the form of a poll's page and send it."""
    fields = form_of(browser.get(poll["links"]["page"]).content.decode()) | changes
    choices = [poll["options"][place]["id"] for place in places]
    return browser.post(poll["links"]["page"], {**fields, "choices": choices})


def test_page_shows_the_poll_and_sets_the_voters_cookie(browser: Client, alice: Person) -> None:
    poll = alice.make_poll(title="Lunch & <b>dinner</b>?")
    answer = browser.get(poll["links"]["page"])
    page = answer.content.decode()
    assert "Lunch &amp; &lt;b&gt;dinner&lt;/b&gt;?" in page
    assert poll["join_code"] in page
    assert 'name="choices"' in page
    cookie = answer.cookies["voter"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
    assert cookie["max-age"] == 400 * 24 * 3600


def test_form_casts_one_vote_and_the_page_shows_its_receipt(browser: Client, alice: Person) -> None:
    poll = alice.make_poll()
    answer = vote(browser, poll, 1)
    assert (answer.status_code, answer["Location"]) == (303, poll["links"]["page"])
    page = browser.get(poll["links"]["page"]).content.decode()
    assert "Your vote is counted. Receipt:" in page
    assert [o["votes"] for o in alice.get(poll["links"]["results"]).json()["options"]] == [0, 1]


def test_vote_that_nobody_can_look_up_again_is_acknowledged(browser: Client, alice: Person) -> None:
    poll = alice.make_poll(identity="open")
    answer = vote(browser, poll, 1)
    assert answer.status_code == 303
    page = browser.get(answer["Location"]).content.decode()
    assert re.search("Your vote is counted. Receipt: <code>[0-9a-f]{32}</code>", page)
    forged = f"{poll['links']['page']}?counted={'0' * 32}:{'x' * 43}"
    assert "Your vote is counted. Receipt" not in browser.get(forged).content.decode()
    plain = browser.get(poll["links"]["page"]).content.decode()
    assert "Your vote is counted. Receipt" not in plain
    # The form stands there for whoever likes to vote again.
    assert "<fieldset>" in page
    # It says nothing of another poll, nor of this one once it has begun anew.
    counted = answer["Location"].partition("?")[2]
    for other in (alice.make_poll(identity="open"), alice.make_poll()):
        elsewhere = browser.get(f"{other['links']['page']}?{counted}").content.decode()
        assert "Your vote is counted. Receipt" not in elsewhere
        assert "<fieldset>" in elsewhere
    alice.post(f"{poll['links']['self']}reset/")
    assert "Your vote is counted. Receipt" not in browser.get(answer["Location"]).content.decode()


def test_form_sent_twice_counts_once(browser: Client, alice: Person) -> None:
    poll = alice.make_poll()
    key = form_of(browser.get(poll["links"]["page"]).content.decode())["key"]
    first, second = vote(browser, poll, 1, key=key), vote(browser, poll, 1, key=key)
    assert (first.status_code, second.status_code) == (303, 303)
    assert alice.get(poll["links"]["results"]).json()["ballots"] == 1


def test_row_22_form_without_the_csrf_token_is_refused(browser: Client, alice: Person) -> None:
    poll = alice.make_poll()
    browser.get(poll["links"]["page"])
    answer = browser.post(poll["links"]["page"], {"choices": [poll["options"][0]["id"]]})
    assert answer.status_code == 403
    assert alice.get(poll["links"]["results"]).json()["ballots"] == 0


def test_ballot_that_does_not_fit_is_told_on_the_page(browser: Client, alice: Person) -> None:
    poll = alice.make_poll(kind="multiple", max_selections=1)
    answer = vote(browser, poll, 0, 1)
    assert answer.status_code == 400
    assert "This ballot does not fit the poll." in answer.content.decode()
    again = vote(browser, poll)
    assert (again.status_code, again.headers.get("Location")) == (400, None)
    assert "This ballot does not fit the poll." in again.content.decode()


def test_hidden_results_stand_nowhere_on_the_page(browser: Client, alice: Person) -> None:
    poll = alice.make_poll(results_visibility="owner")
    before = browser.get(poll["links"]["page"]).content.decode()
    assert shown_votes(before) == []
    assert '<span id="ballots" hidden></span>' in before
    vote(browser, poll, 0)
    after = browser.get(poll["links"]["page"]).content.decode()
    assert "Your vote is counted. Receipt" in after
    assert shown_votes(after) == []


def test_results_open_on_the_page_with_the_vote(browser: Client, alice: Person) -> None:
    poll = alice.make_poll(results_visibility="after_vote")
    assert shown_votes(browser.get(poll["links"]["page"]).content.decode()) == []
    vote(browser, poll, 0)
    assert shown_votes(browser.get(poll["links"]["page"]).content.decode()) == [1, 0]


def test_account_poll_asks_to_sign_in_and_then_takes_the_vote(
    browser: Client, alice: Person
) -> None:
    poll = alice.make_poll(identity="account")
    assert "Log in to vote" in browser.get(poll["links"]["page"]).content.decode()
    assert browser.login(username="alice", password=PASSWORD)
    assert vote(browser, poll, 0).status_code == 303


def test_draft_is_unknown_to_everybody_but_its_owner(browser: Client, alice: Person) -> None:
    poll = alice.make_poll(status="draft")
    answer = browser.get(poll["links"]["page"])
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")
    assert browser.login(username="alice", password=PASSWORD)
    assert browser.get(poll["links"]["page"]).status_code == 200


def test_home_leads_to_a_poll_by_its_code(browser: Client, alice: Person) -> None:
    poll = alice.make_poll()
    assert browser.get("/").status_code == 200
    answer = browser.get("/", {"code": f" {poll['join_code'].lower()} "})
    assert (answer.status_code, answer["Location"]) == (302, poll["links"]["page"])


def test_slash_behind_a_page_redirects(browser: Client, alice: Person) -> None:
    poll = alice.make_poll()
    answer = browser.get(poll["links"]["page"] + "/")
    assert (answer.status_code, answer["Location"]) == (302, poll["links"]["page"])


SCRIPTS = {
    "": "vote ballot lib/http lib/follow lib/live lib/memory lib/sending lib/words "
    "parts/code parts/own_vote parts/page ballots/choices",
    "/results": "results lib/follow lib/http lib/live lib/words parts/event parts/history "
    "parts/page parts/summary",
    "/present": "present lib/http lib/follow lib/live lib/words parts/event parts/page "
    "parts/summary",
}


@pytest.mark.parametrize("page", SCRIPTS)
def test_scripts_of_a_page_and_what_they_import_are_served(
    browser: Client, alice: Person, page: str
) -> None:
    text = browser.get(alice.make_poll()["links"]["page"] + page).content.decode()
    waiting = re.findall(r'<script type="module" src="([^"]+)"', text)
    folder = f"{settings.STATIC_URL}web/js/"
    waiting += [f"{folder}ballots/{name}.js" for name in re.findall(r'data-ballot="(\w+)"', text)]
    served = set[str]()
    while waiting:
        path = waiting.pop()
        if path in served:
            continue
        with closing(browser.get(path)) as file:
            assert file.status_code == 200, path
            assert file.headers["Content-Type"].startswith("text/javascript")
            script = file.getvalue().decode()
        served.add(path)
        imports = re.findall(r'^(?:import|export) .* from "(.+)";$', script, re.MULTILINE)
        waiting += [urljoin(path, name) for name in imports]
    assert served == {f"{folder}{name}.js" for name in SCRIPTS[page].split()}


def test_page_of_the_protocol_shows_every_frame_and_close_code_without_a_script() -> None:
    answer = Client().get("/docs/protocol", headers=HTML)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    page = answer.content.decode()
    protocol = document(host="testserver", secure=False)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(set(ids)) == len(ids)
    for name, channel in protocol["channels"].items():
        assert f"<code>{channel['address']}</code>" in page
        assert [i for i in ids if i.startswith(f"{name}-")] == [
            f"{name}-{kind}" for kind in channel["messages"]
        ]
    assert [i for i in ids if i.startswith("close-")] == [
        f"close-{entry['code']}" for entry in protocol["x-close-codes"]
    ]
    examples = [
        json.loads(html.unescape(text))
        for text in re.findall("<pre.*?><code>(.*?)</code>", page, re.DOTALL)
    ]
    for message in protocol["components"]["messages"].values():
        assert message["examples"][0]["payload"] in examples
    assert "<script" not in page
    assert "`" not in re.sub("<pre.*?</pre>", "", page, flags=re.DOTALL)
    # Links within the page lead somewhere.
    assert {f"#{i}" for i in ids} >= set(re.findall('href="(#[^"]+)"', page))


def test_way_in_links_to_the_documentation(browser: Client) -> None:
    page = browser.get("/").content.decode()
    for path in ("/swagger/", "/redoc/", "/docs/protocol", "/docs/errors"):
        assert f'href="{path}"' in page
        assert browser.get(path).status_code == 200


def test_query_of_more_parameters_than_are_read_is_refused_on_the_page(browser: Client) -> None:
    answer = browser.get("/?" + "&" * settings.DATA_UPLOAD_MAX_NUMBER_FIELDS)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "text/html; charset=utf-8")
    assert "The request cannot be read" in html.unescape(answer.content.decode()) or answer.content
