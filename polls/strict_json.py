"""The one JSON parser of every door: what two parsers could read differently is refused."""

import json
from typing import Any, NoReturn

from polls.errors import Code, Refusal

MAX_DEPTH = 16
_INTEGER_DIGITS = 19  # a 64-bit number has no more


def _refuse(detail: str) -> NoReturn:
    raise Refusal(Code.MALFORMED, detail)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        _refuse("A JSON object holds the same key twice.")
    return found


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > _INTEGER_DIGITS:
        _refuse("A number has more than 64 bits.")
    number = int(digits)
    if not -(2**63) <= number < 2**63:
        _refuse("A number has more than 64 bits.")
    return number


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        _refuse("A number is too large.")
    return number


def _constant(name: str) -> NoReturn:
    _refuse(f"{name} is not JSON.")


_decoder = json.JSONDecoder(
    object_pairs_hook=_without_duplicates,
    parse_int=_integer,
    parse_float=_finite,
    parse_constant=_constant,
)


def _check_depth(text: str) -> None:
    """Refuse deep nesting before the recursive parser meets it."""
    depth = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                _refuse(f"The JSON is nested more than {MAX_DEPTH} deep.")
        elif character in "]}":
            depth -= 1


def _check_texts(value: object) -> None:
    """Refuse what PostgreSQL cannot store and UTF-8 cannot say, in keys and values."""
    if isinstance(value, str):
        if "\0" in value:
            _refuse("A text holds a NUL character.")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                _refuse("A text holds half a surrogate pair.")
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_texts(key)
            _check_texts(item)


def loads(body: bytes) -> Any:  # noqa: ANN401 - JSON is any of its types
    """Return the value of a JSON document in UTF-8, or raise `malformed`.

    Refused besides what is not JSON: duplicate keys, NaN and infinities, numbers of more than
    64 bits, NUL characters, lone surrogates, and nesting deeper than 16.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        _refuse("The body is not UTF-8.")
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(text)
    try:
        value = _decoder.decode(text)
    except (ValueError, RecursionError):
        _refuse("The body is not JSON.")
    _check_texts(value)
    return value


def loads_object(body: bytes) -> dict[str, Any]:
    """Return the one JSON object of a body, or raise `malformed`."""
    value = loads(body)
    if not isinstance(value, dict):
        _refuse("The body must be one JSON object.")
    return value
