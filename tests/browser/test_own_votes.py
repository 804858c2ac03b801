"""A voter's own vote in a browser: by a code, changed, withdrawn, and secret."""

import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, LostAnswers, People, ballots, choose, vote
from tests.browser.test_manners import WCAG
from tests.browser.test_row_27_28_hostile_texts import PAYLOADS
from tests.live import Caller, Server

Poll = dict[str, Any]


def code_poll(organiser: Caller, **fields: Any) -> tuple[Poll, list[str]]:
    """Make a poll that asks for codes, and three of them."""
    poll = organiser.make_poll(identity="code", **fields)
    codes = organiser.post(f"{poll['links']['self']}codes/", {"count": 3}).json()["codes"]
    return poll, codes


def votes_of(organiser: Caller, poll: Poll) -> list[int]:
    options = organiser.get(poll["links"]["results"]).json()["options"]
    return [option["votes"] for option in options]


def stored(page: Page) -> str:
    """Return all that the browser keeps for the page."""
    return str(page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])"))


def notice(page: Page) -> Any:
    return expect(page.locator("#notice"))


def press_withdraw(page: Page) -> None:
    page.locator("#withdraw summary").click()
    page.get_by_role("button", name="Yes, withdraw it").click()


def withdraw(page: Page) -> None:
    press_withdraw(page)
    notice(page).to_contain_text("Your vote is withdrawn.")


def test_code_behind_the_address_votes_and_is_kept_nowhere(
    people: People, organiser: Caller
) -> None:
    poll, [code, other, _] = code_poll(organiser)
    person = people(**PHONE)
    page = person.goto(f"{poll['links']['page']}#code={code.replace('-', '')}")
    expect(page.get_by_label("Your voting code")).to_have_value(code)
    assert urlsplit(page.url).fragment == ""
    vote(page, "Sushi")
    expect(page.locator("#notice code")).to_have_text(re.compile("^[0-9a-f]{32}$"))
    assert code not in stored(page)
    assert all(code.replace("-", "") not in urlsplit(url)._replace(fragment="").geturl()
               for url in person.requests)  # fmt: skip
    page.reload()
    notice(page).to_contain_text("Your vote is counted.")
    expect(page.locator("#vote")).to_be_hidden()
    # Whoever comes next to the same phone.
    page.get_by_role("link", name="Vote with another code").click()
    expect(page.get_by_label("Your voting code")).to_be_focused()
    page.keyboard.insert_text(other.lower())
    vote(page, "Pizza")
    assert votes_of(organiser, poll) == [1, 1]


def test_wrong_code_is_told_at_its_field(people: People, organiser: Caller) -> None:
    poll, [code, *_] = code_poll(organiser)
    page = people().goto(poll["links"]["page"])
    expect(page.locator("#connection")).to_have_text("live")
    field, problem = page.get_by_label("Your voting code"), page.locator("#code-problem")
    choose(page, "Pizza")
    page.locator("#vote").click()
    expect(problem).to_have_text("Write your code first.")
    field.fill("0000 0000 0000 0000")
    page.locator("#vote").click()
    expect(problem).to_contain_text("This code does not count here")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    page.route("**/votes/", lambda route: route.fulfill(
        status=429, headers={"Retry-After": "60"}, content_type="application/problem+json",
        body=json.dumps({"code": "too_many"})))  # fmt: skip
    page.locator("#vote").click()
    expect(problem).to_contain_text("Too many wrong codes")
    page.unroute("**/votes/")
    field.fill(f" {code.replace('-', ' ').lower()} ")
    page.locator("#vote").click()
    notice(page).to_contain_text("Your vote is counted.")
    expect(problem).to_be_hidden()
    assert votes_of(organiser, poll) == [1, 0]


def test_vote_by_a_code_goes_on_after_a_reload(people: People, organiser: Caller) -> None:
    poll, [code, *_] = code_poll(organiser)
    page = people().goto(f"{poll['links']['page']}#code={code}")
    answers = LostAnswers(page, times=1)
    choose(page, "Pizza")
    page.locator("#vote").click()
    notice(page).to_contain_text("The connection is lost.")
    answers.over = True
    page.reload()
    notice(page).to_contain_text("Your vote is counted.")
    assert len(set(answers.keys)) == 1 < len(answers.keys)
    assert code.replace("-", "") not in stored(page)
    assert votes_of(organiser, poll) == [1, 0]


