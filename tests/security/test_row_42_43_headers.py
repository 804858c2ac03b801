"""Rows 42 and 43: what every answer says to browsers, whoever answers and whatever happened."""

import re
from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

import pytest
import requests

from tests.live import Caller
from tests.polls.wire import ask, head
from tests.security.places import HTTPS, PARTNER, Names, PublicServer, addresses, names_of

METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PROPFIND")
DOCS = {"/swagger/", "/redoc/"}
DOCS_POLICY = {
    "style-src": "'self' 'unsafe-inline'",
    "script-src": "'self'",
    "worker-src": "blob:",
    "frame-ancestors": "'none'",
}
HSTS = "max-age=31536000; includeSubDomains; preload"


@pytest.fixture(scope="module")
def public() -> Iterator[PublicServer]:
    """The service as it stands in public."""
    with PublicServer() as server:
        yield server


@pytest.fixture(scope="module")
def owner(public: PublicServer) -> Caller:
    return public.sign_up()


@pytest.fixture(scope="module")
def names(owner: Caller) -> Names:
    return names_of(owner)


def policy_of(headers: Any) -> dict[str, str]:
    """Return the directives of an answer's Content-Security-Policy."""
    parts = (part.strip().partition(" ") for part in headers["Content-Security-Policy"].split(";"))
    return {name: value for name, _, value in parts}


def faults_of(headers: Any, *, secure: bool, path: str = "") -> list[str]:
    """Return what an answer lacks."""
    wanted = {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        **({"Strict-Transport-Security": HSTS} if secure else {}),
    }
    found = [name for name, value in wanted.items() if headers.get(name) != value]
    if "Server" in headers:
        found.append("Server")
    if "Content-Security-Policy" not in headers:
        return [*found, "Content-Security-Policy"]
    policy = policy_of(headers)
    embed = path.startswith("/embed/") and policy.get("frame-ancestors") == "'self'"
    if policy.get("frame-ancestors") != "'none'" and not embed:
        found.append("frame-ancestors")
    if not embed and headers.get("X-Frame-Options") != "DENY":
        found.append("X-Frame-Options")
    if path in DOCS:
        found += [name for name, value in DOCS_POLICY.items() if policy.get(name) != value]
    elif "'unsafe-inline'" in str(policy) or policy.get("default-src") != "'none'":
        found.append("unsafe")
    if any(word in policy.get("script-src", "") for word in ("unsafe", "*", "data:", "http")):
        found.append("script-src")
    return found


@pytest.mark.parametrize(
    "name",
    [
        *("X-Content-Type-Options", "Referrer-Policy", "Strict-Transport-Security"),
        *("Content-Security-Policy", "X-Frame-Options"),
    ],
)
def test_row_42_header_that_is_missing_would_be_noticed(public: PublicServer, name: str) -> None:
    headers = Caller(public, HTTPS).get("/").headers
    assert faults_of(headers, secure=True) == []
    del headers[name]
    assert faults_of(headers, secure=True) == [name]


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize("method", METHODS)
def test_row_42_every_route_answers_with_every_header(
    public: PublicServer, owner: Caller, names: Names, method: str, accept: str
) -> None:
    found = {}
    who = owner if method in {"GET", "HEAD", "OPTIONS"} else Caller(public, HTTPS)
    for path in addresses(names):
        answer = requests.request(
            method,
            public.url + path,
            headers={**who.headers, "Accept": accept},
            allow_redirects=False,
            timeout=30,
        )
        assert answer.status_code < 500, path
        # The pages of the documentation, and frames, have a policy of their own where they answer.
        faults = [faults_of(answer.headers, secure=True, path=of) for of in ("", path)]
        if all(faults):
            found[path] = (answer.status_code, faults)
    assert found == {}


