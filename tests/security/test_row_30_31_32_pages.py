"""Rows 30 to 32 where pages are: forms, query strings, parts of paths, the admin's login.

What takes JSON, and sockets, are held to the same by test_bad_input.py and test_bad_fields.py in
tests/polls, and tests/realtime/test_bad_frames.py.
"""

import uuid
from typing import Any

import pytest
import requests

from tests.cast import stored_rows_of
from tests.live import Server
from tests.security.places import form_token, log_in

UNREADABLE = {
    "NUL": "%00",
    "NUL within": "a%00b",
    "high surrogate": "%ED%A0%80",
    "low surrogate": "x%ED%B0%80",
    "pair of surrogates in six bytes": "%ED%A0%BD%ED%B8%80",
    "half a letter": "%C3",
    "no letter": "%FF%FE",
    "overlong slash": "%C0%AF",
}
NUMBERS = [
    *("-1", "9223372036854775808", "-9223372036854775809", "9" * 5000, "1e400", "1e3", "NaN"),
    *("Infinity", "-Infinity", "0x10", "1.5", "1_000", "true", "null"),
]
FORMS = {
    "login": "/accounts/login",
    "staff": "/admin/login/",
    "sign-up": "/accounts/signup",
    "reset": "/accounts/password/reset",
    "ballot": "/p/{code}",
    "new poll": "/desk/new",
    "poll": "/desk/polls/{poll}",
    "event": "/desk/events",
    "token": "/desk/tokens",
}
NAMES = ("login", "username", "password", "title", "option", "name", "choice", "poll", "email")
Stage = tuple[Server, requests.Session, dict[str, str]]


@pytest.fixture(scope="module")
def stage(live: Server) -> Stage:
    name = f"owner-{uuid.uuid4().hex[:8]}"
    poll = live.sign_up(name).make_poll()
    return live, log_in(live, name), {"code": poll["join_code"], "poll": poll["id"]}


def send(stage: Stage, form: str, body: str | bytes, kind: str = "") -> requests.Response:
    server, browser, names = stage
    path = server.url + FORMS[form].format_map(names)
    token = form_token(browser.get(f"{server.url}/desk/new", timeout=30).text)
    return browser.post(
        path,
        data=body,
        headers={
            "Content-Type": kind or "application/x-www-form-urlencoded",
            "X-CSRFToken": token,
            "Accept": "application/json",
        },
        allow_redirects=False,
        timeout=30,
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", UNREADABLE)
def test_row_30_form_that_cannot_be_read_is_refused(stage: Stage, form: str, name: str) -> None:
    before = stored_rows_of(stage[0])
    text = UNREADABLE[name]
    for body in (
        "&".join(f"{field}={text}" for field in NAMES),
        f"title=Lunch&{text}=x",
        f"title=Lunch&option=a&option={text}",
    ):
        answer = send(stage, form, body)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert stored_rows_of(stage[0]) == before


@pytest.mark.parametrize("raw", [b"\0", b"\xed\xa0\x80", b"\xff"])
def test_row_30_form_in_parts_that_cannot_be_read_is_refused(stage: Stage, raw: bytes) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="title"\r\n\r\n%s\r\n--b--\r\n'
    answer = send(stage, "new poll", part % raw, "multipart/form-data; boundary=b")
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    # A percent sign stands for itself in parts.
    fine = send(stage, "new poll", part % b"100%00 sure", "multipart/form-data; boundary=b")
    assert fine.status_code == 400
    assert "html" in fine.headers["Content-Type"]


def test_row_30_form_that_can_be_read_is_taken(stage: Stage) -> None:
    """The control: letters of all sorts, and a percent sign."""
    body = "title=100%25+%C3%A9+%F0%9F%8D%95&option=a&option=%E2%82%AC"
    assert send(stage, "new poll", body).status_code == 303


@pytest.mark.parametrize("name", UNREADABLE)
def test_row_30_query_or_path_that_cannot_be_read_is_refused(stage: Stage, name: str) -> None:
    server, browser, names = stage
    text = UNREADABLE[name]
    queries = ["/?code={}", "/?lang={}", "/oembed?url={}", "/accounts/login?next={}", "/?{}=1"]
    queries += ["/desk?page={}", "/desk/new?title={}", "/api/v1/polls/?cursor={}"]
    queries += ["/admin/login/?next={}", "/p/{code}?counted={}", "/swagger/?format={}"]
    for query in queries:
        url = server.url + query.replace("{code}", names["code"]).replace("{}", text)
        answer = browser.get(url, headers={"Accept": "application/json"}, timeout=30)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed"), query
    for path in ("/p/{}", "/embed/{}", "/api/v1/join/{}/", "/{}", "/static/{}", "/desk/polls/{}"):
        answer = browser.get(server.url + path.format(text), timeout=30)
        assert answer.status_code in {400, 404}, path


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: ascii(number)[:30])
def test_row_31_number_that_is_none_is_the_clients_fault(stage: Stage, number: str) -> None:
    server, browser, names = stage
    before = stored_rows_of(server)
    fields: tuple[dict[str, Any], ...] = (
        {"kind": "multiple", "min_selections": number},
        {"kind": "multiple", "max_selections": number},
        {"closes_at": number},
    )
    token = form_token(browser.get(f"{server.url}/desk/new", timeout=30).text)
    for more in fields:
        form = {"title": "x", "option": ["a", "b"], "csrfmiddlewaretoken": token, **more}
        answer = browser.post(f"{server.url}/desk/new", form, allow_redirects=False, timeout=30)
        assert answer.status_code == 400, more
    assert stored_rows_of(server) == before
    paths = ["/oembed?maxwidth={}&url=x", "/desk?page={}", "/desk?cursor={}", "/p/{code}?n={}"]
    paths += ["/api/v1/polls/?cursor={}", "/api/v1/events/?cursor={}", "/api/v1/polls/{}/"]
    paths += ["/admin/polls/poll/{}/change/", "/admin/r/{}/{}/", "/desk/polls/{}", "/ws/polls/{}/"]
    for path in paths:
        url = server.url + path.replace("{code}", names["code"]).replace("{}", number)
        assert browser.get(url, timeout=30).status_code < 500, path
