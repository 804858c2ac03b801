"""A real Chromium, people with browsers of their own, and the server that they meet."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from devtools import chromium
from tests.live import Caller, Server

expect.set_options(timeout=10_000)

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Launch the system's Chromium; Playwright's own is never downloaded."""
    return {**browser_type_launch_args, "executable_path": chromium.find(), "args": chromium.QUIET}


class Person:
    """Somebody with a browser of their own, and what went wrong in it."""

    def __init__(self, server: Server, context: BrowserContext) -> None:
        self.server = server
        self.context = context
        self.faults: list[str] = []
        self.requests: list[str] = []
        context.add_init_script(
            "addEventListener('securitypolicyviolation', (e) =>"
            " console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`));"
        )
        self.page = self._watched(context.new_page())

    def _watched(self, page: Page) -> Page:
        page.on("pageerror", lambda error: self.faults.append(f"{page.url}: {error}"))
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("request", lambda request: self.requests.append(request.url))
        return page

    def _hear(self, kind: str, text: str) -> None:
        # What the network does is no fault of the page: it is told as "Failed to load resource".
        if kind == "error" and "ERR_" not in text and "Failed to load resource" not in text:
            self.faults.append(text)

    def goto(self, path: str) -> Page:
        """Open a page of the service."""
        self.page.goto(self.server.url + path)
        return self.page

    def block_sockets(self) -> None:
        """Let no socket of the page come about, as some networks do."""
        self.page.route_web_socket(re.compile("/ws/"), lambda socket: socket.close(code=1011))

    def log_in(self, name: str) -> None:
        """Log in as the organiser whom `Server.sign_up` made under this name."""
        page = self.goto("/accounts/login")
        page.fill("[name=login]", name)
        page.fill("[name=password]", "correct horse battery staple")
        page.locator("main form button").first.click()
        page.wait_for_url(lambda url: urlsplit(url).path != "/accounts/login")


People = Callable[..., Person]


@pytest.fixture
def people(browser: Browser, live: Server) -> Iterator[People]:
    """Make people, each with cookies of their own; at the end nothing may have gone wrong."""
    made: list[Person] = []

    def make(server: Server = live, **how: Any) -> Person:
        person = Person(server, browser.new_context(**{"locale": "en-GB", **how}))
        made.append(person)
        return person

    yield make
    faults = [fault for person in made for fault in person.faults]
    for person in made:
        person.context.close()
    assert faults == []


@pytest.fixture
def organiser(live: Server) -> Caller:
    """The account that makes the polls, over the API."""
    return live.sign_up()


class LostAnswers:
    """Lets a page's votes reach the server and loses its first answers.

    The requests after them wait until they are let through, so that the page says that long that
    the connection is lost.
    """

    def __init__(self, page: Page, times: int, *, method: str = "POST") -> None:
        self.keys: list[str] = []  # of all requests, as they came
        self.over = False  # whether requests that come from now on pass
        self._times, self._method = times, method
        self._held: list[Route] = []
        page.route("**/votes/", self._take)

    def _take(self, route: Route) -> None:
        if route.request.method != self._method:
            return route.continue_()
        self.keys.append(route.request.headers["idempotency-key"])
        if len(self.keys) <= self._times:
            route.fetch()
            return route.abort("connectionreset")
        return route.continue_() if self.over else self._held.append(route)

    def let_through(self) -> None:
        """Let those pass that wait, and those that come."""
        self.over = True
        for route in self._held:
            route.continue_()


def ballots(organiser: Caller, poll: Mapping[str, Any]) -> int:
    """Return how many ballots a poll has."""
    found: int = organiser.get(poll["links"]["results"]).json()["ballots"]
    return found


def choose(page: Page, text: str) -> None:
    """Tap an option."""
    page.locator("#ballot label", has_text=text).click()


def vote(page: Page, text: str) -> None:
    """Tap an option, then the button, and wait for the receipt."""
    choose(page, text)
    page.locator("#vote").click()
    expect(page.locator("#notice")).to_contain_text("Your vote is counted.")
