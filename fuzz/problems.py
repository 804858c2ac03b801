"""What every refusal looks like (RFC 9457), whoever gives it."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from fuzz.wire import Answer

PROBLEM = "application/problem+json"
_MEMBERS = {"type", "title", "status", "code", "detail", "instance"}
_ERROR_MEMBERS = {"field", "code", "detail"}
_FIRST_ERROR, _FIRST_FAULT = 400, 500


def summary(answer: Answer) -> str:
    """Return the status, and the code of a problem."""
    code = code_of(answer)
    return f"{answer.status} {code}" if code else str(answer.status)


def code_of(answer: Answer) -> str:
    """Return a problem's code, empty for any other answer."""
    if answer.media_type != PROBLEM:
        return ""
    try:
        body = json.loads(answer.body)
    except ValueError:
        return ""
    return str(body.get("code", "")) if isinstance(body, dict) else ""


def faults_of(answer: Answer, path: str) -> list[str]:
    """Return what is wrong with an answer of the API as such, whatever it is about."""
    found = []
    if answer.status >= _FIRST_FAULT:
        found.append(f"the server's own fault: {summary(answer)}")
    if answer.status < _FIRST_ERROR:
        return found
    if answer.media_type != PROBLEM:
        return [*found, f"{answer.status} as {answer.media_type or 'nothing'}, no problem+json"]
    try:
        body = json.loads(answer.body)
    except ValueError:
        return [*found, "a problem that is not JSON"]
    return found + _faults_of_body(body, answer.status, path)


def _faults_of_body(body: Mapping[str, Any], status: int, path: str) -> list[str]:
    errors = body.get("errors", [])
    held = {
        "members": set(body) - {"errors"} == _MEMBERS,
        "status": body.get("status") == status,
        "type": body.get("type") == f"/docs/errors#{body.get('code')}",
        "instance": unquote(str(body.get("instance"))) == unquote(path),
        "detail": bool(body.get("detail")) and bool(body.get("title")),
        "errors": all(set(error) == _ERROR_MEMBERS for error in errors),
        "named field": body.get("code") != "invalid_ballot" or bool(errors),
    }
    return [f"a problem whose {name} is wrong" for name, holds in held.items() if not holds]
