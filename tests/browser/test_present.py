"""The big screen: for everybody to look at, and for its owner to run the poll from."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import People
from tests.live import Caller, Server


def test_way_to_join_is_always_there(people: People, organiser: Caller) -> None:
    poll = organiser.make_poll(status="open")
    page = people(viewport={"width": 1280, "height": 720}).goto(f"{poll['links']['page']}/present")
    expect(page.locator(".join")).to_have_text(poll["join_code"])
    for selector in (".qr", ".join"):
        box = page.locator(selector).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 720
        assert box["x"] + box["width"] <= 1280


def test_stranger_has_no_controls_of_the_poll(people: People, organiser: Caller) -> None:
    poll = organiser.make_poll()
    page = people().goto(f"{poll['links']['page']}/present")
    assert page.locator("[data-do]").evaluate_all("all => all.map(b => b.dataset.do)") == [
        *("hide", "full", "theme")
    ]
    for key in "ocococ":
        page.keyboard.press(key)
    page.wait_for_timeout(500)
    assert organiser.get(poll["links"]["self"]).json()["status"] == "open"


def test_results_are_hidden_and_shown_by_a_key(people: People, organiser: Caller) -> None:
    poll = organiser.make_poll()
    organiser.server.voter().vote(poll, 0)
    page = people().goto(f"{poll['links']['page']}/present")
    votes = page.locator(".result .votes").first
    expect(votes).to_be_visible()
    page.keyboard.press("h")
    expect(votes).to_be_hidden()
    expect(page.locator("[data-do=hide] span")).to_have_text("Show results")
    page.keyboard.press("h")
    expect(votes).to_be_visible()
    expect(votes).to_have_text("1")


def test_owner_of_hidden_results_shows_them_by_a_key_alone(people: People, live: Server) -> None:
    name = f"owner-{live.port}"
    owner = live.sign_up(name)
    poll = owner.make_poll(results_visibility="owner")
    live.voter().vote(poll, 0)
    person = people()
    person.log_in(name)
    page = person.goto(f"{poll['links']['page']}/present")
    expect(page.locator("#ballots")).to_have_text("1 ballot")
    votes = page.locator(".result .votes").first
    expect(votes).to_be_hidden()
    expect(page.locator("#hidden")).to_have_text(re.compile("Press H to show them"))
    page.keyboard.press("h")
    expect(votes).to_have_text("1")
    expect(votes).to_be_visible()


def test_dark_and_light_change_by_a_key(people: People, organiser: Caller) -> None:
    poll = organiser.make_poll()
    page = people(color_scheme="light").goto(f"{poll['links']['page']}/present")
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(paper)
    page.keyboard.press("d")
    assert page.evaluate(paper) != light
    page.keyboard.press("d")
    assert page.evaluate(paper) == light


def test_what_is_secret_is_hidden_before_a_script_runs(people: People, live: Server) -> None:
    name = f"secret-{live.port}"
    owner = live.sign_up(name)
    poll = owner.make_poll(results_visibility="owner")
    live.voter().vote(poll, 0)
    person = people()
    person.log_in(name)
    person.page.route("**/*.js", lambda route: route.abort())
    page = person.goto(f"{poll['links']['page']}/present")
    expect(page.locator(".result .votes").first).to_be_hidden()
    expect(page.locator("#ballots")).to_be_hidden()
    expect(page.locator("#hidden")).to_be_visible()
