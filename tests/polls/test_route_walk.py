"""A walk over every route with every method, as everybody: only what the contract allows."""

import functools
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import pytest
import requests
from django.urls import URLPattern, URLResolver, get_resolver

from polls.errors import CATALOGUE, Code
from tests.cast import NEW_POLL, PASSWORD, assert_problem, problem
from tests.live import Caller, Server

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
PEOPLE = ("owner", "other", "voter", "nobody", "ended", "forged")
PAGES = (
    *("/", "/docs/errors", "/docs/protocol", "/swagger/", "/redoc/"),
    *("/p/{code}", "/p/{code}/results", "/p/{code}/present", "/p/{code}/qr.png"),
    *("/p/{code}/qr.svg", "/embed/{code}"),
    *("/swagger.json", "/swagger.yaml", "/asyncapi.json"),
    *("/accounts/login", "/accounts/signup", "/accounts/password/reset"),
    "/accounts/deleted",
    *("/accounts/password/reset/done", "/accounts/password/reset/key/done"),
)
# The pages that take forms of anybody; the others are read alone.
FORMS = {"/p/{code}", "/accounts/login", "/accounts/signup", "/accounts/password/reset"}
# The pages of whoever is logged in, and what they take. Anybody else is led to log in.
READ, FORM, ACT = ("GET", "HEAD"), ("GET", "HEAD", "POST"), ("POST",)
DESK = {
    "/accounts/password/change": FORM,
    "/accounts/data": READ,
    "/accounts/delete": FORM,
    "/desk": READ,
    "/desk/shared": READ,
    "/desk/new": FORM,
    "/desk/polls/{poll_id}": FORM,
    "/desk/polls/{poll_id}/codes": FORM,
    "/desk/polls/{poll_id}/open": ACT,
    "/desk/polls/{poll_id}/schedule": ACT,
    "/desk/polls/{poll_id}/close": FORM,
    "/desk/polls/{poll_id}/reset": FORM,
    "/desk/polls/{poll_id}/duplicate": ACT,
    "/desk/polls/{poll_id}/delete": FORM,
    "/desk/polls/{poll_id}/members": FORM,
    "/desk/polls/{poll_id}/members/remove": ACT,
    "/desk/events": FORM,
    "/desk/events/{event_id}": FORM,
    "/desk/events/{event_id}/show": ACT,
    "/desk/events/{event_id}/show-nothing": ACT,
    "/desk/events/{event_id}/up": ACT,
    "/desk/events/{event_id}/down": ACT,
    "/desk/events/{event_id}/add": FORM,
    "/desk/events/{event_id}/take-out": ACT,
    "/desk/events/{event_id}/delete": FORM,
    "/desk/tokens": FORM,
    "/desk/tokens/{token_id}/revoke": ACT,
}
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
OWNERS, RUNNERS, MEMBERS, EVERYBODYS = "owner's", "organisers'", "members'", "everybody's"
# Every call on a poll, and whose it is. The audit is everybody's once the poll is closed.
CALLS = {
    ("GET", ""): EVERYBODYS,
    ("PATCH", ""): RUNNERS,
    ("DELETE", ""): OWNERS,
    ("POST", "open/"): RUNNERS,
    ("POST", "close/"): RUNNERS,
    ("POST", "reset/"): RUNNERS,
    ("POST", "codes/"): RUNNERS,
    ("GET", "members/"): MEMBERS,
    ("PUT", "members/{username}/"): OWNERS,
    ("DELETE", "members/{username}/"): OWNERS,  # and the member's own
    ("POST", "votes/"): EVERYBODYS,
    ("GET", "votes/"): EVERYBODYS,
    ("PUT", "votes/"): EVERYBODYS,
    ("DELETE", "votes/"): EVERYBODYS,
    ("GET", "results/"): EVERYBODYS,
    ("GET", "timeline/"): EVERYBODYS,
    ("GET", "integrity/"): EVERYBODYS,
}