def _odd_requests(names: Names) -> dict[str, tuple[str, str, dict[str, str], bytes]]:
    """Return what is answered by something else than Django or the express door."""
    vote = names.poll["links"]["vote"]
    return {
        "health": ("GET", "/livez", {}, b""),
        "readiness": ("GET", "/readyz", {}, b""),
        "health by another method": ("POST", "/livez", {}, b""),
        "own file": ("GET", "/static/web/js/frame.js", {}, b""),
        "file of a package": ("GET", "/static/admin/css/base.css", {}, b""),
        "file that there is not": ("GET", "/static/none.js", {}, b""),
        "unknown path": ("GET", "/nowhere", {}, b""),
        "unknown path of the API": ("GET", "/api/v1/nowhere/", {}, b""),
        "wrong host": ("GET", "/", {"Host": "elsewhere.example"}, b""),
        "odd header": ("GET", "/", {"X_Y": "1"}, b""),
        "NUL in the address": ("GET", "/?x=%00", {}, b""),
        "body too long": ("POST", vote, {"Content-Type": "application/json"}, b"x" * 70_000),
        "body that is none": ("POST", vote, {"Content-Type": "application/json"}, b"{"),
        "body of another type": ("POST", vote, {"Content-Type": "text/plain"}, b"x"),
        "results": ("GET", names.poll["links"]["results"], {}, b""),
        "results that are known": (
            *("GET", names.poll["links"]["results"]),
            *({"If-None-Match": "*"}, b""),
        ),
        "grant of a preflight": (
            *("OPTIONS", "/api/v1/voters/"),
            {"Origin": PARTNER, "Access-Control-Request-Method": "POST"},
            b"",
        ),
        "refusal of a preflight": (
            *("OPTIONS", "/api/v1/voters/"),
            {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
            b"",
        ),
        "answer to another site": ("GET", "/api/v1/limits/", {"Origin": PARTNER}, b""),
        "path of sockets": ("GET", "/ws/", {}, b""),
    }


def test_row_42_answers_past_django_have_the_same_headers(
    public: PublicServer, names: Names
) -> None:
    found = {}
    for name, (method, path, headers, body) in _odd_requests(names).items():
        answer = requests.request(
            method,
            public.url + path,
            data=body,
            headers={**HTTPS, **headers},
            allow_redirects=False,
            timeout=30,
        )
        if faults := faults_of(answer.headers, secure=True):
            found[name] = (answer.status_code, faults)
    assert found == {}


def test_row_42_votes_of_the_express_door_have_the_same_headers(
    public: PublicServer, names: Names
) -> None:
    voter = public.voter()
    answers = [voter.vote(names.poll, 0) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 409]
    assert [faults_of(answer.headers, secure=True) for answer in answers] == [[], []]


def test_row_42_what_is_no_http_is_refused_with_the_same_headers(public: PublicServer) -> None:
    # By whom it comes nobody can say, so HSTS is left out.
    for sent in (b"\x16\x03\x01\r\n\r\n", head("GET", "/", "No colon"), head("FOO", "/")):
        answer = ask(public, sent)
        assert answer.status == 400
        assert faults_of(answer.headers, secure=False) == []


def test_row_42_redirect_to_https_and_plain_answers_do_without_hsts(public: PublicServer) -> None:
    answer = requests.get(public.url, allow_redirects=False, timeout=30)
    assert (answer.status_code, answer.headers["Location"][:8]) == (301, "https://")
    assert faults_of(answer.headers, secure=False) == []
    assert "Strict-Transport-Security" not in answer.headers


def _handshake(path: str, *headers: str) -> bytes:
    upgrade = ("Upgrade: websocket", "Connection: Upgrade")
    return head("GET", path, *upgrade, *headers)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"), 403),
        (("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 12"), 400),
        (("Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"), 400),
        (("Sec-WebSocket-Version: 13",), 400),
    ],
    ids=["foreign origin", "other version", "bad key", "no key"],
)
def test_row_42_handshake_that_is_refused_has_the_same_headers(
    public: PublicServer, headers: tuple[str, ...], status: int
) -> None:
    answer = ask(public, _handshake("/ws/", "Origin: https://evil.example", *headers))
    assert answer.status == status
    assert faults_of(answer.headers, secure=False) == []


# -- 43: policies of their own, and cookies -----------------------------------------------------


@pytest.mark.parametrize("page", sorted(DOCS))
def test_row_43_documentation_has_one_policy_of_its_own_and_no_inline_script(
    public: PublicServer, page: str
) -> None:
    answer = requests.get(public.url + page, headers=HTTPS, timeout=30)
    assert faults_of(answer.headers, secure=True, path=page) == []
    scripts = re.findall(r"<script\b([^>]*)>(.*?)</script>", answer.text, re.DOTALL)
    assert scripts
    # What holds data is no script: its type names another kind.
    inline = [tag for tag, _ in scripts if "src=" not in tag and "json" not in tag]
    assert inline == []
    assert re.findall(r"\son\w+=", answer.text) == []


def test_row_43_frame_is_for_the_pages_that_the_owner_names_alone(
    public: PublicServer, owner: Caller
) -> None:
    poll = owner.make_poll(embed_origins=["https://news.example"])
    answer = Caller(public, HTTPS).get(f"/embed/{poll['join_code']}")
    assert policy_of(answer.headers)["frame-ancestors"] == "'self' https://news.example"
    assert "X-Frame-Options" not in answer.headers
    page = Caller(public, HTTPS).get(f"/p/{poll['join_code']}")
    assert policy_of(page.headers)["frame-ancestors"] == "'none'"


def _cookies(answer: requests.Response) -> SimpleCookie:
    found = SimpleCookie()
    for name, value in answer.raw.headers.items():
        if name.lower() == "set-cookie":
            found.load(value)
    return found


def test_row_43_every_cookie_is_secure_closed_to_scripts_and_of_this_host(
    public: PublicServer, owner: Caller, names: Names
) -> None:
    found = SimpleCookie()
    browser = requests.Session()
    browser.headers.update({**HTTPS, "Host": "localhost", "Accept": "text/html"})
    for path in addresses(names):
        found.update(_cookies(browser.get(public.url + path, allow_redirects=False, timeout=30)))
    found.update(_cookies(owner.post("/api/v1/voters/")))
    csrf = found["__Host-csrftoken"].value
    form = {"login": "owner", "password": "correct horse battery staple"}
    answer = browser.post(
        f"{public.url}/accounts/login",
        {**form, "csrfmiddlewaretoken": csrf},
        headers={"Cookie": f"__Host-csrftoken={csrf}", "Referer": "https://localhost/"},
        allow_redirects=False,
        timeout=30,
    )
    assert answer.status_code == 302, answer.text
    found.update(_cookies(answer))
    assert set(found) == {"__Host-csrftoken", "__Host-sessionid", "__Host-voter"}
    for name, cookie in found.items():
        assert (cookie["secure"], cookie["httponly"]) == (True, True), name
        assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("Lax", "/", ""), name
