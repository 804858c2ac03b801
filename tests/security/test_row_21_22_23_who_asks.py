"""Rows 21 to 23: whose word counts on addresses, on forms, and on pages of other sites."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.live import Caller, Server
from tests.realtime.servers import OwnServer
from tests.security.places import PARTNER, form_token, log_in

# -- 21 ----------------------------------------------------------------------------------------

_TELLING = """
import runpy, django
django.setup()
from polls_project import gate
from polls import compact_json
from polls.messages import Answer, wire_headers
async def answer(self, scope, receive, send):
    told = {"client": scope["client"][0], "scheme": scope["scheme"]}
    body = compact_json.dumps(told).encode()
    await gate.send_answer(scope, send, Answer(200, wire_headers({}), body))
gate.Gate.__call__ = answer
runpy.run_module("polls_project.serve", run_name="__main__", alter_sys=True)
"""


class TellingServer(OwnServer):
    """A server whose gate tells by what address and scheme it would judge a request."""

    def command(self) -> list[str]:
        """Put the telling gate in front, then run the module as ever."""
        return [super().command()[0], "-c", _TELLING]


SPOOFED = ["203.0.113.1", "203.0.113.2", "10.0.0.9", "127.0.0.1", "203.0.113.5"]


def judged(server: Server, **headers: str) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    found: dict[str, str] = requests.get(server.url, headers=named, timeout=30).json()
    return found


@pytest.fixture(scope="module")
def alone() -> Iterator[Server]:
    with TellingServer() as server:
        yield server


@pytest.fixture(scope="module")
def behind_a_proxy() -> Iterator[Server]:
    """The tests are the proxy at 127.0.0.1, and there is another one in front of it."""
    with TellingServer(TRUSTED_PROXIES="127.0.0.1,10.0.0.0/8") as server:
        yield server


@pytest.mark.parametrize("hops", range(1, 6))
def test_row_21_forwarded_address_of_a_stranger_counts_for_nothing(
    alone: Server, hops: int
) -> None:
    chain = ", ".join(SPOOFED[:hops])
    forged = {
        "X_Forwarded_For": chain,
        "X_Forwarded_Proto": "https",
        "Forwarded": f"for={SPOOFED[0]};proto=https",
        "X_Real_IP": SPOOFED[0],
        "X_Client_IP": SPOOFED[0],
        "CF_Connecting_IP": SPOOFED[0],
        "True_Client_IP": SPOOFED[0],
    }
    assert judged(alone, **forged) == {"client": "127.0.0.1", "scheme": "http"}


@pytest.mark.parametrize("hops", range(6))
def test_row_21_last_address_that_no_trusted_proxy_has_is_the_clients(
    behind_a_proxy: Server, hops: int
) -> None:
    """What a client writes in front stands before what the proxies add."""
    for chain in (
        [*SPOOFED[:hops], "198.51.100.7"],
        [*SPOOFED[:hops], "198.51.100.7", "10.0.0.1"],
        [*SPOOFED[:hops], "198.51.100.7", "10.0.0.2", "10.0.0.1"],
    ):
        found = judged(behind_a_proxy, X_Forwarded_For=", ".join(chain), X_Forwarded_Proto="https")
        assert found == {"client": "198.51.100.7", "scheme": "https"}


@pytest.mark.parametrize("odd", ["", ",", "unknown", "x" * 1000, "1.2.3.4.5", "'; DROP", "::1"])
def test_row_21_forwarded_address_that_is_none_breaks_nothing(
    behind_a_proxy: Server, odd: str
) -> None:
    answer = requests.get(
        behind_a_proxy.url, headers={"X-Forwarded-For": odd, "X-Real-IP": odd}, timeout=30
    )
    assert answer.status_code == 200
    proto = requests.get(
        behind_a_proxy.url, headers={"X-Forwarded-Proto": odd or "javascript"}, timeout=30
    )
    assert proto.json()["scheme"] == "http"


# -- 22 ----------------------------------------------------------------------------------------

EVIL = "https://evil.example"


@pytest.fixture(scope="module")
def owner(live: Server) -> tuple[Caller, requests.Session, str]:
    name = f"owner-{uuid.uuid4().hex[:8]}"
    return live.sign_up(name), log_in(live, name), name


Owner = tuple[Caller, requests.Session, str]


def _token_of(browser: requests.Session, live: Server) -> str:
    return form_token(browser.get(f"{live.url}/desk/new", timeout=30).text)


WRITES = {
    "make a poll": "/desk/new",
    "make an event": "/desk/events",
    "make a token": "/desk/tokens",
    "log in": "/accounts/login",
    "log in as staff": "/admin/login/",
    "sign up": "/accounts/signup",
    "log out": "/accounts/logout",
    "log out as staff": "/admin/logout/",
    "new password": "/accounts/password/change",
    "forgotten password": "/accounts/password/reset",
}
FORM = {
    "title": "Forged",
    "option": ["a", "b"],
    "name": "forged",
    "login": "x",
    "password": "x",
    "username": "forged-name",
    "password1": "long enough 1",
    "password2": "long enough 1",
}
FORGERIES: dict[str, dict[str, Any]] = {
    "no token": {},
    "wrong token": {"token": "a" * 64},
    "token of nobody": {"token": "a" * 32},
    "foreign origin": {"valid": True, "headers": {"Origin": EVIL}},
    "origin of a sandbox": {"valid": True, "headers": {"Origin": "null"}},
    "neighbouring port": {"valid": True, "headers": {"Origin": "http://127.0.0.1:1"}},
    "text": {"headers": {"Content-Type": "text/plain"}},
    "JSON": {"headers": {"Content-Type": "application/json"}},
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("forgery", FORGERIES)
def test_row_22_form_that_another_site_sends_is_refused(
    live: Server, owner: Owner, write: str, forgery: str
) -> None:
    caller, browser, _ = owner
    how = FORGERIES[forgery]
    token = _token_of(browser, live) if how.get("valid") else how.get("token", "")
    lists = ("/api/v1/polls/", "/api/v1/events/", "/api/v1/auth/tokens/")
    before = [caller.get(path).json() for path in lists]
    answer = browser.post(
        live.url + WRITES[write],
        data={**FORM, "csrfmiddlewaretoken": token},
        headers={"Accept": "application/json", **how.get("headers", {})},
        allow_redirects=False,
        timeout=30,
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")
    assert [caller.get(path).json() for path in lists] == before
    assert "Log out" in browser.get(f"{live.url}/desk", timeout=30).text


def test_row_22_the_same_form_from_this_site_is_taken(live: Server, owner: Owner) -> None:
    _, browser, _ = owner
    answer = browser.post(
        f"{live.url}/desk/new",
        data={**FORM, "csrfmiddlewaretoken": _token_of(browser, live)},
        headers={"Origin": live.url},
        allow_redirects=False,
        timeout=30,
    )
    assert answer.status_code == 303


@pytest.mark.parametrize("origin", [EVIL, "null", "", None])
def test_row_22_voters_cookie_of_another_sites_page_casts_no_vote(
    live: Server, owner: Owner, origin: str | None
) -> None:
    poll = owner[0].make_poll()
    cookie = f"voter={live.voter().headers['X-Voter-Token']}"
    body = {"choices": [poll["options"][0]["id"]]}
    headers = {"Cookie": cookie, **({} if origin is None else {"Origin": origin})}
    url = live.url + poll["links"]["vote"]
    refused = requests.post(url, json=body, headers=headers, timeout=30)
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")
    own = {"Cookie": cookie, "Origin": live.url}
    assert requests.post(url, json=body, headers=own, timeout=30).status_code == 201


# -- 23 ----------------------------------------------------------------------------------------

ORIGINS = [
    EVIL,
    "null",
    "*",
    f"{PARTNER}.evil.example",
    "https://evil-partner.example",
    PARTNER.replace("https", "http"),
    f"{PARTNER}:8443",
    PARTNER.upper(),
    f"{PARTNER}/",
    "file://",
]


@pytest.fixture(scope="module")
def partnered() -> Iterator[Server]:
    """A server that one other site's pages may call."""
    with Server(CORS_ALLOWED_ORIGINS=PARTNER) as server:
        yield server


