"""A vote by the form alone, without a script: by a code, changed, withdrawn, and secret."""

import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from polls.domain.rate_limits import Rate
from tests.cast import Person, votes_of
from tests.web.test_pages import HTML, form_of, shown_votes, vote

Poll = dict[str, Any]
RECEIPT = re.compile("Your vote is counted. Receipt: <code>([0-9a-f]{32})</code>")
WITHDRAWN = "Your vote is withdrawn. You can vote again until the poll closes."
_MARKED = re.compile(r'value="([0-9a-f-]{36})" checked')


@pytest.fixture
def browser(database: None) -> Client:
    """A browser with its own cookies."""
    del database
    return Client(enforce_csrf_checks=True, headers=HTML)


def code_poll(alice: Person, **fields: Any) -> tuple[Poll, list[str]]:
    """Make a poll that asks for codes, and three of them."""
    poll = alice.make_poll(identity="code", **fields)
    codes = alice.post(f"{poll['links']['self']}codes/", {"count": 3}).json()["codes"]
    return poll, codes


def said_by(answer: Any) -> str:
    """Return a page without the texts that its scripts may come to say."""
    page, texts, _ = answer.content.decode().partition('<script id="texts"')
    assert texts
    return str(page)


def read(browser: Client, poll: Poll) -> str:
    return said_by(browser.get(poll["links"]["page"]))


def follow(browser: Client, answer: Any) -> str:
    assert answer.status_code == 303, answer.content
    return said_by(browser.get(answer["Location"]))


def marked(page: str) -> list[str]:
    """Return the ids of the options that a page shows as chosen."""
    return _MARKED.findall(page)


def field_of_code(page: str) -> str:
    found = re.search(r'<input id="code"[^>]*>', page, re.DOTALL)
    assert found is not None
    return found[0]


def problem_of_code(page: str) -> str:
    found = re.search(r'id="code-problem"[^>]*>([^<]*)<', page)
    assert found is not None
    return found[1]


# -- codes -------------------------------------------------------------------------------------


def test_code_lets_one_vote_in_and_its_receipt_is_told(browser: Client, alice: Person) -> None:
    poll, [code, *_] = code_poll(alice)
    assert " required" in field_of_code(read(browser, poll))
    answer = vote(browser, poll, 1, code=code)
    assert code not in answer["Location"]
    page = follow(browser, answer)
    assert RECEIPT.search(page)
    # Whoever comes next to the same browser finds an empty form.
    assert 'value=""' in field_of_code(page)
    assert code not in page
    assert "<fieldset>" in page
    assert votes_of(alice, poll) == [0, 1]


@pytest.mark.parametrize(
    "written",
    [
        lambda code: code.lower(),
        lambda code: code.replace("-", ""),
        lambda code: f"  {code.replace('-', ' ')} ",
        lambda code: code.replace("-", "\u2014"),
        lambda code: code.replace("-", "\u00a0"),
        lambda code: code.replace("0", "o").replace("1", "l"),
        lambda code: code.translate({ord("2"): "\uff12"}),
    ],
)
def test_code_counts_however_it_is_typed(browser: Client, alice: Person, written: Any) -> None:
    poll, [code, *_] = code_poll(alice)
    assert vote(browser, poll, 0, code=written(code)).status_code == 303
    assert votes_of(alice, poll) == [1, 0]


def test_code_that_does_not_count_is_told_at_its_field(browser: Client, alice: Person) -> None:
    poll, [code, *_] = code_poll(alice)
    vote(browser, poll, 0, code=code)
    pages = {}
    for typed in (code, "0000-0000-0000-0000", "nonsense", "", "\0" * 3, "é" * 300):
        answer = vote(browser, poll, 1, code=typed)
        assert answer.status_code == 403
        pages[typed] = page = said_by(answer)
        assert problem_of_code(page).startswith("This code does not count here")
        assert "autofocus" in field_of_code(page)
        assert 'aria-invalid="true"' in field_of_code(page)
        assert marked(page) == [poll["options"][1]["id"]]  # and nothing need be filled in again
    assert f'value="{code}"' in field_of_code(pages[code])
    assert votes_of(alice, poll) == [1, 0]


