"""What every page keeps to: accessibility, small screens, weight, languages, no foreign script."""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, People, vote
from tests.live import Caller, Server

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PAGES = {
    "home": "/",
    "poll": "{page}",
    "results": "{page}/results",
    "present": "{page}/present",
    "embed": "/embed/{code}",
    "errors": "/docs/errors",
    "protocol": "/docs/protocol",
    "nothing": "/nowhere",
    "login": "/accounts/login",
    "signup": "/accounts/signup",
    "reset": "/accounts/password/reset",
}
OWN_PAGES = {
    "desk": "/desk",
    "new": "/desk/new",
    "edit": "/desk/polls/{id}",
    "events": "/desk/events",
    "event": "/desk/events/{event}",
    "tokens": "/desk/tokens",
    "data": "/accounts/data",
    "delete": "/accounts/delete",
    "present": "{page}/present",
}


def address(path: str, poll: Mapping[str, Any]) -> str:
    names = {"page": poll["links"]["page"], "code": poll["join_code"]}
    return path.format_map({**poll, **names})


def settled(page: Page) -> Page:
    """Wait until a page has shown what it comes to: the live ones their connection."""
    if page.locator("#connection").count():
        expect(page.locator("#connection")).to_have_text("live")
    return page


@pytest.fixture
def poll(organiser: Caller, live: Server) -> dict[str, Any]:
    """A poll with some votes."""
    options = [{"text": text} for text in ("Lisbon", "Rotterdam", "Kraków", "Montréal", "Nairobi")]
    made = organiser.make_poll(title="Where next?", description="All five.", options=options)
    for place in (0, 0, 1, 2):
        live.voter().vote(made, place)
    return made


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(people: People, poll: dict[str, Any], scheme: str) -> None:
    person = people(color_scheme=scheme)
    found = {}
    for name, path in PAGES.items():
        page = settled(person.goto(address(path, poll)))
        _freeze(page)
        result = Axe().run(page, options={"runOnly": WCAG})
        if result.violations_count:
            found[name] = result.generate_report()
    assert found == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_at_the_desk(people: People, live: Server, scheme: str) -> None:
    name = f"desk-{scheme}-{live.port}"
    owner = live.sign_up(name)
    poll = owner.make_poll()
    event = owner.make_event(poll, current=poll["id"])
    person = people(color_scheme=scheme)
    person.log_in(name)
    found = {}
    for label, path in OWN_PAGES.items():
        page = person.goto(address(path, {**poll, "event": event["id"]}))
        _freeze(page)
        result = Axe().run(page, options={"runOnly": WCAG})
        if result.violations_count:
            found[label] = result.generate_report()
    assert found == {}


def test_axe_would_find_something(people: People) -> None:
    page = people().goto("/")
    page.evaluate("document.querySelector('main label').remove()")
    assert Axe().run(page, options={"runOnly": WCAG}).violations_count > 0


def _freeze(page: Page) -> None:
    """Let what glides arrive, so that no colour is measured halfway."""
    page.wait_for_timeout(400)


@pytest.mark.parametrize("name", PAGES)
def test_small_screen_needs_no_scrolling_sideways(
    people: People, poll: dict[str, Any], name: str
) -> None:
    page = people(**{**PHONE, "viewport": {"width": 320, "height": 568}}).goto(
        address(PAGES[name], poll)
    )
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    small = page.locator(
        "main :is(button, input:not([type=hidden]), .button):visible"
    ).evaluate_all(
        "all => all.map(e => (e.closest('label') ?? e).getBoundingClientRect())"
        ".filter(box => box.height < 44).length"
    )
    assert small == 0


def test_words_of_any_length_fit(people: People, organiser: Caller) -> None:
    options = [{"text": "W" * 200}, {"text": "i" * 199 + "l"}]
    poll = organiser.make_poll(title="M" * 200, description="Ü" * 500, options=options)
    for path in ("{page}", "{page}/results", "{page}/present", "/embed/{code}"):
        page = people(**{**PHONE, "viewport": {"width": 320, "height": 568}}).goto(
            address(path, poll)
        )
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path


# Bytes on the wire, all told; a phone in a hall has a slow line and the first ballot in a second.
BUDGET = {"poll": 30_000, "results": 30_000, "present": 30_000, "home": 15_000}


