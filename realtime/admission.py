"""Whom sockets speak for, and whether they may see results: asked for many at once."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from accounts.models import ApiToken
from accounts.sessions import users_of_sessions
from polls.domain import lifecycle
from polls.domain.access import (
    ANYBODY,
    Roles,
    Viewer,
    anybody_may_see,
    read_roles,
    results_hidden,
    who_may_see,
)
from polls.domain.current import Current, read_current
from polls.errors import Code, Refusal
from polls.models import Poll
from realtime.frames import Update


@dataclass(frozen=True, slots=True)
class Asker:
    """Whom a socket speaks for, and the token or session that must still be valid for it.

    A session says by itself which account it stands for.
    """

    viewer: Viewer = ANYBODY
    token_id: uuid.UUID | None = None
    session_key: str | None = None

    @property
    def is_signed_in(self) -> bool:
        """Whether a sign-out or a revocation can change who this is."""
        return self.token_id is not None or self.session_key is not None

    @property
    def may_end(self) -> bool:
        """Whether that, a lost role or a withdrawn vote can change what they see."""
        return self.is_signed_in or self.viewer != ANYBODY


@dataclass(frozen=True, slots=True)
class Admission:
    """Where a poll stands, and why this asker may not see its results; None where they may."""

    update: Update
    hidden: Refusal | None


Answer = Admission | Refusal  # not_found


def admit_to(poll_id: uuid.UUID, askers: Sequence[Asker]) -> list[Answer]:
    """Return what each asker may see of a poll whose time to open or close has come."""
    lifecycle.settle_poll(poll_id)
    return admit({poll_id: askers}, settled=True)[poll_id]


def admit(
    asked: Mapping[uuid.UUID, Sequence[Asker]], *, settled: bool = False
) -> dict[uuid.UUID, list[Answer]]:
    """Return what each asker may see of each poll, by one reading for all of them.

    Left out are polls that must be settled first: whoever holds such a poll's lock must hold up
    nobody who asks for another.
    """
    current = read_current(asked.keys())
    if not settled:
        due = {poll_id for poll_id, found in current.items() if found.due}
        asked = {poll_id: askers for poll_id, askers in asked.items() if poll_id not in due}
    viewers = _viewers({asker for askers in asked.values() for asker in askers})
    found = [current[poll_id].poll for poll_id in asked if poll_id in current]
    roles = _roles_in(found, viewers.values())
    return {
        poll_id: _answers(current.get(poll_id), [viewers[asker] for asker in askers], roles)
        for poll_id, askers in asked.items()
    }


def _roles_in(polls: Sequence[Poll], viewers: Iterable[Viewer]) -> Roles:
    """Return the roles that matter: where everybody may see, nobody is asked who they are."""
    return read_roles([poll for poll in polls if not anybody_may_see(poll)], viewers)


def _answers(found: Current | None, viewers: Sequence[Viewer], roles: Roles) -> list[Answer]:
    if found is None:
        return [Refusal(Code.NOT_FOUND) for _ in viewers]
    poll = found.poll
    update = Update.of(found.count)
    answers: list[Answer] = []
    for viewer, sees in zip(viewers, who_may_see(poll, viewers, roles), strict=True):
        if not roles.finds(poll, viewer):
            answers.append(Refusal(Code.NOT_FOUND))
        elif sees:
            answers.append(Admission(update, None))
        else:
            answers.append(Admission(update, results_hidden(poll.results_visibility)))
    return answers


def who_may_see_now(asked: Mapping[uuid.UUID, Sequence[Asker]]) -> dict[uuid.UUID, list[bool]]:
    """Return whether each of these may see each poll's results now; polls that are gone lack."""
    viewers = _viewers({asker for askers in asked.values() for asker in askers})
    polls = list(Poll.objects.standing().filter(id__in=asked))
    roles = _roles_in(polls, viewers.values())
    return {
        poll.id: who_may_see(poll, [viewers[asker] for asker in asked[poll.id]], roles)
        for poll in polls
    }


def _viewers(askers: Iterable[Asker]) -> dict[Asker, Viewer]:
    """Return whom they stand for now: ended sessions and revoked tokens stand for nobody."""
    tokens = {asker.token_id for asker in askers if asker.token_id is not None}
    sessions = {asker.session_key for asker in askers if asker.session_key is not None}
    valid = ApiToken.valid().filter(id__in=tokens)
    standing = set(valid.values_list("id", flat=True)) if tokens else set[uuid.UUID]()
    users = users_of_sessions(sessions) if sessions else {}
    viewers = {}
    for asker in askers:
        viewer = asker.viewer
        if asker.session_key is not None:
            viewer = replace(viewer, user_id=users.get(asker.session_key))
        elif asker.token_id is not None and asker.token_id not in standing:
            viewer = replace(viewer, user_id=None)
        viewers[asker] = viewer
    return viewers
