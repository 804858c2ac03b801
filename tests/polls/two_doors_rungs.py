"""Votes in polls that let a network have so many voters, and in secret ones."""

from collections.abc import Mapping
from typing import Any

from tests.polls.two_doors import DEVICE, JSON, KEY
from tests.polls.two_doors_changes import CHANGEABLE, OTHER_KEY, SECOND
from tests.polls.two_doors_rows import Row, keyed


def _rung(
    door: str, answer: str, name: str, poll: Mapping[str, Any], happened: str, **more: Any
) -> Row:
    return Row(f"{name}, {happened}", door, answer, happened=happened, poll=poll, **more)


_SECRET = {"secrecy": "secret"}
_SECRET_AFTER = {"secrecy": "secret", "results_visibility": "after_vote"}
_ROOM, _FULL = {"network_cap": 2}, {"network_cap": 1}
_BOTH = {"network_cap": 1, "secrecy": "secret"}

CAPS = [
    _rung("express", "201", "cap, room", _ROOM, "warm"),
    _rung("express", "201", "cap, room", _ROOM, ""),
    _rung("express", "201", "cap, room, with a key", _ROOM, "warm", headers=keyed()),
    _rung("express", "403 network_cap_reached", "cap, full", _FULL, "warm"),
    _rung(
        "express",
        "403 network_cap_reached",
        "cap, full, with a key",
        _FULL,
        "warm",
        headers=keyed(),
    ),
    _rung("express", "200", "cap, again", _FULL, "voted", headers=keyed()),
    _rung("express", "200", "cap, again when full", _ROOM, "warm voted", headers=keyed()),
    _rung("express", "200", "cap, again after closing", _FULL, "voted closed", headers=keyed()),
    _rung(
        "express",
        "422 idempotency_key_reused",
        "cap, other ballot",
        _FULL,
        "voted",
        headers=keyed(),
        body=SECOND,
    ),
    _rung("express", "409 already_voted", "cap, second vote", _FULL, "voted"),
    _rung("express", "410 poll_closed", "cap, closed and full", _FULL, "warm closed"),
    _rung("django", "403 network_cap_reached", "cap, full and stale", _FULL, "warm edited"),
    _rung(
        "django",
        "400 invalid_ballot",
        "cap, full, unknown option",
        _FULL,
        "warm",
        body='{"choices": ["x"]}',
    ),
    _rung(
        "express",
        "200",
        "cap, replaced",
        {**_FULL, **CHANGEABLE},
        "voted",
        method="PUT",
        body=SECOND,
    ),
    _rung(
        "express",
        "204",
        "cap, withdrawn",
        {**_FULL, **CHANGEABLE},
        "voted",
        method="DELETE",
        body=None,
        headers=(DEVICE,),
    ),
    _rung("express", "200", "cap, back", {**_FULL, **CHANGEABLE}, "voted withdrawn", method="PUT"),
    _rung("express", "404 no_vote", "cap, no vote", {**_FULL, **CHANGEABLE}, "warm", method="PUT"),
    _rung(
        "express",
        "403 network_cap_reached",
        "cap, full of a withdrawn vote",
        {**_FULL, **CHANGEABLE},
        "voted withdrawn",
        headers=(JSON, "X-Voter-Token: <stranger>"),
    ),
]

SECRETS = [
    _rung("express", "201", "secret", _SECRET, "warm"),
    _rung("express", "201", "secret, with a key", _SECRET, "warm", headers=keyed()),
    _rung("express", "200", "secret, again", _SECRET, "warm voted", headers=keyed()),
    _rung(
        "express", "200", "secret, again, after_vote", _SECRET_AFTER, "warm voted", headers=keyed()
    ),
    _rung(
        "express",
        "200",
        "secret, again after closing",
        _SECRET,
        "warm voted closed",
        headers=keyed(),
    ),
    _rung("django", "200", "secret, again, stale", _SECRET, "warm voted edited", headers=keyed()),
    _rung(
        "express",
        "409 already_voted",
        "secret, same key, other ballot",
        _SECRET,
        "warm voted",
        headers=keyed(),
        body=SECOND,
    ),
    _rung(
        "express",
        "409 already_voted",
        "secret, other key",
        _SECRET,
        "warm voted",
        headers=(JSON, DEVICE, OTHER_KEY),
    ),
    _rung(
        "express", "409 already_voted", "secret, without a key", _SECRET, "warm voted_without_key"
    ),
    _rung(
        "express", "410 poll_closed", "secret, second vote, closed", _SECRET, "warm voted closed"
    ),
    _rung("express", "201", "secret, results after_vote", _SECRET_AFTER, "warm"),
    _rung(
        "express",
        "201",
        "secret, open",
        {"secrecy": "secret", "identity": "open"},
        "warm",
        headers=(JSON, KEY),
    ),
    _rung(
        "express",
        "200",
        "secret, open, again",
        {"secrecy": "secret", "identity": "open"},
        "warm voted",
        headers=(JSON, KEY),
    ),
    _rung("express", "403 network_cap_reached", "secret, cap, full", _BOTH, "warm"),
    _rung("express", "200", "secret, cap, again", _BOTH, "voted", headers=keyed()),
    _rung(
        "django",
        "200",
        "secret, own vote",
        _SECRET,
        "warm voted",
        method="GET",
        body=None,
        headers=(DEVICE,),
    ),
]
