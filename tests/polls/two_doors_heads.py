"""Votes of everybody, and sent in every way."""

from tests.polls.two_doors import DEVICE, FIRST, JSON
from tests.polls.two_doors_rows import COOKIE, HOST, OWN_PAGE, OWNER, Row, head

WHO = [
    head("django", "401 voter_token_required", "no token", JSON),
    head("django", "401 voter_token_invalid", "forged token", JSON, "X-Voter-Token: <forged>"),
    head("django", "401 voter_token_required", "empty token", JSON, "X-Voter-Token:"),
    head(
        "django", "401 voter_token_invalid", "token not ASCII", JSON, b"X-Voter-Token: \xff<token>"
    ),
    head("express", "201", "token between spaces", JSON, "X-Voter-Token:   <token>"),
    head("gate", "400 malformed", "two tokens", JSON, DEVICE, DEVICE),
    head("express", "201", "cookie from our page", JSON, COOKIE, OWN_PAGE),
    head("express", "201", "cookie from our origin", JSON, COOKIE, "Origin: http://127.0.0.1"),
    head("django", "403 csrf_failed", "cookie of a program", JSON, COOKIE),
    head(
        "django",
        "403 csrf_failed",
        "cookie from elsewhere",
        JSON,
        COOKIE,
        "Sec-Fetch-Site: cross-site",
    ),
    head(
        "django",
        "403 csrf_failed",
        "cookie from a sister",
        JSON,
        COOKIE,
        "Sec-Fetch-Site: same-site",
    ),
    head(
        "django",
        "403 csrf_failed",
        "cookie from another origin",
        JSON,
        COOKIE,
        "Origin: https://127.0.0.1",
    ),
    head("django", "403 csrf_failed", "cookie from nowhere", JSON, COOKIE, "Origin: null"),
    head(
        "django",
        "401 voter_token_invalid",
        "forged cookie",
        JSON,
        "Cookie: voter=<forged>",
        OWN_PAGE,
    ),
    head("django", "401 voter_token_required", "empty cookie", JSON, "Cookie: voter=", OWN_PAGE),
    head("express", "201", "cookie in quotes", JSON, 'Cookie: voter="<token>"', OWN_PAGE),
    head("express", "201", "cookie among others", JSON, "Cookie: a=b; voter=<token>; c", OWN_PAGE),
    head("express", "201", "cookie twice", JSON, "Cookie: voter=<forged>; voter=<token>", OWN_PAGE),
    head(
        "django",
        "401 voter_token_required",
        "cookie of HTTPS",
        JSON,
        "Cookie: __Host-voter=<token>",
        OWN_PAGE,
    ),
    head(
        "django", "201", "cookies not ASCII", JSON, b"Cookie: x=\xc3\xa9; voter=<token>", OWN_PAGE
    ),
    head("express", "201", "token and cookie", JSON, DEVICE, "Cookie: voter=<forged>", OWN_PAGE),
    head(
        "express", "201", "token and cookie from elsewhere", JSON, DEVICE, "Cookie: voter=<forged>"
    ),
    head(
        "django",
        "401 voter_token_invalid",
        "forged token and cookie",
        JSON,
        "X-Voter-Token: <forged>",
        COOKIE,
        OWN_PAGE,
    ),
    head(
        "django",
        "401 voter_token_required",
        "empty token and cookie",
        JSON,
        "X-Voter-Token:",
        COOKIE,
        OWN_PAGE,
    ),
    head(
        "express",
        "201",
        "open poll, cookie from elsewhere",
        JSON,
        COOKIE,
        poll={"identity": "open"},
    ),
    head(
        "express",
        "201",
        "open poll, forged token",
        JSON,
        "X-Voter-Token: <forged>",
        poll={"identity": "open"},
    ),
    head("django", "201", "no such session", JSON, DEVICE, "Cookie: sessionid=nonsense"),
    head(
        "django",
        "201",
        "session and token",
        JSON,
        DEVICE,
        "Cookie: sessionid=<session>",
        happened="warm session",
    ),
    head(
        "django",
        "403 csrf_failed",
        "session in a poll for accounts",
        JSON,
        DEVICE,
        "Cookie: sessionid=<session>",
        poll={"identity": "account"},
        happened="warm session",
    ),
    *(
        head("express", "201", f"CSRF cookie {value}", JSON, DEVICE, f"Cookie: csrftoken={value}")
        for value in ("a" * 32, "a" * 64)
    ),
    head("django", "201", "account and token", JSON, DEVICE, OWNER),
    head(
        "django",
        "401 authentication_required",
        "forged account",
        JSON,
        DEVICE,
        "Authorization: Bearer x",
    ),
    head(
        "django",
        "401 authentication_required",
        "another scheme",
        JSON,
        DEVICE,
        "Authorization: Basic eDp4",
    ),
    head("django", "401 authentication_required", "empty account", JSON, DEVICE, "Authorization:"),
    head(
        "django",
        "401 authentication_required",
        "forged account in an open poll",
        JSON,
        "Authorization: Bearer x",
        poll={"identity": "open"},
    ),
]

WAYS = [
    *(
        head(door, answer, f"host {host!r}", JSON, DEVICE, host=b"Host: " + host)
        for door, answer, host in (
            ("express", "201", b"localhost:1"),
            ("express", "201", b"LOCALHOST"),
            ("express", "201", b"127.0.0.1."),
            ("express", "201", b"[::1]:8000"),
            ("django", "400 bad_host", b"evil.example"),
            ("django", "400 bad_host", b"127.0.0.1:x"),
            ("django", "400 bad_host", b"\xff"),
            ("django", "400 bad_host", b""),
        )
    ),
    head(
        "express",
        "201",
        "our origin by another name",
        JSON,
        COOKIE,
        "Origin: http://localhost:1",
        host="Host: localhost:1",
    ),
    head("gate", "400 malformed", "two hosts", JSON, DEVICE, HOST),
    head("gate", "400 malformed", "underscore", JSON, DEVICE, "X_Voter_Token: x"),
    head("express", "201", "another method's name", JSON, DEVICE, "X-HTTP-Method-Override: DELETE"),
    head(
        "express",
        "201",
        "another host's name",
        JSON,
        DEVICE,
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Proto: https",
    ),
    head(
        "express",
        "201",
        "wishes",
        JSON,
        DEVICE,
        "Accept: text/html",
        "Accept-Language: de",
        "Accept-Encoding: gzip",
        "Range: bytes=0-1",
    ),
    head("express", "201", "conditions", JSON, DEVICE, "If-None-Match: *", "If-Match: x"),
    head("express", "201", "last of a connection", JSON, DEVICE, "Connection: close"),
    *(
        Row(
            f"method: {method} {happened} {body}",
            "django",
            answer,
            body,
            happened=happened,
            method=method,
        )
        for method, answer, body, happened in (
            ("GET", "200", None, "warm"),
            ("GET", "200", None, "warm voted"),
            ("GET", "400 malformed", FIRST, "warm"),
            ("HEAD", "200", None, "warm voted"),
            ("PUT", "409 change_not_allowed", FIRST, "warm voted"),
            ("PUT", "400 malformed", "[]", "warm"),
            ("DELETE", "409 change_not_allowed", None, "warm"),
            ("PATCH", "405 method_not_allowed", FIRST, "warm"),
            ("OPTIONS", "405 method_not_allowed", None, "warm"),
        )
    ),
]