@pytest.mark.parametrize("origin", ORIGINS)
def test_row_23_origin_that_is_not_named_gets_no_grant(partnered: Server, origin: str) -> None:
    poll = partnered.sign_up().make_poll()
    paths = ["/", "/api/v1/limits/", "/api/v1/polls/", "/nowhere", "/livez", poll["links"]["self"]]
    paths += [poll["links"]["results"], poll["links"]["page"], "/swagger.json", "/accounts/login"]
    for path in paths:
        for method in ("GET", "POST", "OPTIONS"):
            headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            answer = requests.request(method, partnered.url + path, headers=headers, timeout=30)
            assert "Access-Control-Allow-Origin" not in answer.headers, (method, path)
            assert "Access-Control-Allow-Credentials" not in answer.headers


def test_row_23_nobody_is_granted_credentials(partnered: Server, live: Server) -> None:
    headers = {"Origin": PARTNER, "Access-Control-Request-Method": "POST"}
    for method in ("GET", "OPTIONS"):
        answer = requests.request(
            method, f"{partnered.url}/api/v1/voters/", headers=headers, timeout=30
        )
        assert answer.headers["Access-Control-Allow-Origin"] == PARTNER
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "Origin" in answer.headers["Vary"]
        # Where the operator names no site there is no grant at all.
        other = requests.request(method, f"{live.url}/api/v1/voters/", headers=headers, timeout=30)
        assert not [name for name in other.headers if name.lower().startswith("access-control")]


def test_row_23_what_is_for_every_site_is_the_same_for_everybody(live: Server) -> None:
    """A star stands on own files alone, in which there is nothing of anybody's."""
    answer = requests.get(
        f"{live.url}/static/web/js/frame.js", headers={"Origin": EVIL, "Cookie": "x=y"}, timeout=30
    )
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert re.search("max-age", answer.headers["Cache-Control"])
    assert "Set-Cookie" not in answer.headers
