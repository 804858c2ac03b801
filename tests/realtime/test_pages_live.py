"""A poll's page and its socket: what a browser does with the cookie that the page gives it."""

import re
from typing import Any

import requests

from tests.live import Caller, Server
from tests.realtime.client import dashboard, results_of, snapshot_of, status_of, tally_of


def _browser(live: Server, poll: dict[str, Any]) -> tuple[requests.Session, dict[str, Any]]:
    """Open a poll's page; return the browser, and how its script opens the socket."""
    browser = requests.Session()
    page = browser.get(live.url + poll["links"]["page"], timeout=30)
    assert page.status_code == 200
    found = re.search(r'data-live="([^"]+)"', page.text)
    assert found is not None
    assert found[1] == poll["links"]["live"]
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    return browser, {"origin": live.url, "headers": {"Cookie": cookies}}


def _vote(browser: requests.Session, live: Server, poll: dict[str, Any], place: int) -> None:
    url = live.url + poll["links"]["page"]
    form = browser.get(url, timeout=30).text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    assert token is not None
    body = {"csrfmiddlewaretoken": token[1], "choices": poll["options"][place]["id"]}
    answer = browser.post(url, body, headers={"Origin": live.url}, timeout=30)
    assert answer.status_code == 200, answer.text


def test_page_of_an_open_poll_follows_the_count(live: Server, organiser: Caller) -> None:
    poll = organiser.make_poll()
    browser, how = _browser(live, poll)
    with dashboard(live, poll, **how) as page:
        assert page.frame() == snapshot_of(results_of(organiser, poll))
        _vote(browser, live, poll, 1)
        assert page.frame() == tally_of(results_of(organiser, poll))


def test_page_shows_results_once_its_own_form_has_voted(live: Server, organiser: Caller) -> None:
    poll = organiser.make_poll(results_visibility="after_vote")
    browser, how = _browser(live, poll)
    stranger, strange = _browser(live, poll)
    with (
        dashboard(live, poll, "?view=status", **how) as page,
        dashboard(live, poll, "?view=status", **strange) as other,
    ):
        assert page.frame() == other.frame() == status_of(poll)
        _vote(browser, live, poll, 0)
        page.until_results_open(results_of(organiser, poll))
        other.silence(1.5)
    # The page that is drawn anew after the vote opens the socket of the counts.
    with dashboard(live, poll, **how) as page:
        assert page.frame() == snapshot_of(results_of(organiser, poll))
    stranger.close()
    browser.close()
