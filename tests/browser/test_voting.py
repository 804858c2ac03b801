"""A voter's page: with its scripts, without them, by the keyboard, on a bad line."""

import re

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import PHONE, LostAnswers, People, ballots, choose, vote
from tests.live import Caller, Server


def test_vote_shows_its_receipt_and_stays_after_a_reload(people: People, organiser: Caller) -> None:
    poll = organiser.make_poll()
    page = people(**PHONE).goto(poll["links"]["page"])
    vote(page, "Sushi")
    expect(page.locator("#notice code")).to_have_text(re.compile("^[0-9a-f]{32}$"))
    receipt = page.locator("#notice code").inner_text()
    expect(page.locator("#vote")).to_be_hidden()
    page.reload()
    expect(page.locator("#notice code")).to_have_text(receipt)
    expect(page.get_by_label("Sushi")).to_be_checked()
    expect(page.get_by_label("Sushi")).to_be_disabled()
    assert ballots(organiser, poll) == 1


def test_form_alone_does_the_same(people: People, organiser: Caller) -> None:
    poll = organiser.make_poll()
    page = people(java_script_enabled=False).goto(poll["links"]["page"])
    vote(page, "Pizza")
    expect(page.locator("#notice code")).to_have_text(re.compile("^[0-9a-f]{32}$"))
    assert ballots(organiser, poll) == 1
    page.goto(f"{page.url}/results")
    expect(page.locator("tr", has_text="Pizza").locator(".votes")).to_have_text("1")


def test_form_alone_tells_what_is_wrong_with_a_ballot(people: People, organiser: Caller) -> None:
    options = [{"text": text} for text in "ABC"]
    poll = organiser.make_poll(kind="multiple", min_selections=2, options=options)
    page = people(java_script_enabled=False).goto(poll["links"]["page"])
    expect(page.locator("legend")).to_have_text("Choose at least 2.")
    choose(page, "A")
    page.locator("#vote").click()
    expect(page.locator("#notice")).to_have_text(
        "This ballot does not fit the poll. Check what you chose."
    )
    expect(
        page.get_by_label("A", exact=True)
    ).to_be_checked()  # and nothing need be filled in again
    vote(page, "B")
    assert ballots(organiser, poll) == 1


def test_ballot_with_too_many_marks_is_not_sent(people: People, organiser: Caller) -> None:
    options = [{"text": text} for text in "ABC"]
    poll = organiser.make_poll(kind="multiple", max_selections=2, options=options)
    page = people().goto(poll["links"]["page"])
    expect(page.locator("legend")).to_have_text("Choose up to 2.")
    page.locator("#vote").click()
    expect(page.locator("#notice")).to_have_text("Choose an answer first.")
    for text in "ABC":
        choose(page, text)
    page.locator("#vote").click()
    expect(page.locator("#notice")).to_have_text("Choose 2 at most.")
    choose(page, "C")
    page.locator("#vote").click()
    expect(page.locator("#notice")).to_contain_text("Your vote is counted.")
    assert ballots(organiser, poll) == 1


