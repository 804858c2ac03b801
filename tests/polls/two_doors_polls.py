"""Votes in polls of every kind and state, and with keys of every kind."""

from tests.polls.two_doors import DEVICE, JSON, KEY, VOTES
from tests.polls.two_doors_rows import OWNER, head, keyed, poll

UNKNOWN = "01980c5e-8f00-7000-8000-0000000000a1"

POLLS = [
    poll("express", "201", "voted in just now", "warm"),
    poll("express", "201", "not voted in lately", ""),
    poll("express", "201", "multiple", "warm", poll={"kind": "multiple"}),
    poll("express", "201", "approval", "warm", poll={"kind": "approval"}),
    poll("express", "201", "open", "warm", poll={"identity": "open"}, headers=(JSON,)),
    poll("django", "401 authentication_required", "account", "warm", poll={"identity": "account"}),
    poll(
        "django",
        "201",
        "account, owner",
        "",
        poll={"identity": "account"},
        headers=(JSON, OWNER),
    ),
    *(
        poll(
            "express",
            "201",
            f"results {visibility}",
            "warm",
            poll={"results_visibility": visibility},
        )
        for visibility in ("after_vote", "after_close", "owner")
    ),
    *(
        poll(
            "express",
            "200",
            f"results {visibility}, again",
            "warm voted",
            poll={"results_visibility": visibility},
            headers=keyed(),
        )
        for visibility in ("always", "after_vote", "after_close", "owner")
    ),
    poll(
        "express", "201", "with a time to close", "warm", poll={"closes_at": "2098-01-01T00:00:00Z"}
    ),
    poll("django", "201", "renamed", "warm edited"),
    poll("express", "410 poll_closed", "closed just now", "warm closed"),
    poll("express", "410 poll_closed", "closed", "closed"),
    poll("django", "410 poll_closed", "key destroyed", "warm closed certified keyless"),
    poll(
        "django",
        "400 invalid_ballot",
        "key destroyed, unknown option",
        "warm closed certified keyless",
        body='{"choices": ["x"]}',
    ),
    poll(
        "django",
        "401 voter_token_required",
        "key destroyed, nobody",
        "warm closed certified keyless",
        headers=(JSON,),
    ),
    poll("express", "410 poll_closed", "overdue", "warm overdue"),
    poll("express", "410 poll_closed", "overdue, not voted in lately", "overdue"),
    poll(
        "django",
        "400 invalid_ballot",
        "closed, unknown option",
        "warm closed",
        body='{"choices": ["x"]}',
    ),
    poll("django", "409 poll_not_open", "scheduled", "", poll={"opens_at": "2098-01-01T00:00:00Z"}),
    poll("django", "404 not_found", "draft", "", poll={"status": "draft"}),
    poll(
        "django",
        "409 poll_not_open",
        "draft, owner",
        "",
        poll={"status": "draft"},
        headers=(JSON, DEVICE, OWNER),
    ),
    poll("express", "404 not_found", "deleted just now", "warm deleted"),
    poll("django", "404 not_found", "deleted", "deleted"),
    poll("django", "404 not_found", "unknown", "", target=VOTES.replace("<poll>", UNKNOWN)),
    poll("django", "404 not_found", "malformed id", "", target=VOTES.replace("<poll>", "x" * 36)),
    poll(
        "django",
        "404 not_found",
        "id in upper case",
        "warm",
        target=VOTES.replace("<poll>", "<POLL>"),
    ),
    poll("django", "404 not_found", "no slash", "warm", target=VOTES.rstrip("/")),
    poll(
        "express", "201", "path with escapes", "warm", target=VOTES.replace("votes/", "%76otes%2F")
    ),
    poll(
        "express",
        "410 poll_closed",
        "path with escapes, closed",
        "warm closed",
        target=VOTES.replace("votes", "%76otes"),
    ),
    *(
        poll("django", "404 not_found", f"path {place}", "warm", target=VOTES.replace(*other))
        for place, other in {
            "of another version": ("v1", "v9"),
            "of another thing": ("/polls/", "/event/"),
            "of another length": ("/api/v1/polls/", "/abcdefghijkl/"),
        }.items()
    ),
    poll("django", "404 not_found", "path with two slashes", "warm", target=f"/{VOTES}"),
    poll("django", "201", "a query", "warm", target=f"{VOTES}?x=1"),
]

KEYS = [
    head("express", "201", "key", *keyed()),
    head("express", "201", "key of 16", JSON, DEVICE, "Idempotency-Key: 0123456789abcdef"),
    head("express", "201", "key of 255", JSON, DEVICE, "Idempotency-Key: " + "~" * 255),
    head("express", "201", "key between spaces", JSON, DEVICE, "Idempotency-Key:   <key>"),
    *(
        head("django", "400 malformed", f"key {name}", JSON, DEVICE, b"Idempotency-Key: " + key)
        for name, key in {
            "of 15": b"x" * 15,
            "of 256": b"x" * 256,
            "empty": b"",
            "with a space": b"x" * 16 + b" y",
            "not ASCII": b"x" * 16 + b"\xc3\xa9",
            "that is no text": b"x" * 16 + b"\xff",
        }.items()
    ),
    head("gate", "400 malformed", "two keys", *keyed(KEY)),
    head("express", "200", "key again", *keyed(), happened="warm voted"),
    head("express", "200", "key again after closing", *keyed(), happened="warm voted closed"),
    head("express", "200", "key again when overdue", *keyed(), happened="warm voted overdue"),
    head(
        "django",
        "200",
        "key again, long after closing",
        *keyed(),
        happened="voted edited closed certified",
    ),
    head(
        "django",
        "410 poll_closed",
        "key again, the poll's own destroyed",
        *keyed(),
        happened="warm voted closed certified keyless",
    ),
    head("django", "200", "key again under another title", *keyed(), happened="warm voted edited"),
    head(
        "express",
        "404 not_found",
        "key again after deletion",
        *keyed(),
        happened="warm voted deleted",
    ),
    head(
        "express",
        "422 idempotency_key_reused",
        "key, other ballot",
        *keyed(),
        happened="warm voted",
        body='{"choices": ["<1>"]}',
    ),
    head(
        "express",
        "422 idempotency_key_reused",
        "key, other ballot, closed",
        *keyed(),
        happened="warm voted closed",
        body='{"choices": ["<1>"]}',
    ),
    head("express", "409 already_voted", "second vote", JSON, DEVICE, happened="warm voted"),
    head(
        "express",
        "409 already_voted",
        "second vote, first without key",
        *keyed(),
        happened="warm voted_without_key",
    ),
    head(
        "express",
        "410 poll_closed",
        "second vote, closed",
        JSON,
        DEVICE,
        happened="warm voted closed",
    ),
    head("express", "201", "open poll, same key as a device", JSON, KEY, poll={"identity": "open"}),
    head(
        "express",
        "201",
        "open poll, second vote",
        JSON,
        poll={"identity": "open"},
        happened="warm voted_without_key",
    ),
    head(
        "express",
        "200",
        "open poll, key again",
        JSON,
        KEY,
        poll={"identity": "open"},
        happened="warm voted",
    ),
    head(
        "express",
        "422 idempotency_key_reused",
        "open poll, key, other ballot",
        JSON,
        KEY,
        poll={"identity": "open"},
        happened="warm voted",
        body='{"choices": ["<1>"]}',
    ),
]
