"""Votes that are replaced."""

from typing import Any

from tests.polls.two_doors import DEVICE, FIRST, JSON, KEY, VOTES, Text
from tests.polls.two_doors_rows import COOKIE, OWN_PAGE, OWNER, Row, keyed

SECOND = '{"choices": ["<1>"]}'
OTHER_KEY = "Idempotency-Key: <other_key>"
CHANGEABLE: dict[str, Any] = {"allow_change": True}
UNKNOWN = VOTES.replace("<poll>", "01980c5e-8f00-7000-8000-0000000000a1")


def _put(door: str, answer: str, name: str, happened: str, *headers: Text, **more: Any) -> Row:
    fields: dict[str, Any] = {"poll": CHANGEABLE, "body": SECOND, **more}
    return Row(
        f"PUT: {name}",
        door,
        answer,
        headers=headers or (JSON, DEVICE),
        happened=happened,
        method="PUT",
        **fields,
    )


PUTS = [
    _put("express", "200", "plain", "warm voted"),
    _put("express", "200", "with a key", "warm voted", JSON, DEVICE, OTHER_KEY),
    _put(
        "express",
        "200",
        "same ballot, other key",
        "warm voted",
        JSON,
        DEVICE,
        OTHER_KEY,
        body=FIRST,
    ),
    _put("express", "200", "key of the vote, same ballot", "warm voted", *keyed(), body=FIRST),
    _put("express", "422 idempotency_key_reused", "key of the vote", "warm voted", *keyed()),
    _put("express", "200", "again", "warm voted replaced", JSON, DEVICE, OTHER_KEY),
    _put(
        "express",
        "200",
        "again after closing",
        "warm voted replaced closed",
        JSON,
        DEVICE,
        OTHER_KEY,
    ),
    _put(
        "express",
        "200",
        "again when replaced since",
        "warm voted replaced replaced_since",
        JSON,
        DEVICE,
        OTHER_KEY,
    ),
    _put(
        "express",
        "200",
        "again when withdrawn since",
        "warm voted replaced withdrawn_since",
        JSON,
        DEVICE,
        OTHER_KEY,
    ),
    _put(
        "express",
        "422 idempotency_key_reused",
        "its key, other ballot",
        "warm voted replaced",
        JSON,
        DEVICE,
        OTHER_KEY,
        body=FIRST,
    ),
    _put(
        "express",
        "422 idempotency_key_reused",
        "key of a withdrawal",
        "warm voted withdrawn",
        JSON,
        DEVICE,
        OTHER_KEY,
    ),
    _put("express", "200", "after a withdrawal", "warm voted withdrawn"),
    _put("express", "404 no_vote", "without a vote", "warm"),
    _put("express", "404 no_vote", "without a vote, with a key", "warm", *keyed()),
    _put("express", "404 no_vote", "not voted in lately", ""),
    _put("express", "410 poll_closed", "closed", "warm voted closed"),
    _put("express", "410 poll_closed", "closed, without a vote", "warm closed"),
    _put("express", "410 poll_closed", "overdue", "warm voted overdue"),
    _put("express", "404 not_found", "deleted just now", "warm voted deleted"),
    _put("django", "404 not_found", "deleted", "deleted"),
    _put("django", "404 not_found", "unknown", "", target=UNKNOWN),
    _put("django", "200", "stale", "warm voted edited"),
    _put("django", "404 no_vote", "stale, without a vote", "warm edited"),
    _put(
        "django",
        "409 poll_not_open",
        "scheduled",
        "",
        poll={**CHANGEABLE, "opens_at": "2098-01-01T00:00:00Z"},
    ),
    _put("django", "404 not_found", "draft", "", poll={**CHANGEABLE, "status": "draft"}),
    _put("django", "409 change_not_allowed", "not allowed", "warm voted", poll={}),
    _put("django", "409 change_not_allowed", "not allowed, closed", "warm voted closed", poll={}),
    _put(
        "django",
        "409 change_not_allowed",
        "not allowed, unknown option",
        "warm voted",
        poll={},
        body='{"choices": ["x"]}',
    ),
    _put("django", "409 change_not_allowed", "secret", "warm voted", poll={"secrecy": "secret"}),
    _put(
        "django",
        "409 change_not_allowed",
        "open identity",
        "warm voted",
        JSON,
        KEY,
        poll={"identity": "open"},
    ),
    _put("django", "401 voter_token_required", "no token", "warm voted", JSON),
    _put(
        "django",
        "401 voter_token_invalid",
        "forged token",
        "warm voted",
        JSON,
        "X-Voter-Token: <forged>",
    ),
    _put("express", "200", "cookie from our page", "warm voted", JSON, COOKIE, OWN_PAGE),
    _put("django", "403 csrf_failed", "cookie from elsewhere", "warm voted", JSON, COOKIE),
    _put("django", "200", "account and token", "warm voted", JSON, DEVICE, OWNER),
    _put(
        "django",
        "401 authentication_required",
        "account",
        "warm",
        poll={**CHANGEABLE, "identity": "account"},
    ),
    _put("django", "400 malformed", "short key", "warm voted", JSON, DEVICE, "Idempotency-Key: x"),
    _put("django", "400 invalid_ballot", "unknown option", "warm voted", body='{"choices": ["x"]}'),
    _put(
        "django", "400 invalid_ballot", "too many", "warm voted", body='{"choices": ["<0>", "<1>"]}'
    ),
    _put("django", "400 malformed", "unknown field", "warm voted", body='{"choice": 1}'),
    _put("django", "400 malformed", "no body", "warm voted", body=None),
    _put(
        "django",
        "415 unsupported_media_type",
        "a form",
        "warm voted",
        "Content-Type: application/x-www-form-urlencoded",
        DEVICE,
    ),
    _put("django", "415 unsupported_media_type", "no type", "warm voted", DEVICE),
    _put(
        "django",
        "200",
        "another charset",
        "warm voted",
        "Content-Type: application/json; charset=latin-1",
        DEVICE,
    ),
    _put("django", "200", "a query", "warm voted", target=f"{VOTES}?x=1"),
    _put(
        "express",
        "200",
        "two of several",
        "warm voted",
        poll={**CHANGEABLE, "kind": "multiple"},
        body='{"choices": ["<1>", "<2>"]}',
    ),
    *(
        _put(
            "express",
            "200",
            f"results {visibility}",
            "warm voted",
            poll={**CHANGEABLE, "results_visibility": visibility},
        )
        for visibility in ("after_vote", "after_close", "owner")
    ),
]
