"""What a real server makes of requests before Django sees them: odd headers and addresses."""

import json
import re
import sqlite3
from contextlib import closing
from typing import Any

import psycopg2
import pytest
import requests

from tests.cast import assert_problem, problem
from tests.live import Caller, Server
from tests.polls.doors import Stage
from tests.polls.wire import PATIENCE, ask, assert_refused, head

LIMITS = "/api/v1/limits/"

# -- headers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "X_Voter_Token",
        "Idempotency_Key",
        "CONTENT_LENGTH",
        "Authorization_",
        "_x",
        "X-Forwarded_For",
    ],
)
def test_header_whose_name_holds_an_underscore_is_refused(live: Server, name: str) -> None:
    answer = ask(live, head("GET", LIMITS, f"{name}: 1"))
    detail = "A header's name holds an underscore."
    assert_refused(answer, problem(400, "malformed", LIMITS, detail))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", "Bearer x"),
        ("Content-Encoding", "identity"),
        ("Content-Type", "application/json"),
        ("Cookie", "voter=x"),
        ("Host", "127.0.0.1"),
        ("Idempotency-Key", "0123456789abcdef"),
        ("Origin", "http://127.0.0.1"),
        ("X-Voter-Token", "x"),
    ],
)
def test_row_17_header_that_decides_something_is_refused_twice(
    live: Server, name: str, value: str
) -> None:
    twice = [f"{name}: {value}", f"{name.upper()}: other"]
    answer = ask(live, head("GET", LIMITS, *twice))
    detail = f"{name.lower()} comes more than once."
    assert_refused(answer, problem(400, "malformed", LIMITS, detail))


def test_header_that_is_a_list_may_come_in_parts(live: Server) -> None:
    parts = ["Accept: text/html", "Accept: */*", 'If-None-Match: "a"', 'If-None-Match: "b"']
    assert ask(live, head("GET", LIMITS, *parts)).status == 200


@pytest.mark.parametrize(
    "header",
    [
        b"X-Voter-Token: \xff\xfe",
        b"Authorization: Bearer \xff",
        b"Cookie: voter=\xff; sessionid=\xfe",
        b"Idempotency-Key: \xe4bcdefghijklmnopqrst",
        b"Origin: \xff",
        b"If-None-Match: \xff",
        b"Accept: \xff",
        b"Content-Type: \xff",
        b"X-Forwarded-For: \xff",
    ],
)
def test_row_30_header_of_bytes_that_are_no_text_never_breaks_anything(
    stage: Stage, header: bytes
) -> None:
    vote = "/api/v1/polls/{poll}/votes/".format(**stage.names)
    body = b'{"choices": ["x"]}'
    length = f"Content-Length: {len(body)}"
    headers: list[str | bytes] = [header, length]
    if not header.startswith(b"Content-Type"):
        headers.append("Content-Type: application/json")
    assert 400 <= ask(stage.server, head("POST", vote, *headers) + body).status < 500
    assert ask(stage.server, head("GET", vote, header)).status < 500


def test_request_id_is_the_servers_own_and_new_each_time(live: Server) -> None:
    answers = [ask(live, head("GET", LIMITS, "X-Request-ID: mine")) for _ in range(3)]
    ids = [answer.headers["X-Request-ID"] for answer in answers]
    assert len(set(ids)) == 3
    assert all(re.fullmatch("[0-9a-f]{16}", found) for found in ids)


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "a b", "127.0.0.1:x", ""]
)
def test_host_that_is_not_ours_is_refused(live: Server, host: str) -> None:
    sent = head("GET", "/api/v1/polls/").replace(b"127.0.0.1", host.encode())
    assert_refused(ask(live, sent), problem(400, "bad_host", "/api/v1/polls/"))
    page = head("GET", "/", "Accept: text/html").replace(b"127.0.0.1", host.encode())
    answer = ask(live, page)
    assert (answer.status, answer.headers.get_content_type()) == (400, "text/html")


# -- addresses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/api/v1/join/%00/", "/api/v1/join/%00/"),
        ("/api/v1/join/A%00A/", "/api/v1/join/A%00A/"),
        ("/%00", "/%00"),
        (f"{LIMITS}?x=%00", LIMITS),
        (f"{LIMITS}?%00", LIMITS),
    ],
)
def test_row_30_address_that_holds_a_nul_is_refused(live: Server, target: str, path: str) -> None:
    detail = "The URL holds a character that cannot be read."
    assert_refused(ask(live, head("GET", target)), problem(400, "malformed", path, detail))


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/join/%C3%A4/",
        "/api/v1/join/%E2%80%AE/",
        "/api/v1/join/%0A/",
        "/api/v1/join/" + "A" * 4000 + "/",
        "/api/v1/join/" + "%F0%9F%8D%95" * 300 + "/",
        "//api/v1/limits/",
        "/api/v1/../v1/polls/x/",
        "/api/v1/limits",
    ],
)
def test_address_that_leads_nowhere_is_not_found(live: Server, target: str) -> None:
    assert_refused(ask(live, head("GET", target)), problem(404, "not_found", target))


