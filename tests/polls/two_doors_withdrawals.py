"""Votes that are withdrawn, and late retries of votes that were changed since."""

from typing import Any

from tests.polls.two_doors import DEVICE, FIRST, JSON, KEY, Text
from tests.polls.two_doors_changes import CHANGEABLE, OTHER_KEY, SECOND, UNKNOWN
from tests.polls.two_doors_rows import COOKIE, OWN_PAGE, OWNER, Row, keyed

AFTER_VOTE: dict[str, Any] = {"allow_change": True, "results_visibility": "after_vote"}


def _delete(door: str, answer: str, name: str, happened: str, *headers: Text, **more: Any) -> Row:
    fields: dict[str, Any] = {"poll": CHANGEABLE, "body": None, **more}
    return Row(
        f"DELETE: {name}",
        door,
        answer,
        headers=headers or (DEVICE,),
        happened=happened,
        method="DELETE",
        **fields,
    )


def _late(door: str, answer: str, name: str, happened: str, **more: Any) -> Row:
    """Return a retry of the first vote, in a poll whose votes may be changed."""
    fields: dict[str, Any] = {"poll": CHANGEABLE, "headers": keyed(), **more}
    return Row(f"POST: {name}", door, answer, happened=happened, **fields)


DELETES = [
    _delete("express", "204", "plain", "warm voted"),
    _delete("express", "204", "with a key", "warm voted", DEVICE, OTHER_KEY),
    _delete("express", "204", "of a replaced vote", "warm voted replaced"),
    _delete(
        "express",
        "204",
        "with a type and no body",
        "warm voted",
        "Content-Type: text/plain",
        DEVICE,
    ),
    _delete("express", "204", "with an empty body", "warm voted", body=""),
    _delete("django", "204", "with an empty object", "warm voted", JSON, DEVICE, body="{}"),
    _delete("django", "400 malformed", "with fields", "warm voted", JSON, DEVICE, body=FIRST),
    _delete("django", "400 malformed", "with a list", "warm voted", JSON, DEVICE, body="[]"),
    _delete(
        "django", "400 malformed", "with what is no JSON", "warm voted", JSON, DEVICE, body="x"
    ),
    _delete(
        "django",
        "415 unsupported_media_type",
        "with a form",
        "warm voted",
        "Content-Type: application/x-www-form-urlencoded",
        DEVICE,
        body="x=1",
    ),
    _delete(
        "django",
        "415 unsupported_media_type",
        "with a body of no type",
        "warm voted",
        DEVICE,
        body="{}",
    ),
    _delete("express", "422 idempotency_key_reused", "key of the vote", "warm voted", DEVICE, KEY),
    _delete(
        "express",
        "422 idempotency_key_reused",
        "key of a replacement",
        "warm voted replaced",
        DEVICE,
        OTHER_KEY,
    ),
    _delete("express", "204", "again", "warm voted withdrawn", DEVICE, OTHER_KEY),
    _delete(
        "express", "204", "again after closing", "warm voted withdrawn closed", DEVICE, OTHER_KEY
    ),
    _delete(
        "express",
        "204",
        "again when voted since",
        "warm voted withdrawn replaced_since",
        DEVICE,
        OTHER_KEY,
    ),
    _delete("express", "404 no_vote", "twice", "warm voted withdrawn"),
    _delete(
        "express",
        "404 no_vote",
        "twice, with another key",
        "warm voted withdrawn",
        DEVICE,
        "Idempotency-Key: 0123456789abcdef",
    ),
    _delete("express", "404 no_vote", "without a vote", "warm"),
    _delete("express", "404 no_vote", "not voted in lately", ""),
    _delete("express", "410 poll_closed", "closed", "warm voted closed"),
    _delete("express", "410 poll_closed", "closed, withdrawn", "warm voted withdrawn closed"),
    _delete("express", "410 poll_closed", "closed, without a vote", "warm closed"),
    _delete("express", "410 poll_closed", "overdue", "warm voted overdue"),
    _delete("express", "404 not_found", "deleted just now", "warm voted deleted"),
    _delete("django", "404 not_found", "deleted", "deleted"),
    _delete("django", "404 not_found", "unknown", "", target=UNKNOWN),
    _delete("django", "204", "stale", "warm voted edited"),
    _delete(
        "django",
        "409 poll_not_open",
        "scheduled",
        "",
        poll={**CHANGEABLE, "opens_at": "2098-01-01T00:00:00Z"},
    ),
    _delete("django", "409 change_not_allowed", "not allowed", "warm voted", poll={}),
    _delete("django", "409 change_not_allowed", "secret", "warm voted", poll={"secrecy": "secret"}),
    _delete("django", "401 voter_token_required", "no token", "warm voted", "Accept: */*"),
    _delete(
        "django", "401 voter_token_invalid", "forged token", "warm voted", "X-Voter-Token: <forged>"
    ),
    _delete("express", "204", "cookie from our page", "warm voted", COOKIE, OWN_PAGE),
    _delete("django", "403 csrf_failed", "cookie from elsewhere", "warm voted", COOKIE),
    _delete("django", "204", "account and token", "warm voted", DEVICE, OWNER),
    _delete("django", "400 malformed", "short key", "warm voted", DEVICE, "Idempotency-Key: x"),
    _delete("express", "204", "results after_vote", "warm voted", poll=AFTER_VOTE),
    _delete(
        "express",
        "204",
        "results after_vote, again",
        "warm voted withdrawn",
        DEVICE,
        OTHER_KEY,
        poll=AFTER_VOTE,
    ),
]

LATE = [
    *(
        _late(
            "express",
            "200",
            f"again, {happened}, {visibility}",
            f"warm {happened}",
            poll={**CHANGEABLE, "results_visibility": visibility},
        )
        for happened in (
            "voted",
            "voted replaced",
            "voted withdrawn",
            "voted withdrawn replaced_since",
            "voted withdrawn closed",
        )
        for visibility in ("always", "after_vote", "after_close", "owner")
    ),
    _late(
        "django",
        "200",
        "again by the owner, withdrawn",
        "warm voted withdrawn",
        poll=AFTER_VOTE,
        headers=keyed(OWNER),
    ),
    _late("django", "200", "again, stale", "warm voted withdrawn edited"),
    _late(
        "django", "200", "again, stale, after_vote", "warm voted withdrawn edited", poll=AFTER_VOTE
    ),
    _late(
        "express",
        "422 idempotency_key_reused",
        "its key, other ballot",
        "warm voted withdrawn",
        body=SECOND,
    ),
    _late(
        "express",
        "409 already_voted",
        "after a withdrawal",
        "warm voted withdrawn",
        headers=(JSON, DEVICE),
    ),
    _late(
        "express",
        "409 already_voted",
        "after a replacement",
        "warm voted replaced",
        headers=(JSON, DEVICE),
    ),
    _late(
        "express",
        "200",
        "key of a replacement, its ballot",
        "warm voted replaced",
        headers=(JSON, DEVICE, OTHER_KEY),
        body=SECOND,
    ),
    *(
        Row(
            f"GET: own vote, {happened}",
            "django",
            "200",
            None,
            (DEVICE,),
            f"warm {happened}",
            CHANGEABLE,
            "GET",
        )
        for happened in (
            "",
            "voted",
            "voted replaced",
            "voted withdrawn",
            "voted withdrawn replaced_since",
        )
    ),
]
