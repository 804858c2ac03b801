"""Voting by code: codes that an organiser makes, and whoever has one."""

from typing import Any

from tests.cast import Person


def make_codes(owner: Person, poll: dict[str, Any], count: int = 1) -> list[str]:
    """Make codes of a poll and return them."""
    answer = owner.post(f"{poll['links']['self']}codes/", {"count": count})
    assert answer.status_code == 201, answer.content
    found: list[str] = answer.json()["codes"]
    return found


def vote_by(code: str, poll: dict[str, Any], *places: int, **headers: str) -> Any:
    """Vote with a code for the options at these places."""
    choices = [poll["options"][place]["id"] for place in places]
    body = {"choices": choices, "code": code}
    return Person().post(poll["links"]["vote"], body, **headers)