@pytest.mark.parametrize("identity", ["device", "code"])
def test_vote_is_changed_and_withdrawn_and_cast_again(
    people: People, organiser: Caller, identity: str
) -> None:
    fields = {"allow_change": True, "identity": identity}
    poll = organiser.make_poll(**fields)
    way = poll["links"]["page"]
    if identity == "code":
        codes = organiser.post(f"{poll['links']['self']}codes/", {"count": 1}).json()["codes"]
        way += f"#code={codes[0]}"
    page = people(**PHONE).goto(way)
    vote(page, "Pizza")
    receipt = page.locator("#notice code").inner_text()
    expect(page.locator("#vote")).to_have_text("Change my vote")
    choose(page, "Sushi")
    notice(page).to_contain_text("This is not sent yet")
    assert votes_of(organiser, poll) == [1, 0]
    page.locator("#vote").click()
    notice(page).to_contain_text("Your vote is counted.")
    expect(page.locator("#notice code")).not_to_have_text(receipt)
    assert votes_of(organiser, poll) == [0, 1]
    withdraw(page)
    expect(page.locator("#ballots")).to_have_text("0 ballots")
    expect(page.locator("#vote")).to_have_text("Vote")
    assert ballots(organiser, poll) == 0
    vote(page, "Pizza")
    assert votes_of(organiser, poll) == [1, 0]
    if identity == "device":
        withdraw(page)
        page.reload()
        notice(page).to_contain_text("Your vote is withdrawn.")
        vote(page, "Sushi")
        assert votes_of(organiser, poll) == [0, 1]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_lost_answer_to_a_change_is_asked_for_until_it_stands(
    people: People, organiser: Caller, method: str
) -> None:
    poll = organiser.make_poll(allow_change=True)
    person = people()
    # One ballot less looks like a reset to the page: it asks for its own vote within 5 s, here at
    # once, while its change is still under way.
    person.context.add_init_script("Math.random = () => 0")
    page = person.goto(poll["links"]["page"])
    vote(page, "Pizza")
    answers = LostAnswers(page, times=2, method=method)
    if method == "PUT":
        choose(page, "Sushi")
        page.locator("#vote").click()
        told, left = "Your vote is counted.", [0, 1]
    else:
        press_withdraw(page)
        told, left = "Your vote is withdrawn.", [0, 0]
    notice(page).to_contain_text("The connection is lost.")
    answers.let_through()
    notice(page).to_contain_text(told)
    assert votes_of(organiser, poll) == left
    assert len(answers.keys) == 3
    assert len(set(answers.keys)) == 1


def test_form_alone_changes_and_withdraws(people: People, organiser: Caller) -> None:
    poll = organiser.make_poll(allow_change=True)
    page = people(java_script_enabled=False).goto(poll["links"]["page"])
    vote(page, "Pizza")
    vote(page, "Sushi")
    assert votes_of(organiser, poll) == [0, 1]
    withdraw(page)
    assert votes_of(organiser, poll) == [0, 0]
    vote(page, "Pizza")
    assert votes_of(organiser, poll) == [1, 0]


def test_secret_vote_is_known_again_without_its_marks(people: People, organiser: Caller) -> None:
    poll = organiser.make_poll(secrecy="secret")
    person = people()
    page = person.goto(poll["links"]["page"])
    vote(page, "Pizza")
    assert poll["options"][0]["id"] not in stored(page)
    second = person.context.new_page()
    second.goto(page.url)
    notice(second).to_have_text("You have voted.")
    expect(second.get_by_label("Pizza")).not_to_be_checked()
    expect(second.get_by_label("Pizza")).to_be_disabled()


@pytest.mark.parametrize("refused", [0, 2], ids=["at_once", "when_there_is_room"])
def test_vote_by_a_code_opens_the_results(people: People, organiser: Caller, refused: int) -> None:
    poll, [code, other, _] = code_poll(organiser, results_visibility="after_vote")
    page = people().goto(f"{poll['links']['page']}#code={code}")
    if refused:  # as the limit of live tickets does to a hall that is larger than it allows for
        page.route("**/live-tickets/", times=refused, handler=lambda route: route.fulfill(
            status=429, headers={"Retry-After": "1"}, content_type="application/problem+json",
            body=json.dumps({"code": "too_many"})))  # fmt: skip
    expect(page.locator("#hidden")).to_be_visible()
    vote(page, "Sushi")
    count = page.locator("[data-option]", has_text="Sushi").locator(".votes")
    expect(count).to_have_text("1")
    choice = [poll["options"][1]["id"]]
    sent = organiser.post(poll["links"]["vote"], {"choices": choice, "code": other})
    assert sent.status_code == 201
    expect(count).to_have_text("2")


