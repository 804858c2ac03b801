"""`make screenshots`: each page on a phone and a desktop, light and dark, into docs/images."""

import random
import sys
from pathlib import Path
from typing import Any

import requests
from playwright.sync_api import Browser, sync_playwright

from devtools import chromium
from devtools.service import Service

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
SCREENS: dict[str, dict[str, Any]] = {
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
    "desktop": {"viewport": {"width": 1280, "height": 800}},
}
PAGES = {
    "home": "/",
    "poll": "/p/{code}",
    "results": "/p/{code}/results",
    "screen": "/p/{code}/present",
    "embed": "/embed/{code}",
    "login": "/accounts/login",
}
DESK = {
    "desk": "/desk",
    "desk-new": "/desk/new",
    "desk-poll": "/desk/polls/{id}",
    "desk-event": "/desk/events/{event}",
    "desk-tokens": "/desk/tokens",
}
_PASSWORD = "correct horse battery staple"  # noqa: S105 - of a service that ends with this
_QUESTION = "Where shall we meet next year?"
_OPTIONS = ("Lisbon", "Rotterdam", "Kraków", "Montréal", "Nairobi")
_VOTERS, _VOTES_AT_ONCE = 120, 6
_ROUNDS = 20


class _Organiser:
    """An account of the service, and what it has made."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.token = ""
        who = {"username": "maria", "password": _PASSWORD}
        self.post("auth/register", who)
        self.token = self.post("auth/tokens", who)["token"]
        options = [{"text": text} for text in _OPTIONS]
        self.poll = self.post("polls", {"title": _QUESTION, "options": options})
        yes_no = [{"text": "Yes"}, {"text": "No"}]
        more = [
            self.post("polls", {"title": title, "options": yes_no})
            for title in ("Adopt the budget?", "Elect the new board?")
        ]
        ids = [poll["id"] for poll in (self.poll, *more)]
        event = {"title": "Annual meeting", "polls": ids, "current": ids[0]}
        self.event = self.post("events", event)
        self.random = random.Random(7)  # noqa: S311 - the same picture every time

    def post(self, path: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
        """POST to the API and return the answer's body."""
        if self.token and not headers:
            headers = {"Authorization": f"Bearer {self.token}"}
        # Without a session: each voter comes with no cookie of the one before.
        answer = requests.post(f"{self.url}/api/v1/{path}/", json=body, headers=headers, timeout=30)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def let_vote(self, voters: int) -> None:
        """Let new voters vote, some options being dearer to them than others."""
        options = [option["id"] for option in self.poll["options"]]
        for _ in range(voters):
            token = self.post("voters", {})["token"]
            (choice,) = self.random.choices(options, weights=(34, 29, 17, 12, 8))
            headers = {"X-Voter-Token": token}
            self.post(f"polls/{self.poll['id']}/votes", {"choices": [choice]}, **headers)

    def path(self, template: str) -> str:
        """Return the path of a page."""
        poll = self.poll
        return template.format(code=poll["join_code"], id=poll["id"], event=self.event["id"])


def _draw(browser: Browser, organiser: _Organiser, screen: str, scheme: str) -> None:
    context = browser.new_context(
        **SCREENS[screen],
        color_scheme=scheme,  # type: ignore[arg-type] # one of the two below
        locale="en-GB",
        reduced_motion="reduce",
    )
    page = context.new_page()

    def shoot(name: str, path: str) -> None:
        page.goto(organiser.url + organiser.path(path))
        if page.locator("#connection").count():
            page.get_by_text("live", exact=True).wait_for()
        if name == "results":  # whose lines need more than one point
            for _ in range(_ROUNDS):
                organiser.let_vote(_VOTES_AT_ONCE)
                page.wait_for_timeout(150)
        page.wait_for_timeout(300)
        page.screenshot(path=IMAGES / f"{name}-{screen}-{scheme}.png")

    for name, path in PAGES.items():
        shoot(name, path)
    page.goto(f"{organiser.url}/accounts/login")
    page.fill("[name=login]", "maria")
    page.fill("[name=password]", _PASSWORD)
    page.locator("main form button").first.click()
    page.wait_for_url("**/desk")
    for name, path in DESK.items():
        shoot(name, path)
    context.close()


def main() -> int:
    """Draw all of them; return 0."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with Service() as service, sync_playwright() as playwright:
        organiser = _Organiser(service.url)
        organiser.let_vote(_VOTERS)
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.QUIET)
        for screen in SCREENS:
            for scheme in ("light", "dark"):
                _draw(browser, organiser, screen, scheme)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
