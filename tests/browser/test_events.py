"""An evening: one code, and pages that turn to whichever poll is shown."""

from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, People, ballots, choose, vote
from tests.live import Caller, Server

Poll = dict[str, Any]


def evening(
    organiser: Caller, current: int | None = 0
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Make an event of three polls; return it, and them."""
    polls = [
        organiser.make_poll(title="Lunch?"),
        organiser.make_poll(
            title="Which two?",
            kind="multiple",
            min_selections=2,
            max_selections=2,
            options=[{"text": text} for text in ("Tea", "Coffee", "Water")],
        ),
        organiser.make_poll(title="Again?", results_visibility="after_close"),
    ]
    shown = None if current is None else polls[current]["id"]
    return organiser.make_event(*polls, title="Annual meeting", current=shown), polls


def until_voted(page: Page, organiser: Caller, poll: Poll) -> None:
    """Wait until the poll has its one ballot, while the page goes on."""
    for _ in range(100):
        if ballots(organiser, poll):
            break
        page.wait_for_timeout(200)
    assert ballots(organiser, poll) == 1


def show(organiser: Caller, event: dict[str, Any], poll: dict[str, Any] | None) -> None:
    body = {"current": poll and poll["id"]}
    assert organiser.call("PATCH", event["links"]["self"], body).status_code == 200


def stays(page: Page) -> None:
    """Mark a page, to see that it is not loaded anew."""
    page.evaluate("window.same = true")


def test_phone_turns_to_what_is_shown_and_asks_for_nothing(
    people: People, organiser: Caller
) -> None:
    event, polls = evening(organiser)
    person = people(**PHONE)
    page = person.goto(event["links"]["page"])
    expect(page.locator("#event")).to_have_text("Annual meeting")
    expect(page.locator("h1")).to_have_text("Lunch?")
    vote(page, "Pizza")
    stays(page)
    person.requests.clear()
    show(organiser, event, polls[1])
    expect(page.locator("h1")).to_have_text("Which two?")
    expect(page.locator("legend")).to_have_text("Choose exactly 2.")
    expect(page.locator("#vote")).to_be_visible()
    assert person.requests == []
    choose(page, "Tea")
    choose(page, "Water")
    page.locator("#vote").click()
    expect(page.locator("#notice")).to_contain_text("Your vote is counted.")
    expect(page.locator("#ballots")).to_have_text("1 ballot")
    # Back at the first its vote is remembered.
    show(organiser, event, polls[0])
    expect(page.locator("h1")).to_have_text("Lunch?")
    expect(page.locator("#notice")).to_contain_text("Your vote is counted.")
    expect(page.get_by_label("Pizza")).to_be_checked()
    expect(page.get_by_label("Pizza")).to_be_disabled()
    show(organiser, event, polls[2])
    expect(page.locator("#hidden")).to_have_text("The results are shown when the poll is closed.")
    expect(page.locator("#ballots")).to_be_hidden()
    assert page.evaluate("window.same") is True
    for poll, votes in zip(polls, ([1, 0], [1, 0, 1], [0, 0]), strict=True):
        options = organiser.get(poll["links"]["results"]).json()["options"]
        assert [option["votes"] for option in options] == votes


def test_phone_waits_while_nothing_is_shown(people: People, organiser: Caller) -> None:
    event, polls = evening(organiser, None)
    page = people(**PHONE).goto(event["links"]["page"])
    expect(page.locator("h1")).to_have_text("Annual meeting")
    expect(page.locator("#nothing")).to_be_visible()
    expect(page.locator("#connection")).to_have_text("live")
    stays(page)
    show(organiser, event, polls[0])
    expect(page.locator("h1")).to_have_text("Lunch?")
    vote(page, "Sushi")
    show(organiser, event, None)
    expect(page.locator("#nothing")).to_be_visible()
    expect(page.locator("#ballot")).to_be_hidden()
    assert page.evaluate("window.same") is True
    assert organiser.get(polls[0]["links"]["results"]).json()["ballots"] == 1


def test_poll_that_is_changed_while_it_is_shown_is_drawn_anew(
    people: People, organiser: Caller
) -> None:
    event, polls = evening(organiser)
    page = people(**PHONE).goto(event["links"]["page"])
    expect(page.locator("#connection")).to_have_text("live")
    changes = {"options": [{"text": "Soup"}, {"text": "Salad"}], "title": "Dinner?"}
    organiser.call("PATCH", polls[0]["links"]["self"], changes)
    expect(page.locator("h1")).to_have_text("Dinner?")
    vote(page, "Soup")
    assert organiser.get(polls[0]["links"]["results"]).json()["ballots"] == 1


def test_form_alone_votes_in_the_poll_that_it_was_drawn_for(
    people: People, organiser: Caller
) -> None:
    event, polls = evening(organiser)
    page = people(java_script_enabled=False).goto(event["links"]["page"])
    choose(page, "Pizza")
    show(organiser, event, polls[1])
    page.locator("#vote").click()
    expect(page.locator("h1")).to_have_text("Which two?")  # where the event is by now
    assert organiser.get(polls[0]["links"]["results"]).json()["ballots"] == 1
    assert organiser.get(polls[1]["links"]["results"]).json()["ballots"] == 0


def test_presenter_turns_the_pages_by_keys(people: People, live: Server) -> None:
    name = f"host-{live.port}"
    owner = live.sign_up(name)
    event, _ = evening(owner)
    host = people()
    host.log_in(name)
    screen = host.goto(f"{event['links']['page']}/present")
    results = people().goto(f"{event['links']['page']}/results")
    phone = people(**PHONE).goto(event["links"]["page"])
    for page in (screen, results, phone):
        expect(page.locator("#connection")).to_have_text("live")
    expect(screen.locator(".join")).to_have_text(event["join_code"])
    for key, title in (("n", "Which two?"), ("n", "Again?"), ("p", "Which two?"), ("p", "Lunch?")):
        screen.keyboard.press(key)
        for page in (screen, results, phone):
            expect(page.locator("h1")).to_contain_text(title)
            expect(page.locator("#connection")).to_have_text("live")
    expect(screen.locator("[data-do=previous]")).to_be_hidden()


def test_event_is_followed_where_sockets_are_blocked(people: People, organiser: Caller) -> None:
    event, polls = evening(organiser)
    person = people(**PHONE)
    person.block_sockets()
    page = person.goto(event["links"]["page"])
    expect(page.locator("#connection")).to_have_text("catching up every few seconds")
    show(organiser, event, polls[1])
    expect(page.locator("h1")).to_have_text("Which two?", timeout=20_000)


def test_rehearsal_that_is_reset_lets_phones_vote_again(people: People, organiser: Caller) -> None:
    event, polls = evening(organiser)
    page = people(**PHONE).goto(event["links"]["page"])
    vote(page, "Pizza")
    organiser.post(f"{polls[0]['links']['self']}reset/")
    expect(page.locator("#vote")).to_be_visible()
    vote(page, "Sushi")
    options = organiser.get(polls[0]["links"]["results"]).json()["options"]
    assert [option["votes"] for option in options] == [0, 1]


def send_into_the_void(page: Page, text: str) -> None:
    """Vote while no vote reaches the server."""
    page.route("**/votes/", lambda route: route.abort("connectionreset"))
    choose(page, text)
    page.locator("#vote").click()
    expect(page.locator("#notice")).to_contain_text("The connection is lost.")


def test_vote_goes_out_though_the_event_has_moved_on(people: People, organiser: Caller) -> None:
    event, polls = evening(organiser)
    page = people(**PHONE).goto(event["links"]["page"])
    expect(page.locator("#connection")).to_have_text("live")
    send_into_the_void(page, "Pizza")
    show(organiser, event, polls[1])
    expect(page.locator("h1")).to_have_text("Which two?")
    page.unroute("**/votes/")
    until_voted(page, organiser, polls[0])
    show(organiser, event, polls[0])
    expect(page.locator("#notice")).to_contain_text("Your vote is counted.")


def test_vote_of_a_page_that_is_loaded_again_goes_out_for_another_poll(
    people: People, organiser: Caller
) -> None:
    event, polls = evening(organiser)
    page = people(**PHONE).goto(event["links"]["page"])
    send_into_the_void(page, "Pizza")
    show(organiser, event, polls[1])
    expect(page.locator("h1")).to_have_text("Which two?")
    page.unroute("**/votes/")
    page.reload()
    until_voted(page, organiser, polls[0])
    expect(page.locator("#vote")).to_be_visible()  # that of the other poll


def test_vote_that_is_refused_in_the_background_is_told(people: People, organiser: Caller) -> None:
    event, polls = evening(organiser)
    page = people(**PHONE).goto(event["links"]["page"])
    send_into_the_void(page, "Pizza")
    organiser.post(f"{polls[0]['links']['self']}close/")
    show(organiser, event, polls[1])
    expect(page.locator("h1")).to_have_text("Which two?")
    page.unroute("**/votes/")
    expect(page.locator("#notice")).to_have_text(
        "Lunch?: The poll is closed. This vote was not counted.", timeout=20_000
    )


def test_poll_that_is_reset_while_another_is_shown_takes_votes_again(
    people: People, organiser: Caller
) -> None:
    event, polls = evening(organiser)
    page = people(**PHONE).goto(event["links"]["page"])
    vote(page, "Pizza")
    show(organiser, event, polls[1])
    expect(page.locator("h1")).to_have_text("Which two?")
    organiser.post(f"{polls[0]['links']['self']}reset/")
    show(organiser, event, polls[0])
    expect(page.locator("#vote")).to_be_visible()
    vote(page, "Pizza")
    assert ballots(organiser, polls[0]) == 1


def test_correcting_a_poll_keeps_the_marks_and_takes_its_rules(
    people: People, organiser: Caller
) -> None:
    event, polls = evening(organiser, 1)
    page = people(**PHONE).goto(event["links"]["page"])
    expect(page.locator("#connection")).to_have_text("live")
    choose(page, "Tea")
    organiser.call("PATCH", polls[1]["links"]["self"], {"min_selections": 1, "title": "Which?"})
    expect(page.locator("h1")).to_have_text("Which?")
    expect(page.locator("legend")).to_have_text("Choose up to 2.")
    expect(page.get_by_label("Tea")).to_be_checked()
    page.locator("#vote").click()
    expect(page.locator("#notice")).to_contain_text("Your vote is counted.")


def test_whoever_was_in_the_form_goes_on_from_the_new_title(
    people: People, organiser: Caller
) -> None:
    event, polls = evening(organiser)
    page = people().goto(event["links"]["page"])
    expect(page.locator("#connection")).to_have_text("live")
    page.get_by_label("Pizza").focus()
    show(organiser, event, polls[1])
    expect(page.locator("h1")).to_have_text("Which two?")
    expect(page.locator("h1")).to_be_focused()