def test_phone_turns_between_polls_of_every_rule(people: People, organiser: Caller) -> None:
    plain = organiser.make_poll(title="Plain", allow_change=True)
    coded, [code, *_] = code_poll(organiser, title="Coded", network_cap=None)
    secret = organiser.make_poll(title="Secret", secrecy="secret", network_cap=7)
    event = organiser.make_event(plain, coded, secret, current=plain["id"])
    page = people(**PHONE).goto(event["links"]["page"])
    page.evaluate("window.same = true")

    def show(poll: Poll) -> None:
        organiser.call("PATCH", event["links"]["self"], {"current": poll["id"]})
        expect(page.locator("h1")).to_have_text(poll["title"])

    field, rules = page.get_by_label("Your voting code"), page.locator("#rules")
    expect(field).to_be_hidden()
    vote(page, "Pizza")
    withdraw(page)
    show(coded)
    expect(rules).to_contain_text("One vote for each code;")
    expect(page.locator("#withdraw")).to_be_hidden()
    field.fill(code)
    vote(page, "Sushi")
    show(secret)
    expect(field).to_be_hidden()
    expect(rules).to_contain_text("Voters from one network: 7 at most;")
    expect(rules).to_contain_text("Secret:")
    vote(page, "Pizza")
    assert code not in stored(page)
    show(plain)
    notice(page).to_contain_text("Your vote is withdrawn.")
    vote(page, "Sushi")
    show(coded)
    notice(page).to_contain_text("Your vote is counted.")
    assert page.evaluate("window.same") is True
    assert [votes_of(organiser, poll) for poll in (plain, coded, secret)] == [
        [0, 1],
        [0, 1],
        [1, 0],
    ]


def test_sheet_of_codes_is_printed_and_downloaded(people: People, live: Server) -> None:
    name = f"codes-{live.port}"
    owner = live.sign_up(name)
    polls = [owner.make_poll(title=text, identity="code") for text in PAYLOADS[:4]]
    person = people(**{**PHONE, "viewport": {"width": 320, "height": 568}})
    person.context.add_init_script("window.bad = () => console.error('a text ran')")
    person.log_in(name)
    for poll in polls:
        page = person.goto(f"/desk/polls/{poll['id']}")
        page.get_by_label("How many new codes").fill("7")
        page.get_by_role("button", name="Make codes").click()
        expect(page.locator(".slip")).to_have_count(7)
        expect(page.locator(".slip .title").first).to_have_text(poll["title"])
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        result = Axe().run(page, options={"runOnly": WCAG})
        assert result.violations_count == 0, result.generate_report()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download CSV").click()
    assert waiting.value.suggested_filename == f"codes-{polls[3]['join_code']}.csv"
    rows = waiting.value.path().read_text().splitlines()
    shown = page.locator(".slip .code").all_inner_texts()
    assert [row.partition(",")[0] for row in rows] == ["code", *shown]
    page.emulate_media(media="print")
    expect(page.get_by_role("link", name="Download CSV")).to_be_hidden()
    expect(page.locator(".slip").first).to_be_visible()
    # The way in of a row leads to the ballot with the code.
    visitor = people().page
    visitor.goto(rows[1].partition(",")[2])
    expect(visitor.get_by_label("Your voting code")).to_have_value(shown[0])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_ballots_with_codes_and_changes(
    people: People, organiser: Caller, scheme: str
) -> None:
    poll, [code, *_] = code_poll(organiser, allow_change=True)
    person = people(**{**PHONE, "viewport": {"width": 320, "height": 568}}, color_scheme=scheme)
    page = person.goto(poll["links"]["page"])
    expect(page.locator("#connection")).to_have_text("live")
    choose(page, "Pizza")
    page.locator("#vote").click()
    expect(page.locator("#code-problem")).to_be_visible()
    reports = [Axe().run(page, options={"runOnly": WCAG})]
    page.get_by_label("Your voting code").fill(code)
    vote(page, "Pizza")
    page.locator("#withdraw summary").click()
    page.wait_for_timeout(400)
    reports.append(Axe().run(page, options={"runOnly": WCAG}))
    assert [report.generate_report() for report in reports if report.violations_count] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
