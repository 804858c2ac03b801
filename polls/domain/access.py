"""Who may reach a poll or an event, and who may see results: the one rule behind every door."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from polls.domain import lifecycle
from polls.domain.ballot_paper import load_ballot_paper
from polls.enums import Identity, Status, Visibility
from polls.errors import Code, Refusal
from polls.models import IS_DUE, Event, Participation, Poll


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whoever asks: an account, a voter's device, both or neither."""

    user_id: int | None = None
    device: str | None = None

    def owns(self, poll: Poll) -> bool:
        """Whether this is the poll's owner."""
        return self.user_id is not None and self.user_id == poll.owner_id

    def identity_for(self, poll: Poll) -> str | None:
        """Return the identity that the poll knows voters by, None where there is none."""
        if poll.identity == Identity.ACCOUNT:
            return None if self.user_id is None else str(self.user_id)
        return self.device if poll.identity == Identity.DEVICE else None


ANYBODY = Viewer()


def access_poll(poll_id: uuid.UUID, viewer: Viewer) -> Poll:
    """Return a poll for reading or voting; a draft exists for its owner alone.

    A poll whose time has come is opened or closed first, so that no reader meets a stale status.
    """
    return _accessed(Poll.objects.standing().filter(id=poll_id), viewer)


def _accessed(standing: QuerySet[Poll], viewer: Viewer) -> Poll:
    poll = standing.first()
    if poll is not None and poll.has_a_time and Poll.objects.due().filter(id=poll.id).exists():
        lifecycle.settle_poll(poll.id)
        poll = standing.all().first()
    if poll is None or (poll.status == Status.DRAFT and not viewer.owns(poll)):
        raise Refusal(Code.NOT_FOUND)
    return poll


def access_poll_by_code(join_code: str, viewer: Viewer) -> Poll:
    """Return the poll of a join code, typed in either case."""
    return _accessed(Poll.objects.standing().filter(join_code=join_code.upper()), viewer)


def access_poll_for_owner(poll_id: uuid.UUID, viewer: Viewer) -> Poll:
    """Return a poll to its owner; nobody else learns whether it exists."""
    if viewer.user_id is None:
        raise Refusal(Code.AUTHENTICATION_REQUIRED)
    poll = access_poll(poll_id, viewer)
    if not viewer.owns(poll):
        raise Refusal(Code.NOT_FOUND)
    return poll


def access_event(event_id: uuid.UUID) -> Event:
    """Return an event; it has no drafts, but see `polls_of`."""
    event = Event.objects.select_related("owner").filter(id=event_id).first()
    if event is None:
        raise Refusal(Code.NOT_FOUND)
    return event


def access_event_by_code(join_code: str) -> Event:
    """Return the event of a join code, typed in either case."""
    event = Event.objects.select_related("owner").filter(join_code=join_code.upper()).first()
    if event is None:
        raise Refusal(Code.NOT_FOUND)
    return event


def access_by_code(join_code: str, viewer: Viewer) -> Poll | Event:
    """Return the poll or the event of a join code, which leads to one of them at most."""
    try:
        return access_poll_by_code(join_code, viewer)
    except Refusal:
        return access_event_by_code(join_code)


def access_event_for_owner(event_id: uuid.UUID, viewer: Viewer) -> Event:
    """Return an event to its owner; nobody else learns whether it exists."""
    if viewer.user_id is None:
        raise Refusal(Code.AUTHENTICATION_REQUIRED)
    event = access_event(event_id)
    if event.owner_id != viewer.user_id:
        raise Refusal(Code.NOT_FOUND)
    return event


def polls_of(events: Collection[Event], viewer: Viewer) -> dict[uuid.UUID, list[Poll]]:
    """Return the polls of each event in their order, by one query; drafts to their owner alone.

    Those whose time has come are opened or closed first.
    """
    in_them = Poll.objects.standing().filter(event_place__event__in=events)
    in_them = in_them.select_related("event_place").order_by("event_place__position")
    polls = list(in_them.annotate(is_due=IS_DUE))
    due = [poll.id for poll in polls if poll.is_due]  # type: ignore[attr-defined] # annotated
    for poll_id in due:
        lifecycle.settle_poll(poll_id)
    if due:
        polls = list(in_them.all())
    found: dict[uuid.UUID, list[Poll]] = {event.id: [] for event in events}
    for poll in polls:
        if poll.status != Status.DRAFT or viewer.owns(poll):
            found[poll.event_place.event_id].append(poll)
    return found


def anybody_may_see(poll: Poll) -> bool:
    """Whether nobody need say who they are to see counts of this poll now."""
    if poll.results_visibility == Visibility.ALWAYS:
        return poll.status != Status.DRAFT
    return poll.results_visibility != Visibility.OWNER and poll.is_closed


def who_may_see(poll: Poll, viewers: Sequence[Viewer]) -> list[bool]:
    """Whether each of these viewers may see counts of this poll now."""
    if poll.status == Status.DRAFT:
        return [viewer.owns(poll) for viewer in viewers]
    if anybody_may_see(poll):
        return [True] * len(viewers)
    voted = (
        _who_voted(poll, viewers)
        if poll.results_visibility == Visibility.AFTER_VOTE
        else frozenset[Viewer]()
    )
    return [viewer.owns(poll) or viewer in voted for viewer in viewers]


def _who_voted(poll: Poll, viewers: Sequence[Viewer]) -> frozenset[Viewer]:
    """Return those of the viewers whose vote counts in this poll, by one query for all."""
    paper = load_ballot_paper(poll)
    identities = {viewer: viewer.identity_for(poll) for viewer in viewers}
    keys = {
        viewer: paper.voter_key(identity)
        for viewer, identity in identities.items()
        if identity is not None
    }
    found = Participation.objects.filter(poll=poll, voter_key__in=set(keys.values()))
    voted = {bytes(key) for key in found.values_list("voter_key", flat=True)}
    return frozenset(viewer for viewer, key in keys.items() if key in voted)


def may_see_results(poll: Poll, viewer: Viewer, *, has_voted: bool = False) -> bool:
    """Whether the viewer may see counts of this poll now: the rule behind every door.

    Whoever is known to have voted in it need not be looked up.
    """
    if has_voted and poll.results_visibility == Visibility.AFTER_VOTE:
        return True
    return who_may_see(poll, [viewer])[0]


_HIDDEN = {
    Visibility.AFTER_VOTE: "They are shown after you have voted, and to everybody after closing.",
    Visibility.AFTER_CLOSE: "They are shown when the poll is closed.",
    Visibility.OWNER: "They are shown to the owner alone.",
}


def results_hidden(visibility: str) -> Refusal:
    """Return `results_hidden`, with the rule and nothing that depends on votes."""
    return Refusal(Code.RESULTS_HIDDEN, _HIDDEN[Visibility(visibility)])


def require_results(poll: Poll, viewer: Viewer) -> None:
    """Raise `results_hidden` where the viewer may not see counts now."""
    if not may_see_results(poll, viewer):
        raise results_hidden(poll.results_visibility)
