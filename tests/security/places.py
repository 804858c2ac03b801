"""Every address of the service, filled in with things that there are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests

from tests.live import Caller, Server
from tests.polls.test_route_walk import routes

SECRET_KEY = "a key for tests alone, of more than fifty different letters and 0123456789"
PARTNER = "https://partner.example"
HTTPS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
# What patterns of the URL conf stand for that are no plain paths.
_ODD = {
    "/admin/^(?P{app_label}auth|accounts|polls|account)/$": "/admin/polls/",
    "/admin/(?P{url}.*)$": "/admin/nowhere",
    "/accounts/^password/reset/key/(?P{uidb36}[0-9A-Za-z]+)-(?P{key}[^/]+)$": (
        "/accounts/password/reset/key/1-a-b"
    ),
}
_SLASHED = "/^(?P{page}"  # the redirects of pages with a slash behind them


class PublicServer(Server):
    """A server on production settings behind a proxy, which says that visitors come by HTTPS."""

    def __init__(self, **environment: str) -> None:
        super().__init__(
            **{
                "DJANGO_SETTINGS_MODULE": "polls_project.settings.prod",
                "SECRET_KEY": SECRET_KEY,
                "TRUSTED_PROXIES": "127.0.0.1",
                "CORS_ALLOWED_ORIGINS": PARTNER,
                **environment,
            }
        )

    def sign_up(self, name: str = "owner") -> Caller:
        """Return a new account's caller."""
        account = {"username": name, "password": "correct horse battery staple"}
        anybody = Caller(self, HTTPS)
        anybody.post("/api/v1/auth/register/", account)
        token = anybody.post("/api/v1/auth/tokens/", account).json()["token"]
        return Caller(self, {**HTTPS, "Authorization": f"Bearer {token}"})

    def voter(self) -> Caller:
        """Return a new voter's caller."""
        token = Caller(self, HTTPS).post("/api/v1/voters/").json()["token"]
        return Caller(self, {**HTTPS, "X-Voter-Token": token})


@dataclass(frozen=True)
class Names:
    """What the parameters of routes stand for."""

    poll: dict[str, Any]
    event: str
    token: str
    member: str

    def parameters(self) -> dict[str, str]:
        """Return a value for each parameter by its name in the URL conf."""
        return {
            "poll_id": self.poll["id"],
            "code": self.poll["join_code"],
            "join_code": self.poll["join_code"],
            "event_id": self.event,
            "token_id": self.token,
            "username": self.member,
            "object_id": self.poll["id"],  # of the admin
            "content_type_id": "1",
            "id": "1",
        }


def names_of(owner: Caller, **fields: Any) -> Names:
    """Make a poll, in an event, and a token; a route whose parameter is not among them fails."""
    poll = owner.make_poll(**fields)
    event = owner.make_event(poll)["id"]
    token = owner.get("/api/v1/auth/tokens/").json()[0]["id"]
    member = "a-member"
    account = {"username": member, "password": "correct horse battery staple"}
    Caller(owner.server, HTTPS).post("/api/v1/auth/register/", account)
    owner.call("PUT", f"{poll['links']['self']}members/{member}/", {"role": "viewer"})
    return Names(poll, event, token, member)


def addresses(names: Names) -> Iterator[str]:
    """Return an address for each route of the URL conf, new ones included."""
    for route in routes():
        if route.startswith(_SLASHED):
            yield f"/p/{names.poll['join_code']}/"
        elif route in _ODD:
            yield _ODD[route]
        else:
            path = route.format_map(names.parameters())
            assert not re.search(r"[\^$(){}\\]", path), f"fill in this route: {route}"
            yield path


def log_in(server: Server, name: str) -> requests.Session:
    """Log in on the pages as an account of `Server.sign_up`; return the browser's session."""
    browser = requests.Session()
    page = browser.get(f"{server.url}/accounts/login", timeout=30)
    form = {
        "login": name,
        "password": "correct horse battery staple",
        "csrfmiddlewaretoken": form_token(page.text),
    }
    answer = browser.post(f"{server.url}/accounts/login", form, allow_redirects=False, timeout=30)
    assert answer.status_code == 302, answer.text
    return browser


def form_token(html: str) -> str:
    """Return the CSRF token of a page's first form."""
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', html)
    assert found, html
    return found[1]
