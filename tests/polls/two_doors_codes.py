"""Votes by code: those of codes that may vote are the express door's, all others Django's."""

from typing import Any

from tests.polls.two_doors import FIRST, FIRST_BY_CODE, JSON, KEY, Text
from tests.polls.two_doors_changes import OTHER_KEY
from tests.polls.two_doors_rows import OWNER, Row

_CODES: dict[str, Any] = {"identity": "code"}
_SECRET = {**_CODES, "secrecy": "secret"}
_CHANGEABLE = {**_CODES, "allow_change": True}
_HEADER, _UNUSED = "X-Voter-Code: <code>", "X-Voter-Code: <unused>"
_UNKNOWN = "0000-0000-0000-0000"


def _by(code: str, choice: str = "<0>") -> str:
    return f'{{"choices": ["{choice}"], "code": "{code}"}}'


def _code(door: str, answer: str, name: str, happened: str, *headers: Text, **more: Any) -> Row:
    fields: dict[str, Any] = {"poll": _CODES, "body": FIRST_BY_CODE, **more}
    said = f"code: {fields.get('method', 'POST')} {name}"
    return Row(said, door, answer, headers=headers or (JSON,), happened=happened, **fields)


def _put(door: str, answer: str, name: str, happened: str, *headers: Text, **more: Any) -> Row:
    fields: dict[str, Any] = {"poll": _CHANGEABLE, "body": _by("<code>", "<1>"), **more}
    return _code(door, answer, name, happened, *headers, method="PUT", **fields)


def _delete(door: str, answer: str, name: str, happened: str, *headers: Text, **more: Any) -> Row:
    fields: dict[str, Any] = {"poll": _CHANGEABLE, "body": None, **more}
    return _code(door, answer, name, happened, *headers, method="DELETE", **fields)


CODES = [
    _code("express", "201", "plain", "warm"),
    _code("express", "201", "first of all", ""),
    _code("express", "201", "with a key", "warm", JSON, KEY),
    _code("express", "201", "typed", "warm", body=_by("<typed>")),
    _code("express", "201", "results after_vote", "warm",
          poll={**_CODES, "results_visibility": "after_vote"}),
    _code("django", "201", "of an account", "warm", JSON, OWNER),
    _code("django", "201", "edited since", "warm edited"),
    _code("express", "200", "again", "warm voted", JSON, KEY),
    _code("express", "200", "again after closing", "warm voted closed", JSON, KEY),
    _code("express", "422 idempotency_key_reused", "same key, other ballot", "warm voted",
          JSON, KEY, body=_by("<code>", "<1>")),
    _code("django", "403 code_invalid", "used", "warm voted"),
    _code("django", "403 code_invalid", "used without a key", "warm voted_without_key"),
    _code("django", "403 code_invalid", "used, with another key", "warm voted", JSON, OTHER_KEY),
    _code("django", "403 code_invalid", "used, closed", "warm voted closed"),
    _code("django", "403 code_invalid", "unknown", "warm", body=_by(_UNKNOWN)),
    _code("django", "403 code_invalid", "unknown, closed", "warm closed", body=_by(_UNKNOWN)),
    _code("django", "403 code_invalid", "none", "warm", body=FIRST),
    _code("django", "403 code_invalid", "in the head alone", "warm", JSON, _HEADER, body=FIRST),
    _code("django", "403 code_invalid", "no text of one", "warm", body=_by("code")),
    _code("django", "400 malformed", "a number", "warm", body='{"choices": ["<0>"], "code": 7}'),
    _code("django", "400 invalid_ballot", "unknown option", "warm", body=_by("<code>", "x")),
    _code("django", "403 code_invalid", "used, unknown option", "warm voted",
          body=_by("<code>", "x")),
    _code("express", "410 poll_closed", "closed", "warm closed"),
    _code("express", "410 poll_closed", "key destroyed", "warm closed keyless"),
    _code("express", "404 not_found", "deleted", "warm deleted"),
    _code("django", "200", "own vote", "warm voted", _HEADER, method="GET", body=None),
    _code("express", "201", "secret", "warm", poll=_SECRET),
    _code("express", "201", "secret, with a key", "warm", JSON, KEY, poll=_SECRET),
    _code("django", "200", "secret, again", "warm voted", JSON, KEY, poll=_SECRET),
    _code("django", "403 code_invalid", "secret, used", "warm voted_without_key", poll=_SECRET),
    _put("express", "200", "plain", "warm voted"),
    _put("express", "200", "with a key", "warm voted", JSON, OTHER_KEY),
    _put("express", "200", "again", "warm voted replaced", JSON, OTHER_KEY),
    _put("express", "200", "after a withdrawal", "warm voted withdrawn"),
    _put("express", "404 no_vote", "no vote", "warm"),
    _put("express", "410 poll_closed", "closed", "warm voted closed"),
    _put("django", "403 code_invalid", "unknown", "warm voted", body=_by(_UNKNOWN)),
    _put("django", "403 code_invalid", "in the head alone", "warm voted", JSON, _HEADER,
         body=FIRST),
    _put("django", "409 change_not_allowed", "not changeable", "warm voted", poll=_CODES),
    _delete("express", "204", "plain", "warm voted", _HEADER),
    _delete("express", "204", "with a key", "warm voted", _HEADER, OTHER_KEY),
    _delete("express", "204", "again", "warm voted withdrawn", _HEADER, OTHER_KEY),
    _delete("express", "404 no_vote", "no vote", "warm", _UNUSED),
    _delete("django", "403 code_invalid", "unknown", "warm voted", f"X-Voter-Code: {_UNKNOWN}"),
    _delete("django", "403 code_invalid", "none", "warm voted"),
    _delete("django", "400 malformed", "in the body", "warm voted", JSON, body=FIRST_BY_CODE),
]  # fmt: skip
