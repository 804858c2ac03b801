"""The votes that were cast with an account: found by its key in each poll, for nothing links them.

An account's key in a poll is an HMAC under the poll's own key. So each poll of `identity: account`
is asked, many at a time, and those whose key is destroyed can tell nothing any more.
"""

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from polls.domain.ballot_paper import BallotPaper
from polls.domain.database import as_stored
from polls.enums import Identity
from polls.models import Poll

_CHUNK = 500  # polls that are asked by one statement


@dataclass(slots=True)
class AccountVote:
    """That an account took part in a poll, and how, where the link to its ballot is kept."""

    poll: Poll
    receipt: str | None = None
    choices: list[tuple[uuid.UUID, str]] = field(default_factory=list)  # options, in their order


def votes_of_account(
    user_id: int, *, after: uuid.UUID | None = None, until: float
) -> tuple[list[AccountVote], uuid.UUID | None]:
    """Return the votes of an account in polls whose id comes after this one, in that order.

    Polls are asked until this time of `time.monotonic()`; then the second value is the id after
    which to go on, else None. At least one chunk of polls is asked.
    """
    found: list[AccountVote] = []
    while True:
        polls = _next_polls(after)
        found += _votes_in(polls, user_id)
        if len(polls) < _CHUNK:
            return found, None
        after = polls[-1].id
        if time.monotonic() >= until:
            return found, after


def _next_polls(after: uuid.UUID | None) -> list[Poll]:
    """Return the next polls that know voters by their account, with their keys, by their ids."""
    polls = Poll.objects.standing().filter(
        identity=Identity.ACCOUNT, opened_at__isnull=False, key__isnull=False
    )
    if after is not None:
        polls = polls.filter(id__gt=after)
    return list(polls.order_by("id").select_related("key")[:_CHUNK])


def _votes_in(polls: Sequence[Poll], user_id: int) -> list[AccountVote]:
    by_id = {poll.id: poll for poll in polls}
    voter_keys = {poll.id: _voter_key(poll, user_id) for poll in polls}
    votes: dict[uuid.UUID, AccountVote] = {}
    # One statement: a vote may be replaced at any moment.
    for poll_id, receipt, option_id, text in _joined(
        "SELECT t.poll_id, b.receipt, s.option_id, o.text FROM t "
        "JOIN polls_participation p ON p.poll_id = t.poll_id AND p.voter_key = t.mark "
        "LEFT JOIN polls_ballot b ON b.poll_id = p.poll_id AND b.id = p.ballot_id "
        "LEFT JOIN polls_selection s ON s.poll_id = b.poll_id AND s.ballot_id = b.id "
        "LEFT JOIN polls_option o ON o.id = s.option_id ORDER BY t.poll_id, o.position",
        voter_keys,
    ):
        vote = votes.setdefault(poll_id, AccountVote(by_id[poll_id]))
        if receipt is not None:
            vote.receipt = bytes(receipt).hex()
        if option_id is not None:
            vote.choices.append((_uuid(option_id), text))
    return list(votes.values())


def _voter_key(poll: Poll, user_id: int) -> bytes:
    paper = BallotPaper(poll, options={}, texts={}, key=bytes(poll.key.key))
    return paper.voter_key(str(user_id))


def _joined(query: str, marks: Mapping[uuid.UUID, object]) -> Iterator[tuple[Any, ...]]:
    """Run a query on `t`, which has a row (poll_id, mark) for each poll; the id comes first."""
    if not marks:
        return
    rows = ", ".join(["(%s, %s)"] * len(marks))
    values: list[Any] = [
        value for poll_id, mark in marks.items() for value in (as_stored(poll_id), mark)
    ]
    with connection.cursor() as cursor:
        cursor.execute(f"WITH t (poll_id, mark) AS (VALUES {rows}) {query}", values)
        for poll_id, *rest in cursor.fetchall():
            yield _uuid(poll_id), *rest


def _uuid(stored: uuid.UUID | str) -> uuid.UUID:
    return stored if isinstance(stored, uuid.UUID) else uuid.UUID(stored)
