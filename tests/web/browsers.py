"""A browser in process: it keeps cookies, checks CSRF as a real one must, and fills in forms."""

import html
import re
from typing import Any

from django.test import Client

from accounts.models import User
from tests.cast import PASSWORD

# Texts of organisers that would be markup or script if a page forgot to escape one of them.
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></script><svg onload=alert(1)>",
    "{{ 7|add:7 }} {% csrf_token %}",
    "'-alert(1)-'",
    "</textarea><b>bold</b>",
)
LIST, NEW = "/desk", "/desk/new"
TWO = ["Pizza", "Sushi"]
_TAG = re.compile(r"<(script|img|svg|b)\b([^>]*)>")


class Browser:
    """Somebody at a browser, signed in or not."""

    def __init__(self, user: User | None = None) -> None:
        self.http = Client(enforce_csrf_checks=True, headers={"Accept": "text/html"})
        if user is not None:
            self.http.force_login(user)

    def get(self, path: str, **query: Any) -> Any:
        """Open a page."""
        return self.http.get(path, query)

    def read(self, path: str, **query: Any) -> str:
        """Open a page and return what stands there."""
        answer = self.get(path, **query)
        assert answer.status_code == 200, (path, answer.status_code)
        return str(answer.content.decode())

    def send(self, path: str, page: str = "", **fields: Any) -> Any:
        """Send a form from the page that has it, by default the one that takes it."""
        self.http.get(page or path)
        token = self.http.cookies["csrftoken"].value
        return self.http.post(path, {"csrfmiddlewaretoken": token, **fields})


def sign_in(name: str) -> Browser:
    """Return a new account's browser, signed in."""
    return Browser(User.objects.create_user(name, password=PASSWORD))


def page_of(poll: dict[str, Any]) -> str:
    """Return the address of a poll on the desk."""
    return f"/desk/polls/{poll['id']}"


def make(desk: Browser, **fields: Any) -> Any:
    """Make a poll by the form, of two answers unless it is said otherwise."""
    return desk.send(NEW, **{"title": "Lunch?", "option": TWO, "status": "open", **fields})


def form_of(page: str) -> dict[str, Any]:
    """Return what a browser would send of the form of a poll, its disabled fields left out."""
    form = re.search(r'<form[^>]*id="poll-form".*?</form>', page, re.DOTALL)
    assert form is not None
    found: dict[str, Any] = {"option": []}
    frozen = r'<fieldset[^>]*id="answers" disabled.*?</fieldset>'
    enabled = re.sub(frozen, "", form[0], flags=re.DOTALL)
    for tag in re.findall(r"<input[^>]*>", enabled):
        at = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if " disabled" in tag or "name" not in at or at["name"] == "csrfmiddlewaretoken":
            continue
        box = at.get("type") == "checkbox"
        if box and " checked" not in tag:
            continue
        value = html.unescape(at.get("value", "on" if box else ""))
        if at["name"] == "option":
            found["option"].append(value)
        else:
            found[at["name"]] = value
    for name, rest, text in re.findall(
        r'<textarea name="(\w+)"([^>]*)>\n?(.*?)</textarea>', enabled, re.DOTALL
    ):
        if " disabled" not in rest:
            found[name] = html.unescape(text)
    for name, rest, options in re.findall(
        r'<select name="(\w+)"([^>]*)>(.*?)</select>', enabled, re.DOTALL
    ):
        if " disabled" not in rest:
            chosen = re.findall(r'value="(\w+)" selected', options)
            found[name] = (chosen or re.findall(r'value="(\w+)"', options))[0]
    return found if found["option"] else {n: v for n, v in found.items() if n != "option"}


def said(answer: Any) -> str:
    """Return the text of an answer without its markup."""
    page = re.sub(r"<script.*?</script>", "", answer.content.decode(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub("<[^>]+>", " ", page)).split())


def assert_only_text(page: str) -> None:
    """Check that nothing in a page came to be markup or script that an organiser wrote."""
    for name, rest in _TAG.findall(page):
        loads = 'type="module" src="/static/' in rest
        ours = name == "svg" or loads or 'type="application/json"' in rest
        assert ours, (name, rest)
        assert "alert" not in rest
    # What stands in quotes is escaped: a value, however it reads.
    assert not re.search(r"<[^>]+ on\w+=", re.sub('"[^"]*"', '""', page))
    assert "14" not in re.findall(r"<h1[^>]*>([^<]*)<", page)