def test_too_many_wrong_codes_are_told_at_the_field(
    browser: Client, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {**settings.RATE_LIMITS, Rate.FAILED_CODES_OF_POLL: (1, 60)}
    monkeypatch.setattr(settings, "RATE_LIMITS", limits)
    poll, [code, *_] = code_poll(alice)
    assert vote(browser, poll, 0, code="0000-0000-0000-0000").status_code == 403
    answer = vote(browser, poll, 0, code=code)
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert problem_of_code(said_by(answer)).startswith("Too many wrong codes")
    assert votes_of(alice, poll) == [0, 0]


def test_form_with_a_code_sent_twice_counts_once(browser: Client, alice: Person) -> None:
    poll, [code, *_] = code_poll(alice)
    key = form_of(read(browser, poll))["key"]
    receipts = {
        RECEIPT.findall(follow(browser, vote(browser, poll, 1, code=code, key=key)))[0]
        for _ in range(2)
    }
    assert len(receipts) == 1
    assert votes_of(alice, poll) == [0, 1]


def test_holder_of_a_code_sees_what_a_vote_opens(browser: Client, alice: Person) -> None:
    poll, [code, *_] = code_poll(alice, results_visibility="after_vote")
    assert shown_votes(read(browser, poll)) == []
    answer = vote(browser, poll, 1, code=code)
    assert answer.status_code == 200
    page = said_by(answer)
    assert shown_votes(page) == [0, 1]
    assert RECEIPT.search(page)
    assert code not in page
    assert shown_votes(read(browser, poll)) == []


def test_code_has_no_field_where_none_is_asked_for(browser: Client, alice: Person) -> None:
    assert 'id="code"' not in read(browser, alice.make_poll())
    assert vote(browser, alice.make_poll(), 0, code="whatever").status_code == 303


# -- changes -----------------------------------------------------------------------------------


def test_vote_is_changed_withdrawn_and_cast_again(browser: Client, alice: Person) -> None:
    poll = alice.make_poll(allow_change=True)
    one, two = (option["id"] for option in poll["options"])
    page = follow(browser, vote(browser, poll, 0))
    first = RECEIPT.findall(page)
    assert marked(page) == [one]
    assert "<fieldset>" in page
    assert 'value="replace">Change my vote</button>' in page
    page = follow(browser, vote(browser, poll, 1, action="replace"))
    assert marked(page) == [two]
    assert RECEIPT.findall(page) not in ([], first)
    assert votes_of(alice, poll) == [0, 1]
    page = follow(browser, vote(browser, poll, action="withdraw"))
    assert WITHDRAWN in page
    assert not RECEIPT.search(page)
    assert 'value="replace">Vote</button>' in page
    assert votes_of(alice, poll) == [0, 0]
    page = follow(browser, vote(browser, poll, 0, action="replace"))
    assert RECEIPT.search(page)
    assert votes_of(alice, poll) == [1, 0]


def test_vote_by_a_code_is_changed_and_withdrawn_by_it(browser: Client, alice: Person) -> None:
    poll, [code, other, _] = code_poll(alice, allow_change=True)
    page = follow(browser, vote(browser, poll, 0, code=code))
    assert 'name="action" value="replace">Change my vote</button>' in page
    assert "Withdraw my vote" in page
    assert RECEIPT.search(follow(browser, vote(browser, poll, 1, code=code, action="replace")))
    assert votes_of(alice, poll) == [0, 1]
    answer = vote(browser, poll, 1, code=other, action="replace")
    assert answer.status_code == 404
    assert "There is no vote of yours in this poll yet." in said_by(answer)
    assert WITHDRAWN in follow(browser, vote(browser, poll, code=code, action="withdraw"))
    assert votes_of(alice, poll) == [0, 0]
    assert RECEIPT.search(follow(browser, vote(browser, poll, 0, code=code, action="replace")))
    assert votes_of(alice, poll) == [1, 0]


def test_vote_that_cannot_be_changed_says_so(browser: Client, alice: Person) -> None:
    poll = alice.make_poll()
    page = follow(browser, vote(browser, poll, 0))
    assert "Change my vote" not in page
    assert "<fieldset disabled>" in page
    for action in ("replace", "withdraw"):
        answer = vote(browser, poll, 1, action=action)
        assert answer.status_code == 409
        assert "Votes in this poll cannot be changed." in said_by(answer)
    assert votes_of(alice, poll) == [1, 0]


def test_change_that_comes_too_late_is_told_so(browser: Client, alice: Person) -> None:
    poll = alice.make_poll(allow_change=True)
    vote(browser, poll, 0)
    fields = form_of(read(browser, poll))
    alice.close(poll)
    for action in ("replace", "withdraw"):
        sent = {**fields, "action": action, "choices": [poll["options"][1]["id"]]}
        answer = browser.post(poll["links"]["page"], sent)
        assert answer.status_code == 410
        assert "The poll is closed." in said_by(answer)
    page = read(browser, poll)
    assert "<fieldset disabled>" in page
    assert re.search(r'<details id="withdraw"[^>]* hidden>', page)
    assert votes_of(alice, poll) == [1, 0]


# -- secret polls and networks -----------------------------------------------------------------


@pytest.mark.parametrize("identity", ["device", "open", "code"])
def test_secret_vote_has_its_receipt_in_no_address_and_no_marks_afterwards(
    browser: Client, alice: Person, identity: str
) -> None:
    poll = alice.make_poll(identity=identity, secrecy="secret")
    code = ""
    if identity == "code":
        [code] = alice.post(f"{poll['links']['self']}codes/", {"count": 1}).json()["codes"]
    key = form_of(read(browser, poll))["key"]
    answers = [vote(browser, poll, 1, code=code, key=key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    pages = [said_by(answer) for answer in answers]
    receipts = {RECEIPT.findall(page)[0] for page in pages}
    assert len(receipts) == 1  # the page that is loaded again sends the same ballot again
    assert marked(pages[0]) == []
    assert form_of(pages[0])["key"] != key
    later = read(browser, poll)
    assert ("You have voted." in later) is (identity == "device")
    assert marked(later) == []
    assert receipts.isdisjoint(re.findall("[0-9a-f]{32}", later))
    assert votes_of(alice, poll) == [0, 1]


def test_full_network_is_told_in_words(browser: Client, alice: Person) -> None:
    poll = alice.make_poll(network_cap=1)
    assert "Voters from one network: 1 at most;" in read(browser, poll)
    assert vote(browser, poll, 0).status_code == 303
    answer = vote(Client(enforce_csrf_checks=True, headers=HTML), poll, 0)
    assert answer.status_code == 403
    assert "As many as may have voted from your network." in said_by(answer)
    assert votes_of(alice, poll) == [1, 0]


# -- what the rules prevent --------------------------------------------------------------------

RULES: list[tuple[dict[str, Any], list[str], list[str]]] = [
    ({}, ["One vote for each browser;", "Confidential:"], ["network:", "Secret:", "changed"]),
    ({"network_cap": 2500}, ["Voters from one network: 2,500 at most;"], []),
    ({"identity": "code"}, ["One vote for each code;"], []),
    ({"identity": "account"}, ["One vote for each account;"], []),
    ({"identity": "open"}, ["Anybody may vote as often as they like;"], ["Confidential:"]),
    ({"identity": "open", "secrecy": "secret"}, ["Secret:"], []),
    ({"secrecy": "secret"}, ["Secret: no record says which ballot is whose"], ["Confidential:"]),
    ({"allow_change": True}, ["Votes can be changed and withdrawn"], []),
]


@pytest.mark.parametrize(("fields", "said", "unsaid"), RULES, ids=str)
def test_pages_say_what_the_rules_prevent_and_what_they_do_not(
    browser: Client, alice: Person, fields: Any, said: list[str], unsaid: list[str]
) -> None:
    poll = alice.make_poll(**fields)
    code = poll["join_code"]
    for path in (f"/p/{code}", f"/p/{code}/results", f"/embed/{code}"):
        page = said_by(browser.get(path))
        assert [text for text in said if text not in page] == [], path
        assert [text for text in unsaid if text in page] == [], path
