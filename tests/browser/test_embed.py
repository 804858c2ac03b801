"""A poll in a frame of somebody else's page, where the browser sends no cookie of ours."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import BrowserType, FrameLocator, Page, expect

from devtools import chromium
from tests.browser.conftest import People
from tests.live import Caller, Server


class Site(HTTPServer):
    """Another site, with one page."""

    body = ""

    @property
    def url(self) -> str:
        # To a browser `localhost` and 127.0.0.1 are two sites.
        return f"http://localhost:{self.server_address[1]}"


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        site = self.server
        assert isinstance(site, Site)
        body = f"<!doctype html><title>Elsewhere</title>{site.body}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(("127.0.0.1", 0), _Page) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        yield site
        site.shutdown()
        thread.join()


def _frame(live: Server, code: str) -> str:
    return (
        f'<iframe src="{live.url}/embed/{code}" title="Lunch?" width="600" height="200"></iframe>'
        f'<script src="{live.url}/static/web/js/frame.js" async></script>'
    )


@pytest.fixture
def everyday(browser_type: BrowserType, tmp_path: Path) -> Iterator[Page]:
    """A browser as people have it: frames of other sites have storage, for each site its own."""
    profile = tmp_path / "Default"
    profile.mkdir()
    # Debian's Chromium keeps storage from such frames, unless its settings say otherwise.
    (profile / "Preferences").write_text('{"profile": {"cookie_controls_mode": 0}}')
    how = {"executable_path": chromium.find(), "args": chromium.QUIET}
    context = browser_type.launch_persistent_context(tmp_path, **how)  # type: ignore[arg-type]
    yield context.pages[0]
    context.close()


@pytest.mark.parametrize("visibility", ["always", "after_vote"])
def test_vote_in_a_frame_counts_once_and_is_known_again(
    everyday: Page, organiser: Caller, live: Server, site: Site, visibility: str
) -> None:
    poll = organiser.make_poll(embed_origins=[site.url], results_visibility=visibility)
    site.body = _frame(live, poll["join_code"])
    everyday.goto(site.url)
    inside = everyday.frame_locator("iframe")
    _vote(inside, "Sushi")
    expect(inside.locator(".votes").nth(1)).to_have_text("1")
    everyday.reload()
    expect(inside.locator("#notice")).to_contain_text("Your vote is counted.")
    expect(inside.get_by_label("Sushi")).to_be_checked()
    live.voter().vote(poll, 1)
    expect(inside.locator(".votes").nth(1)).to_have_text("2")
    assert everyday.context.cookies(live.url) == []


def test_vote_counts_where_frames_have_no_storage(
    people: People, organiser: Caller, live: Server, site: Site
) -> None:
    poll = organiser.make_poll(embed_origins=[site.url])
    site.body = _frame(live, poll["join_code"])
    page = people().page  # as private windows are
    page.goto(site.url)
    _vote(page.frame_locator("iframe"), "Pizza")
    assert organiser.get(poll["links"]["results"]).json()["ballots"] == 1


def test_token_that_counts_no_more_is_replaced(
    everyday: Page, organiser: Caller, live: Server, site: Site
) -> None:
    poll = organiser.make_poll(embed_origins=[site.url])
    site.body = _frame(live, poll["join_code"])
    everyday.goto(site.url)
    inside = everyday.frame_locator("iframe")
    # As if the service had another key since.
    inside.locator("body").evaluate("() => localStorage.setItem('polls.voter', 'A'.repeat(44))")
    everyday.reload()
    _vote(inside, "Sushi")
    assert organiser.get(poll["links"]["results"]).json()["ballots"] == 1


def _vote(inside: FrameLocator, text: str) -> None:
    inside.locator("label", has_text=text).click()
    inside.locator("#vote").click()
    expect(inside.locator("#notice")).to_contain_text("Your vote is counted.")


def test_frame_takes_the_height_of_its_content(
    people: People, organiser: Caller, live: Server, site: Site
) -> None:
    poll = organiser.make_poll(embed_origins=[site.url])
    site.body = _frame(live, poll["join_code"])
    page = people().page
    page.goto(site.url)
    inside = page.frame_locator("iframe")
    expect(inside.locator("#vote")).to_be_visible()
    page.wait_for_function("document.querySelector('iframe').offsetHeight > 300")
    height = inside.locator("html").evaluate("html => [html.scrollHeight, innerHeight]")
    assert height[0] == height[1]


def test_page_that_the_owner_has_not_named_gets_no_frame(
    people: People, organiser: Caller, live: Server, site: Site
) -> None:
    poll = organiser.make_poll(embed_origins=["https://example.org"])
    site.body = _frame(live, poll["join_code"])
    person = people()
    person.page.goto(site.url)
    person.page.wait_for_timeout(1000)
    assert person.page.frame_locator("iframe").locator("#ballot").count() == 0
    refused = [fault for fault in person.faults if re.search("frame-ancestors", fault)]
    assert refused
    person.faults.clear()