@pytest.mark.parametrize(
    "target",
    [
        b"/api/v1/join/\xc3\xa4/",
        b"/api/v1/join/\xff/",
        b"/api/v1/limits/?x=\xff",
        b"/api/v1/limits/\x7f",
        b"/api/v1/join/%ff/",
        b"/api/v1/polls/?cursor=%ff",
        b"/api/v1/join/" + b"A" * 200_000 + b"/",
        b"/api/v1/polls/?cursor=" + b"A" * 50_000,
        b"*",
        b"api/v1/limits/",
    ],
)
def test_address_that_is_none_is_the_clients_fault(live: Server, target: bytes) -> None:
    assert 400 <= ask(live, head("GET", target)).status < 500


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        (head("FOO", LIMITS), None),
        (head("GET", b"/api/v1/limits/\xff"), None),
        (head("GET", LIMITS, b"Idempotency-Key: \x7f" + b"x" * 20), LIMITS),
        (head("GET", LIMITS, "Content-Length: abc"), LIMITS),
        (head("GET", LIMITS, "Content-Length: -1"), LIMITS),
        (head("GET", LIMITS, "Content-Length: 1", "Content-Length: 1"), LIMITS),
        (head("GET", LIMITS, "No colon"), LIMITS),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", None),  # TLS
    ],
)
def test_what_cannot_be_parsed_is_a_problem_too(
    live: Server, sent: bytes, path: str | None
) -> None:
    answer = ask(live, sent)
    body = json.loads(answer.body)
    detail = "This is no HTTP request: its method, URL, headers or chunks cannot be parsed."
    assert_refused(answer, problem(400, "malformed", path or body["instance"], detail))
    assert answer.headers["Connection"] == "close"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_row_34_more_parameters_than_anybody_needs_are_refused(live: Server) -> None:
    query = "&".join(f"p{number}=1" for number in range(2000))
    answer = ask(live, head("GET", f"{LIMITS}?{query}"))
    assert_refused(answer, problem(400, "malformed", LIMITS))


@pytest.mark.parametrize("method", ["FOO", "G\u00c4T", "get", ""])
def test_method_that_http_does_not_know_is_the_clients_fault(live: Server, method: str) -> None:
    sent = head("GET", LIMITS).replace(b"GET", method.encode("latin-1"), 1)
    assert 400 <= ask(live, sent).status < 500


# -- everything else ---------------------------------------------------------------------------


def test_answer_grants_no_other_origin_anything(live: Server) -> None:
    poll = live.sign_up().make_poll()
    for path in (LIMITS, poll["links"]["results"], "/livez"):
        for method in ("GET", "OPTIONS"):
            headers = ["Origin: https://evil.example", "Access-Control-Request-Method: POST"]
            answer = ask(live, head(method, path, *headers), method)
            assert [name for name in answer.headers if name.lower().startswith("access-")] == []


@pytest.fixture
def broken_poll(live: Server) -> dict[str, Any]:
    """A poll whose key has gone from the database: nothing that the code expects."""
    poll = live.sign_up().make_poll()
    url = live.environment.get("DATABASE_URL")
    if url:
        with (
            closing(psycopg2.connect(url)) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("DELETE FROM polls_pollkey WHERE poll_id = %s", [poll["id"]])
    else:
        with closing(sqlite3.connect(f"{live.folder}/polls.sqlite3", timeout=10)) as file, file:
            key = poll["id"].replace("-", "")
            file.execute("DELETE FROM polls_pollkey WHERE poll_id = ?", [key])
    return poll


def test_unexpected_fault_tells_an_id_to_search_the_log_for_and_nothing_else(
    live: Server, broken_poll: dict[str, Any]
) -> None:
    answer = live.voter().vote(broken_poll, 0)
    found = answer.headers["X-Request-ID"]
    assert_problem(answer, 500, "internal_error", detail=f"The log knows it as {found}.")
    log = live.log.read_text()
    assert f"Request {found} failed: {broken_poll['links']['vote']}" in log
    assert "Traceback (most recent call last)" in log


def test_answer_that_has_no_body_has_no_length(live: Server) -> None:
    owner = live.sign_up()
    poll = owner.make_poll()
    etag = owner.get(poll["links"]["results"]).headers["ETag"]
    same = owner.get(poll["links"]["results"], If_None_Match=etag)
    gone = owner.call("DELETE", poll["links"]["self"])
    assert (same.status_code, gone.status_code) == (304, 204)
    for answer in (same, gone):
        assert "Content-Length" not in answer.headers
        assert "Transfer-Encoding" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health_is_told(live: Server, method: str, *, on_postgres: bool) -> None:
    anybody = Caller(live)
    ready = {"status": "ok", "database": "ok", "redis": "ok" if on_postgres else "none"}
    for path, body in (("/livez", {"status": "ok"}), ("/readyz", ready)):
        answer = anybody.call(method, path)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Type"] == "application/json"
        if method == "GET":
            assert answer.json() == body


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_health_takes_no_other_method(live: Server, path: str, method: str) -> None:
    answer = requests.request(method, live.url + path, timeout=PATIENCE)
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD"
