"""What a request says of a vote: its key, its body, and the ballot that stands in it."""

import re
from collections.abc import Mapping
from typing import Any

from polls.domain.ballot_paper import BallotPaper, CanonicalBallot, wrong_shape
from polls.errors import Code, FieldError, Refusal

MIN_KEY, MAX_KEY = 16, 255  # characters of an Idempotency-Key
_KEY = re.compile(f"[!-~]{{{MIN_KEY},{MAX_KEY}}}")
_FIELDS = frozenset({"choices", "scores", "code"})


def check_key(key: str | None) -> None:
    """Raise `malformed` for an Idempotency-Key that is not 16 to 255 visible ASCII characters."""
    if key is not None and _KEY.fullmatch(key) is None:
        detail = f"Idempotency-Key takes {MIN_KEY} to {MAX_KEY} visible ASCII characters."
        raise Refusal(
            Code.MALFORMED, detail, errors=[FieldError("Idempotency-Key", "format", detail)]
        )


def parse_vote(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the body of a vote with every type checked, or raise `malformed`."""
    for name in body:
        if name not in _FIELDS:
            raise _malformed(name, "unknown_field", "There is no such field.")
    if not _are_choices(body.get("choices", [])):
        detail = "It must be a list of option ids."
        raise _malformed("choices", "wrong_type", detail)
    if not _are_scores(body.get("scores", {})):
        detail = "It must be an object of option ids and whole numbers."
        raise _malformed("scores", "wrong_type", detail)
    if not isinstance(body.get("code", ""), str):
        raise _malformed("code", "wrong_type", "It must be a text.")
    return body


def _malformed(name: str, code: str, detail: str) -> Refusal:
    return Refusal(Code.MALFORMED, detail, errors=[FieldError(name, code, detail)])


def _are_choices(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, str)
        or (isinstance(item, list) and all(isinstance(tied, str) for tied in item))
        for item in value
    )


def _are_scores(value: object) -> bool:
    # A bool is an int to Python, not to JSON.
    return isinstance(value, dict) and all(type(score) is int for score in value.values())


def read_ballot(paper: BallotPaper, body: Mapping[str, Any]) -> CanonicalBallot:
    """Return the canonical ballot of a parsed body, or raise `invalid_ballot`."""
    if "scores" in body:
        raise wrong_shape("scores", "Only a score poll takes scores.")
    if "code" in body and not paper.asks_for_codes:
        raise wrong_shape("code", "This poll does not ask for a code.")
    if "choices" not in body:
        raise wrong_shape("choices", "The ballot must name its choices.")
    return paper.canonical(body["choices"])