def test_keyboard_alone_is_enough(people: People, organiser: Caller) -> None:
    poll = organiser.make_poll()
    page = people().goto(poll["links"]["page"])
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Pizza")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Sushi")).to_be_checked()
    page.keyboard.press("Tab")
    expect(page.locator("#vote")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("Your vote is counted.")
    votes = [
        option["votes"] for option in organiser.get(poll["links"]["results"]).json()["options"]
    ]
    assert votes == [0, 1]


@pytest.mark.parametrize("identity", ["device", "open"])
def test_lost_answers_make_no_second_vote(people: People, organiser: Caller, identity: str) -> None:
    poll = organiser.make_poll(identity=identity)
    page = people().goto(poll["links"]["page"])
    answers = LostAnswers(page, times=2)
    choose(page, "Pizza")
    page.locator("#vote").click()
    expect(page.locator("#notice")).to_contain_text("The connection is lost.")
    answers.let_through()
    expect(page.locator("#notice")).to_contain_text("Your vote is counted.")
    assert len(answers.keys) == 3
    assert len(set(answers.keys)) == 1
    assert ballots(organiser, poll) == 1


@pytest.mark.parametrize("identity", ["device", "open"])
def test_page_that_is_loaded_again_goes_on_sending(
    people: People, organiser: Caller, identity: str
) -> None:
    poll = organiser.make_poll(identity=identity)
    page = people().goto(poll["links"]["page"])
    answers = LostAnswers(page, times=1)
    choose(page, "Pizza")
    page.locator("#vote").click()
    expect(page.locator("#notice")).to_contain_text("The connection is lost.")
    answers.over = True
    page.reload()
    expect(page.locator("#notice")).to_contain_text("Your vote is counted.")
    assert len(set(answers.keys)) == 1
    if identity == "open":  # a device's page comes with its vote
        assert len(answers.keys) > 1
    assert ballots(organiser, poll) == 1


def test_second_tab_is_told_that_its_voter_has_voted(people: People, organiser: Caller) -> None:
    poll = organiser.make_poll()
    person = people()
    page = person.goto(poll["links"]["page"])
    second = person.context.new_page()
    second.goto(page.url)
    vote(page, "Pizza")
    choose(second, "Sushi")
    second.locator("#vote").click()
    expect(second.locator("#notice")).to_contain_text("You have already voted in this poll.")
    expect(second.get_by_label("Pizza")).to_be_checked()
    assert ballots(organiser, poll) == 1


def test_results_open_with_the_vote(people: People, organiser: Caller) -> None:
    poll = organiser.make_poll(results_visibility="after_vote")
    page = people().goto(poll["links"]["page"])
    expect(page.locator("#hidden")).to_have_text("The results are shown when you have voted.")
    expect(page.locator(".votes").first).to_be_hidden()
    vote(page, "Sushi")
    expect(page.locator("[data-option]", has_text="Sushi").locator(".votes")).to_have_text("1")
    organiser.server.voter().vote(poll, 1)
    expect(page.locator("[data-option]", has_text="Sushi").locator(".votes")).to_have_text("2")
    expect(page.locator("#hidden")).to_be_hidden()


def test_ballot_opens_and_closes_by_itself(people: People, organiser: Caller) -> None:
    poll = organiser.make_poll(opens_at="2099-01-01T00:00:00Z")
    page = people().goto(poll["links"]["page"])
    page.evaluate("window.same = true")
    expect(page.locator("#status")).to_have_text("Not open yet")
    expect(page.get_by_label("Pizza")).to_be_disabled()
    organiser.post(f"{poll['links']['self']}open/")
    expect(page.locator("#status")).to_have_text("Open")
    expect(page.get_by_label("Pizza")).to_be_enabled()
    vote(page, "Pizza")
    organiser.post(f"{poll['links']['self']}close/")
    expect(page.locator("#status")).to_have_text("Closed")
    expect(page.locator("#connection")).to_have_text("final")
    assert page.evaluate("window.same") is True  # it was never loaded anew


def test_vote_that_comes_too_late_is_told_so(people: People, organiser: Caller) -> None:
    poll = organiser.make_poll()
    page = people().goto(poll["links"]["page"])
    # The page does not hear of the closing.
    page.context.set_offline(True)
    choose(page, "Pizza")
    page.locator("#vote").click()
    expect(page.locator("#notice")).to_contain_text("The connection is lost.")
    organiser.post(f"{poll['links']['self']}close/")
    page.context.set_offline(False)
    expect(page.locator("#notice")).to_have_text("The poll is closed. This vote was not counted.")
    assert ballots(organiser, poll) == 0


def test_code_is_found_however_it_is_typed(people: People, live: Server, organiser: Caller) -> None:
    code = organiser.make_poll()["join_code"]
    page = people(**PHONE).goto("/")
    page.get_by_label("The code on the screen").fill(f" {code[:3].lower()}-{code[3:]} ")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{live.url}/p/{code}")
    page.goto(live.url)
    page.get_by_label("The code on the screen").fill("12")
    page.keyboard.press("Enter")
    expect(page.locator("[role=alert]")).to_have_text("A code has 6 letters and digits.")


def test_page_in_the_place_of_an_answer_is_no_answer(people: People, organiser: Caller) -> None:
    poll = organiser.make_poll()
    page = people().goto(poll["links"]["page"])
    asked: list[str] = []

    def log_in_first(route: Route) -> None:
        asked.append(route.request.method)
        if len(asked) > 2:
            route.continue_()
        else:
            route.fulfill(status=200, content_type="text/html", body="<h1>Log in to the Wi-Fi</h1>")

    page.route("**/votes/", log_in_first)
    choose(page, "Pizza")
    page.locator("#vote").click()
    expect(page.locator("#notice")).to_contain_text("The connection is lost.")
    expect(page.locator("#notice")).to_contain_text("Your vote is counted.")
    assert ballots(organiser, poll) == 1


def test_busy_proxy_is_not_asked_without_end(people: People, organiser: Caller) -> None:
    poll = organiser.make_poll()
    page = people().goto(poll["links"]["page"])
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.method)
        when = "Thu, 26 Nov 2099 10:00:00 GMT"
        route.fulfill(status=503, headers={"Retry-After": when}, body="busy")

    page.route("**/votes/", refuse)
    choose(page, "Pizza")
    page.locator("#vote").click()
    expect(page.locator("#notice")).to_contain_text("The connection is lost.")
    page.wait_for_timeout(2000)
    assert 1 <= len(asked) <= 5
    page.unroute("**/votes/")
    expect(page.locator("#notice")).to_contain_text("Your vote is counted.", timeout=30_000)


@pytest.mark.parametrize("visibility", ["always", "after_vote", "after_close", "owner"])
def test_reset_after_a_rehearsal_lets_a_phone_vote_again(
    people: People, organiser: Caller, visibility: str
) -> None:
    poll = organiser.make_poll(results_visibility=visibility)
    page = people(**PHONE).goto(poll["links"]["page"])
    vote(page, "Pizza")
    expect(page.locator("#connection")).to_have_text("live")
    organiser.post(f"{poll['links']['self']}reset/")
    expect(page.locator("#vote")).to_be_visible(timeout=15_000)
    vote(page, "Sushi")
    assert ballots(organiser, poll) == 1
