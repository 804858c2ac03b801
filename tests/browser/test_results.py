"""The results page and the big screen, live."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import People
from tests.live import Caller, Server


def shown(page: Page) -> list[int]:
    """Return the votes that a page shows, in the order of the options."""
    return [int(text) for text in page.locator(".result .votes").all_inner_texts() if text]


def test_bars_and_words_follow_the_count(people: People, organiser: Caller) -> None:
    options = [{"text": text} for text in ("Tea", "Coffee", "Water")]
    poll = organiser.make_poll(options=options)
    page = people().goto(f"{poll['links']['page']}/results")
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.locator("#summary")).to_have_text("No votes yet.")
    for place in (1, 1, 0):
        organiser.server.voter().vote(poll, place)
    expect(page.locator("#ballots")).to_have_text("3 ballots")
    assert shown(page) == [1, 2, 0]
    assert page.locator(".result .share").all_inner_texts() == ["33%", "67%", "0%"]
    page.wait_for_timeout(600)  # for the bars to have glided
    boxes = page.locator(".result rect").evaluate_all(
        "all => all.map(r => r.getBoundingClientRect())"
    )
    widths = [box["width"] for box in boxes]
    assert widths[2] == 0
    assert abs(widths[1] - 2 * widths[0]) < 1
    expect(page.locator("#summary")).to_have_text("Coffee leads with 2 of 3, 1 ahead of Tea.")
    organiser.post(f"{poll['links']['self']}close/")
    expect(page.locator("#connection")).to_have_text("final")
    expect(page.locator("#summary")).to_have_text(
        "Coffee has the most votes: 2 of 3, 1 more than Tea."
    )


def test_summary_is_not_said_faster_than_it_can_be_read(people: People, organiser: Caller) -> None:
    poll = organiser.make_poll()
    page = people().goto(f"{poll['links']['page']}/results")
    expect(page.locator("#said")).to_have_text("No votes yet.")
    page.evaluate(
        "window.times = 0; new MutationObserver(() => times += 1)"
        ".observe(document.getElementById('said'), {childList: true, characterData: true})"
    )
    for _ in range(6):
        organiser.server.voter().vote(poll, 0)
        page.wait_for_timeout(300)
    expect(page.locator("#ballots")).to_have_text("6 ballots")
    assert page.evaluate("times") <= 1
    expect(page.locator("#summary")).to_have_text("Pizza has all votes: 6.")  # to the eye at once
    expect(page.locator("#said")).to_have_text("Pizza has all votes: 6.")


def test_history_has_a_line_for_each_option_and_the_same_as_a_table(
    people: People, organiser: Caller
) -> None:
    poll = organiser.make_poll()
    organiser.server.voter().vote(poll, 0)
    page = people().goto(f"{poll['links']['page']}/results")
    expect(page.locator("#connection")).to_have_text("live")
    for _ in range(2):
        organiser.server.voter().vote(poll, 1)
    expect(page.locator("#chart polyline")).to_have_count(2)
    page.locator("summary").click()
    last = page.locator("#history-table tr").last
    expect(last.locator("td")).to_have_text(["2", "1"])
    expect(page.locator("#history-table tr").first.locator("th")).to_have_text(
        ["Time", "Sushi", "Pizza"]
    )


def test_connection_is_told_honestly_and_heals(people: People, organiser: Caller) -> None:
    poll = organiser.make_poll()
    page = people().goto(f"{poll['links']['page']}/results")
    expect(page.locator("#connection")).to_have_text("live")
    organiser.server.stop()
    try:
        expect(page.locator("#connection")).to_have_text("reconnecting")
    finally:
        organiser.server.start()
    organiser.server.voter().vote(poll, 0)
    expect(page.locator("#connection")).to_have_text("live", timeout=20_000)
    expect(page.locator("#ballots")).to_have_text("1 ballot")


def test_where_sockets_are_blocked_the_results_are_asked_for(
    people: People, organiser: Caller
) -> None:
    poll = organiser.make_poll()
    person = people()
    person.block_sockets()
    page = person.goto(f"{poll['links']['page']}/results")
    expect(page.locator("#connection")).to_have_text("catching up every few seconds")
    organiser.server.voter().vote(poll, 0)
    expect(page.locator("#ballots")).to_have_text("1 ballot")
    asked = [url for url in person.requests if url.endswith(poll["links"]["results"])]
    assert asked
    with page.expect_response(lambda answer: answer.status == 304):
        pass
    organiser.post(f"{poll['links']['self']}close/")
    expect(page.locator("#connection")).to_have_text("final")
    expect(page.locator("#status")).to_have_text("Closed")


def test_hidden_results_are_nowhere_until_they_open(people: People, organiser: Caller) -> None:
    poll = organiser.make_poll(results_visibility="after_close")
    organiser.server.voter().vote(poll, 0)
    for path in ("/results", "/present"):
        page = people().goto(poll["links"]["page"] + path)
        expect(page.locator("#connection")).to_have_text("live")
        expect(page.locator("#hidden")).to_have_text(
            "The results are shown when the poll is closed."
        )
        assert shown(page) == []
        expect(page.locator("#ballots")).to_have_text("")


def test_results_appear_when_the_poll_closes(people: People, organiser: Caller) -> None:
    poll = organiser.make_poll(results_visibility="after_close")
    organiser.server.voter().vote(poll, 0)
    page = people().goto(f"{poll['links']['page']}/results")
    expect(page.locator("#connection")).to_have_text("live")
    organiser.post(f"{poll['links']['self']}close/")
    expect(page.locator("#ballots")).to_have_text("1 ballot")
    assert shown(page) == [1, 0]


def test_reset_after_a_rehearsal_is_shown(people: People, organiser: Caller, live: Server) -> None:
    poll = organiser.make_poll()
    live.voter().vote(poll, 0)
    page = people().goto(f"{poll['links']['page']}/results")
    expect(page.locator("#ballots")).to_have_text("1 ballot")
    assert organiser.post(f"{poll['links']['self']}reset/").status_code == 200
    expect(page.locator("#ballots")).to_have_text("0 ballots")
    expect(page.locator("#summary")).to_have_text("No votes yet.")
