"""Requests for results."""

from typing import Any

from tests.polls.two_doors import DEVICE, RESULTS, Text
from tests.polls.two_doors_rows import COOKIE, OWNER, Row

UNKNOWN = "01980c5e-8f00-7000-8000-0000000000a1"
CLOSED = "warm closed"


def _read(door: str, answer: str, name: str, *headers: Text, **more: Any) -> Row:
    fields = {"method": "GET", "target": RESULTS, "body": None, "happened": "warm", **more}
    return Row(f"results: {name}", door, answer, headers=headers, **fields)


def _at(door: str, answer: str, name: str, target: str, **more: Any) -> Row:
    return _read(door, answer, f"at {name}", target=target, **more)


def _known(door: str, answer: str, etag: Text, **more: Any) -> Row:
    lines = [b"If-None-Match: " + (etag if isinstance(etag, bytes) else etag.encode())]
    return _read(door, answer, f"known {etag!r} {more.get('happened', '')}", *lines, **more)


def _rule(door: str, answer: str, rule: str, happened: str, *headers: Text) -> Row:
    name = f"{rule}, {happened}, {' '.join(map(str, headers))}"
    fields = {"results_visibility": rule}
    return _read(door, answer, name, *headers, happened=happened, poll=fields)


READING = [
    _read("express", "200", "of an open poll"),
    _read("express", "200", "of nobody's votes", happened=""),
    _read("express", "200", "after a change", happened="warm edited"),
    _read("express", "200", "of a closed poll", happened=CLOSED),
    _read("express", "200", "of a certified poll", happened="warm closed certified"),
    _read("django", "200", "of an overdue poll", happened="warm overdue"),
    _read(
        "express",
        "200",
        "of a poll with a time to close",
        poll={"closes_at": "2098-01-01T00:00:00Z"},
    ),
    _read(
        "express",
        "200",
        "of a scheduled poll",
        happened="",
        poll={"opens_at": "2098-01-01T00:00:00Z"},
    ),
    _read("django", "404 not_found", "of a draft", happened="", poll={"status": "draft"}),
    _read("django", "200", "of a draft, owner", OWNER, happened="", poll={"status": "draft"}),
    _read("django", "404 not_found", "of a deleted poll", happened="warm deleted"),
    _read("express", "200", "to a voter", DEVICE, happened="warm voted"),
    _read("express", "200", "to a forged voter", "X-Voter-Token: <forged>"),
    _read("express", "200", "to a cookie", COOKIE),
    _read("express", "200", "to a page elsewhere", COOKIE, "Origin: https://evil.example"),
    _read("django", "200", "to an account", OWNER),
    _read(
        "django", "401 authentication_required", "to a forged account", "Authorization: Bearer x"
    ),
    _read("django", "200", "to a session", "Cookie: sessionid=<session>", happened="warm session"),
    _read("gate", "400 malformed", "to two voters", DEVICE, DEVICE),
    _read("express", "200", "as a page", "Accept: text/html", "Accept-Encoding: gzip"),
    _read("express", "200", "in part", "Range: bytes=0-1"),
    _read("express", "200", "with a type", "Content-Type: text/plain"),
    _read(
        "django", "400 malformed", "with a body", "Content-Type: application/json", body='{"x": 1}'
    ),
    _read("django", "200", "with an empty object", "Content-Type: application/json", body="{}"),
    _read("express", "200", "with an empty body", body=""),
    _read("django", "400 bad_host", "of another host", host="Host: evil.example"),
    _read(
        "django",
        "400 bad_host",
        "of another host, as JSON",
        "Accept: application/json",
        host="Host: evil.example",
    ),
    _at("django", "404 not_found", "an unknown id", RESULTS.replace("<poll>", UNKNOWN)),
    _at("django", "404 not_found", "no id", RESULTS.replace("<poll>", "x" * 36)),
    _at("django", "404 not_found", "no slash", RESULTS.rstrip("/")),
    _at("django", "404 not_found", "another slash", RESULTS + "/"),
    _at("django", "404 not_found", "an id in upper case", RESULTS.replace("<poll>", "<POLL>")),
    _at("django", "404 not_found", "an id in braces", RESULTS.replace("<poll>", "%7B<hex>%7D")),
    _at("express", "200", "a path with escapes", RESULTS.replace("results", "%72esults")),
    _at("django", "200", "a query", f"{RESULTS}?x=1"),
    _at("django", "400 malformed", "a query of two", f"{RESULTS}?x=1&x=2"),
    _at("django", "200", "a format", f"{RESULTS}?format=html"),
    *(
        _read(door, answer, method, method=method, happened="warm voted")
        for door, answer, method in (
            ("django", "200", "HEAD"),
            ("django", "405 method_not_allowed", "POST"),
            ("django", "405 method_not_allowed", "DELETE"),
            ("django", "405 method_not_allowed", "OPTIONS"),
        )
    ),
]

CACHES = [
    *(
        _known("express", answer, etag)
        for answer, etag in (
            ("304", '"<etag>"'),
            ("304", 'W/"<etag>"'),
            ("304", "*"),
            ("304", '"x", W/"y" , "<etag>"'),
            ("304", '  "<etag>"'),
            ("200", '"<hex>-1-u"'),
            ("200", '"<etag>x"'),
            ("200", "<etag>"),
            ("200", '"*"'),
            ("200", ""),
            ("200", "W/*"),
            ("200", '"<etag>'),
            ("200", b'"\xff"'),
            ("304", b'"\xff", "<etag>"'),
        )
    ),
    _known("express", "304", '"<etag>"', happened=CLOSED),
    _known("express", "304", '"<etag>"', happened="warm closed certified"),
    _known("django", "304", "*", happened="warm overdue"),
    _read("express", "304", "known in two", 'If-None-Match: "x"', 'If-None-Match: "<etag>"'),
    _read("express", "200", "matched", "If-Match: x", "If-Modified-Since: Sat, 01 Jan 2000"),
    _read("django", "304", "known to an account", OWNER, 'If-None-Match: "<etag>"'),
    _read("django", "304", "known, with a query", "If-None-Match: *", target=f"{RESULTS}?x"),
    _read("django", "304", "known, HEAD", "If-None-Match: *", method="HEAD"),
]

RULES = [
    _rule("django", "403 results_hidden", "after_vote", "warm"),
    _rule("django", "403 results_hidden", "after_vote", "warm", DEVICE),
    _rule("django", "200", "after_vote", "warm voted", DEVICE),
    _rule("django", "200", "after_vote", "warm voted", COOKIE),
    _rule("django", "304", "after_vote", "warm voted", DEVICE, "If-None-Match: *"),
    _rule("django", "403 results_hidden", "after_vote", "warm", "If-None-Match: *"),
    _rule("express", "200", "after_vote", CLOSED),
    _rule("django", "403 results_hidden", "after_close", "warm voted", DEVICE),
    _rule("express", "200", "after_close", CLOSED),
    _rule("django", "200", "after_close", "warm", OWNER),
    _rule("django", "403 results_hidden", "owner", "warm"),
    _rule("django", "403 results_hidden", "owner", CLOSED),
    _rule("django", "200", "owner", "warm", OWNER),
]
