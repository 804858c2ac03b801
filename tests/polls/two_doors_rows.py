"""Requests of every kind: who answers each where the express door is open, and what they say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.polls.two_doors import DEVICE, FIRST, JSON, KEY, VOTES, Text

OWNER = "Authorization: Bearer <bearer>"
OWN_PAGE = "Sec-Fetch-Site: same-origin"
COOKIE = "Cookie: voter=<token>"
HOST = "Host: 127.0.0.1"


@dataclass(frozen=True)
class Row:
    """One request, in a situation; `answer` is its status and, for a problem, its code."""

    name: str
    door: str  # express, django, or gate where neither is asked
    answer: str
    body: Text | None = FIRST
    headers: tuple[Text, ...] = (JSON, DEVICE)
    happened: str = "warm"
    poll: Mapping[str, Any] = field(default_factory=dict)
    method: str = "POST"
    target: str = VOTES
    host: Text = HOST

    @property
    def leaves_all_as_it_is(self) -> bool:
        """Whether the poll, its votes and its ballot paper are afterwards what they were before."""
        happened = set(self.happened.split())
        if self.answer in {"201", "204"} or "overdue" in happened:
            return False
        if self.method == "PUT" and self.answer == "200":
            return False
        # The first vote finds the paper of a poll that has changed, and drops it.
        changed = happened & {"closed", "deleted", "edited"} or "warm" not in happened
        return self.method == "GET" or not changed


def keyed(*more: Text) -> tuple[Text, ...]:
    """Return the headers of a vote with a key."""
    return (JSON, DEVICE, KEY, *more)


def body(door: str, answer: str, name: str, content: Text | None, **more: Any) -> Row:
    """Return a vote with this body."""
    return Row(f"body: {name}", door, answer, content, **more)


def head(door: str, answer: str, name: str, *headers: Text, **more: Any) -> Row:
    """Return a vote with these headers."""
    return Row(f"head: {name}", door, answer, headers=headers, **more)


def poll(door: str, answer: str, name: str, happened: str, **more: Any) -> Row:
    """Return a vote in a poll with which this has happened."""
    return Row(f"poll: {name}", door, answer, happened=happened, **more)