def routes(prefix: str = "/", patterns: Any = None) -> Iterator[str]:
    """Return every path of the URL conf, its parameters in braces."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(path, pattern.url_patterns)
        elif isinstance(pattern, URLPattern):
            yield re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)


API_ROUTES = [route for route in routes() if route.startswith("/api/")]


@dataclass
class World:
    """A server, the people who call it, and what its documentation promises."""

    server: Server
    people: dict[str, Caller]
    token_id: str
    name: str  # of the account that is called `other`
    documented: dict[str, Any]
    session: requests.Session

    def make_poll(self, **fields: Any) -> dict[str, Any]:
        answer = self.call("owner", "POST", "/api/v1/polls/", {**NEW_POLL, **fields})
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def path(self, route: str, poll: dict[str, Any]) -> str:
        names = {"poll_id": poll["id"], "code": poll["join_code"], "token_id": self.token_id}
        names["username"] = self.name
        if "{event_id}" in route:
            answer = self.call("owner", "POST", "/api/v1/events/", {"title": "An evening"})
            names["event_id"] = answer.json()["id"]
        return route.format(**names)

    def call(self, person: str, method: str, path: str, body: Any = None) -> requests.Response:
        return self.session.request(
            method,
            self.server.url + path,
            json=body,
            headers=self.people[person].headers,
            allow_redirects=False,
            timeout=30,
        )

    def make_poll_that_is(self, status: str) -> dict[str, Any]:
        fields = {"draft": {"status": "draft"}, "scheduled": {"opens_at": "2098-01-01T00:00:00Z"}}
        poll = self.make_poll(**fields.get(status, {}))
        if status == "closed":
            self.call("owner", "POST", f"{poll['links']['self']}close/")
        return poll


@pytest.fixture(scope="module")
def world(live: Server) -> Iterator[World]:
    owner, name = live.sign_up(), f"other-{uuid.uuid4().hex[:12]}"
    other = live.sign_up(name)
    session = requests.Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # it forgets who it was
    spare = {"username": name, "password": PASSWORD}
    yield World(
        server=live,
        people={
            "owner": owner,
            "other": other,
            "voter": live.voter(),
            "nobody": Caller(live),
            "ended": Caller(live, {"Authorization": "Bearer poll_ended"}),
            "forged": Caller(live, {"X-Voter-Token": "x" * 44}),
        },
        token_id=other.post("/api/v1/auth/tokens/", spare).json()["id"],
        name=name,
        documented=session.get(f"{live.url}/swagger.json", timeout=30).json()["paths"],
        session=session,
    )
    session.close()


@functools.cache
def codes_in(description: str) -> frozenset[str]:
    return frozenset(re.findall("`([a-z_]+)`:", description))


def assert_headers(answer: requests.Response) -> None:
    """Check what every answer of the API carries."""
    headers = answer.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == API_POLICY
    assert headers["Referrer-Policy"] == "same-origin"
    assert re.fullmatch("[0-9a-f]{16}", headers["X-Request-ID"])
    cached = {"public, max-age=60"} if answer.ok else set()
    assert headers["Cache-Control"] in {"private, no-store", "no-store"} | cached
    assert "Server" not in headers
    if answer.status_code not in {204, 304}:
        kind = "application/json" if answer.ok else "application/problem+json"
        assert headers["Content-Type"] == kind


def assert_conforms(answer: requests.Response, path: str, documented: dict[str, Any]) -> None:
    """Check an answer of the API against the catalogue and its own documentation."""
    method = str(answer.request.method)
    status = answer.status_code
    assert_headers(answer)
    operation = documented.get("get" if method == "HEAD" else method.lower())
    if operation is None:
        assert status == 405
    if operation is not None and status != 405:
        assert str(status) in operation["responses"], (method, path, status)
    if status == 405:
        takes = {name.upper() for name in documented if name != "parameters"}
        takes |= {"HEAD"} & {"HEAD" for name in takes if name == "GET"}
        assert set(answer.headers["Allow"].split(", ")) == takes
    if status in {204, 304} or method == "HEAD":
        assert answer.content == b""
    elif status >= 400:
        body = answer.json()
        expected = problem(status, body["code"], path, body["detail"])
        assert body == expected | ({"errors": body["errors"]} if "errors" in body else {})
        assert CATALOGUE[Code(body["code"])].status == status
        retry_after = CATALOGUE[Code(body["code"])].retry_after
        assert answer.headers.get("Retry-After") == (retry_after and str(retry_after))
        if operation is not None:
            assert body["code"] in codes_in(operation["responses"][str(status)]["description"])


@pytest.mark.parametrize("body", [None, {"x": 1}], ids=["no body", "unknown field"])
@pytest.mark.parametrize(
    ("route", "status"),
    [
        (route, status)
        for route in API_ROUTES
        for status in (("open", "draft", "closed") if "{" in route else ("open",))
    ],
)
def test_every_method_of_every_route_answers_as_documented(
    world: World, route: str, status: str, body: dict[str, int] | None
) -> None:
    poll = world.make_poll_that_is(status)
    for person in PEOPLE:
        for method in METHODS:
            if person == "owner":  # who may have deleted, opened or closed the last one
                poll = world.make_poll_that_is(status)
            path = world.path(route, poll)
            answer = world.call(person, method, path, body)
            assert_conforms(answer, path, world.documented[route])


# -- whose call it is --------------------------------------------------------------------------


def test_every_call_on_a_poll_is_known_to_be_somebodys(world: World) -> None:
    base = "/api/v1/polls/{poll_id}/"
    documented = {
        (method.upper(), route.removeprefix(base))
        for route, operations in world.documented.items()
        if route.startswith(base)
        for method in operations
        if method != "parameters"
    }
    assert documented == set(CALLS)


def body_for(method: str, call: str, poll: dict[str, Any]) -> Any:
    choices = {"choices": [poll["options"][0]["id"]]}
    bodies = {
        ("PATCH", ""): {"title": "Mine!"},
        ("POST", "codes/"): {"count": 1},
        ("PUT", "members/{username}/"): {"role": "organiser"},
        ("POST", "votes/"): choices,
        ("PUT", "votes/"): choices,
    }
    return bodies.get((method, call))


@pytest.mark.parametrize("status", ["draft", "open", "scheduled", "closed"])
@pytest.mark.parametrize(
    ("method", "call"), [c for c, whose in CALLS.items() if whose != EVERYBODYS]
)
def test_owners_call_by_anybody_else_finds_nothing_and_changes_nothing(
    world: World, method: str, call: str, status: str
) -> None:
    poll = world.make_poll_that_is(status)
    before = world.call("owner", "GET", poll["links"]["self"]).json()
    path = poll["links"]["self"] + call.format(username=world.name)
    body = body_for(method, call, poll)
    assert_problem(world.call("other", method, path, body), 404, "not_found")
    for person in ("voter", "nobody"):
        answer = world.call(person, method, path, body)
        assert_problem(answer, 401, "authentication_required")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert world.call("owner", "GET", poll["links"]["self"]).json() == before
    assert before["title"] == "Lunch?"


@pytest.mark.parametrize("kind", ["draft", "unknown", "deleted"])
@pytest.mark.parametrize(("method", "call"), CALLS)
def test_draft_reads_as_a_poll_that_there_is_not(
    world: World, method: str, call: str, kind: str
) -> None:
    poll = world.make_poll(status="draft" if kind == "draft" else "open")
    path = poll["links"]["self"] + call.format(username=world.name)
    if kind == "unknown":
        path = path.replace(poll["id"], "01980c5e-8f00-7000-8000-0000000000a1")
    elif kind == "deleted":
        world.call("owner", "DELETE", poll["links"]["self"])
    body = body_for(method, call, poll)
    for person in ("other", "voter", "nobody"):
        answer = world.call(person, method, path, body)
        if CALLS[method, call] != EVERYBODYS and person != "other":
            assert_problem(answer, 401, "authentication_required")
        else:
            assert_problem(answer, 404, "not_found")


def test_tokens_of_another_account_cannot_be_reached(world: World) -> None:
    path = f"/api/v1/auth/tokens/{world.token_id}/"
    assert_problem(world.call("owner", "DELETE", path), 404, "not_found")
    for person in ("voter", "nobody"):
        assert_problem(world.call(person, "DELETE", path), 401, "authentication_required")
    assert world.call("other", "GET", "/api/v1/polls/").status_code == 200


# -- paths that there are not ------------------------------------------------------------------

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
UNKNOWN = [
    "/nowhere",
    "/nowhere/",
    "/p/",
    "/p/XXXXXX",
    "/docs/",
    "/docs",
    "/static/none.js",
    "/ws/",
]
UNKNOWN_API = [
    *("/api/", "/api", "/api/v1/", "/api/v2/polls/", "/api/v1/nowhere/"),
    *("/swagger.jsonx", "/asyncapi.yaml"),
]


@pytest.mark.parametrize("accept", ["*/*", "application/json", "", BROWSER])
@pytest.mark.parametrize("path", [*UNKNOWN, *UNKNOWN_API])
def test_unknown_path_is_told_in_the_form_that_the_client_reads(
    live: Server, path: str, accept: str
) -> None:
    answer = requests.get(live.url + path, headers={"Accept": accept}, timeout=30)
    if accept == BROWSER and path not in set(UNKNOWN_API) - {"/api"}:
        assert answer.status_code == 404
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "There is nothing here" in answer.text
    else:
        assert_problem(answer, 404, "not_found")


@pytest.mark.parametrize("accept", ["*/*", BROWSER])
@pytest.mark.parametrize("route", API_ROUTES)
def test_path_of_the_api_without_its_slash_is_unknown(
    world: World, route: str, accept: str
) -> None:
    path = world.path(route, world.make_poll()).removesuffix("/")
    answer = requests.get(
        world.server.url + path, headers={"Accept": accept}, allow_redirects=False, timeout=30
    )
    assert_problem(answer, 404, "not_found")


# -- pages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES[1:])
def test_page_with_the_other_ending_is_redirected_to_its_own(world: World, page: str) -> None:
    path = page.format(code=world.make_poll()["join_code"])
    other = path.removesuffix("/") if path.endswith("/") else f"{path}/"
    answer = world.call("nobody", "GET", other)
    assert (answer.status_code, answer.headers["Location"]) == (302, path)
    assert world.call("nobody", "GET", path).status_code == 200


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("page", PAGES)
def test_page_answers_every_method_by_the_catalogue(world: World, page: str, method: str) -> None:
    path = page.format(code=world.make_poll()["join_code"])
    answer = world.call("nobody", method, path)
    for name in ("X-Content-Type-Options", "Content-Security-Policy", "Referrer-Policy"):
        assert answer.headers[name]
    if method in {"GET", "HEAD"}:
        assert answer.status_code == 200
    elif method == "POST" and page in FORMS:
        assert_problem(answer, 403, "csrf_failed")
    else:
        assert_problem(answer, 405, "method_not_allowed")
        assert method not in answer.headers["Allow"].split(", ")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("page", DESK)
def test_page_of_the_desk_answers_nobody_by_the_catalogue(
    world: World, page: str, method: str
) -> None:
    path = world.path(page, world.make_poll())
    answer = world.call("nobody", method, path)
    assert answer.headers["Content-Security-Policy"]
    if method not in DESK[page]:
        if method != "HEAD":
            assert_problem(answer, 405, "method_not_allowed")
        assert answer.status_code == 405
        assert set(answer.headers["Allow"].split(", ")) == set(DESK[page])
    elif method == "POST":
        assert_problem(answer, 403, "csrf_failed")
    else:
        assert (answer.status_code, answer.headers["Location"]) == (
            302,
            f"/accounts/login?next={path}",
        )
        slashed = world.call("nobody", method, f"{path}/")
        assert (slashed.status_code, slashed.headers["Location"]) == (302, path)


def test_every_route_of_the_pages_is_walked() -> None:
    pages = {route.replace("{join_code}", "{code}") for route in routes()}
    rest = {route for route in pages if not route.startswith(("/api/", "/admin/"))}
    redirects = {
        route for route in rest if route.startswith("/^") or route in {"/swagger", "/redoc"}
    }
    # oEmbed needs an address to tell of: tests/web/test_embed.py.
    # Logging out, and the link of a mail: tests/web/test_accounts_pages.py.
    links = {route for route in rest if "/accounts/^" in route} | {"/accounts/logout"}
    assert rest - redirects - links == {*PAGES, *DESK, "/oembed"}
