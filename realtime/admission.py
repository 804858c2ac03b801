"""Whom a socket speaks for, and whether it may see a poll's results."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from accounts.models import ApiToken
from accounts.sessions import users_of_sessions
from polls.domain.access import (
    ANYBODY,
    Viewer,
    access_poll,
    may_see_results,
    results_hidden,
    who_may_see,
)
from polls.domain.results import Count, read_count
from polls.errors import Code, Refusal
from polls.models import Poll


@dataclass(frozen=True, slots=True)
class Asker:
    """Whom a socket speaks for, and the token or session that must still be valid for it."""

    viewer: Viewer = ANYBODY
    token_id: uuid.UUID | None = None
    session_key: str | None = None


def admit(poll_id: uuid.UUID, asker: Asker) -> tuple[Refusal | None, Count]:
    """Return why results may not be seen (None where they may), and the count under that rule.

    Raises `not_found`.
    """
    (viewer,) = _viewers([asker])
    while True:
        poll = access_poll(poll_id, viewer)
        visible = may_see_results(poll, viewer)
        hidden = None if visible else results_hidden(poll.results_visibility)
        count = read_count(poll)
        if count.deleted:
            raise Refusal(Code.NOT_FOUND)
        if (count.revision, count.status) == (poll.revision, poll.status):
            return hidden, count


def who_may_see_now(poll_id: uuid.UUID, askers: Sequence[Asker]) -> list[bool] | None:
    """Return whether each of these may see the poll's results now; None where it is gone."""
    poll = Poll.objects.standing().filter(id=poll_id).first()
    return None if poll is None else who_may_see(poll, _viewers(askers))


def _viewers(askers: Sequence[Asker]) -> list[Viewer]:
    """Return whom they stand for once ended sessions and revoked tokens no longer count."""
    tokens = {asker.token_id for asker in askers if asker.token_id is not None}
    sessions = {asker.session_key for asker in askers if asker.session_key is not None}
    ended: set[uuid.UUID | str] = set()
    if tokens:
        ended |= tokens - set(ApiToken.valid().filter(id__in=tokens).values_list("id", flat=True))
    if sessions:
        ended |= sessions - users_of_sessions(sessions).keys()
    return [
        replace(asker.viewer, user_id=None)
        if asker.token_id in ended or asker.session_key in ended
        else asker.viewer
        for asker in askers
    ]