@pytest.mark.parametrize("name", BUDGET)
def test_page_stays_within_its_weight(people: People, poll: dict[str, Any], name: str) -> None:
    person = people(**PHONE)
    sizes: dict[str, int] = {}
    person.page.on(
        "requestfinished",
        lambda asked: sizes.update({urlsplit(asked.url).path: asked.sizes()["responseBodySize"]}),
    )
    settled(person.goto(address(PAGES[name], poll)))
    person.page.wait_for_load_state("networkidle")
    assert sum(sizes.values()) < BUDGET[name], sizes


def test_ballot_is_painted_after_its_page_and_its_style_alone(
    people: People, poll: dict[str, Any]
) -> None:
    person = people(**PHONE)
    # Scripts that never come hold nothing up.
    person.page.route("**/*.js", lambda _: None)
    page = person.page
    page.goto(person.server.url + poll["links"]["page"], wait_until="commit")
    expect(page.locator("#vote")).to_be_visible()
    paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    end = time.monotonic() + 10
    while page.evaluate(paint) is None:
        assert time.monotonic() < end
    assert page.evaluate(paint) < 1_500
    loaded = "performance.getEntriesByType('resource').map(e => new URL(e.name).pathname)"
    assert page.evaluate(loaded) == [f"{settings.STATIC_URL}web/css/polls.css"]
    page.unroute_all(behavior="ignoreErrors")


@pytest.mark.parametrize("name", ["poll", "results"])
def test_nothing_moves_once_it_is_painted(
    people: People, poll: dict[str, Any], live: Server, name: str
) -> None:
    person = people(**PHONE)
    person.context.add_init_script(
        "window.shift = 0; new PerformanceObserver(list => { for (const e of list.getEntries())"
        " shift += e.value }).observe({type: 'layout-shift', buffered: true})"
    )
    page = settled(person.goto(address(PAGES[name], poll)))
    live.voter().vote(poll, 4)
    expect(page.locator("#ballots")).to_have_text("5 ballots")
    page.wait_for_timeout(300)
    assert page.evaluate("shift") < 0.01
    if name == "poll":
        vote(page, "Lisbon")
        assert page.evaluate("shift") < 0.01


def test_reduced_motion_is_respected(people: People, poll: dict[str, Any]) -> None:
    duration = "getComputedStyle(document.querySelector('.bar rect')).transitionDuration"
    path = f"{poll['links']['page']}/results"
    assert people(reduced_motion="reduce").goto(path).evaluate(duration) == "0s"
    assert people().goto(path).evaluate(duration) == "0.35s"


def test_pages_ask_nobody_else_and_keep_three_cookies_at_most(
    people: People, poll: dict[str, Any], live: Server
) -> None:
    person = people()
    for path in PAGES.values():
        settled(person.goto(address(path, poll)))
    hosts = {urlsplit(url).netloc for url in person.requests if not url.startswith("data:")}
    assert hosts == {urlsplit(live.url).netloc}
    names = {cookie["name"] for cookie in person.context.cookies()}
    assert names <= {"sessionid", "csrftoken", "voter"}


def test_french_pages_are_french(people: People, poll: dict[str, Any]) -> None:
    english, french = people(), people(locale="fr-FR")
    for path in ("/", "{page}", "{page}/results", "{page}/present"):
        one = settled_words(english.goto(address(path, poll)))
        other = settled_words(french.goto(address(path, poll)))
        assert french.page.locator("html").get_attribute("lang") == "fr"
        names = {"Polls", "Swagger", "ReDoc", "Français", "English", "Sockets", "QR"}
        left = {word for word in one & other if len(word) > 1 and word.isalpha()}
        assert left <= {
            poll["join_code"],
            "Lisbon",
            "Rotterdam",
            "Kraków",
            "Montréal",
            "Nairobi",
            *names,
        }, path
    page = french.goto(poll["links"]["page"])
    page.locator("#ballot label", has_text="Lisbon").click()
    page.locator("#vote").click()
    expect(page.locator("#notice")).to_contain_text("Votre vote est compté.")


def settled_words(page: Page) -> set[str]:
    """Return the lines of text that a page shows."""
    if page.locator("#connection").count():
        expect(page.locator("#connection")).not_to_be_empty()
    page.wait_for_timeout(500)
    return {line.strip() for line in page.inner_text("body").splitlines() if line.strip()}


def test_language_is_chosen_by_the_link(people: People, poll: dict[str, Any]) -> None:
    page = people().goto(poll["links"]["page"])
    page.get_by_role("link", name="Français").click()
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    expect(page.locator("#vote")).to_have_text("Voter")
