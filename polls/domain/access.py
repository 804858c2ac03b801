"""Who may reach a poll or an event, and who may see results: the one rule behind every door."""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db.models import Q, QuerySet

from polls.domain import lifecycle
from polls.domain.ballot_paper import BallotPaper, load_ballot_paper
from polls.enums import OWNER, Identity, Role, Status, Visibility
from polls.errors import Code, Refusal
from polls.models import IS_DUE, Event, Member, Participation, Poll

# How many members a poll may have.
MAX_MEMBERS = 100


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whoever asks: an account, a voter's device, a code, any of them or none."""

    user_id: int | None = None
    device: str | None = None
    # What a code stands for, in each poll that knows it: the poll and its voter key.
    code_voters: frozenset[tuple[uuid.UUID, bytes]] = frozenset()

    def owns(self, poll: Poll) -> bool:
        """Whether this is the poll's owner."""
        return self.user_id is not None and self.user_id == poll.owner_id

    def voter_keys(self, paper: BallotPaper) -> set[bytes]:
        """Return by what the poll knows this voter; nothing where nothing tells."""
        if paper.asks_for_codes:
            return {key for poll_id, key in self.code_voters if poll_id == paper.poll_id}
        known: dict[str, str | None] = {
            Identity.ACCOUNT: None if self.user_id is None else str(self.user_id),
            Identity.DEVICE: self.device,
        }
        identity = known.get(paper.poll.identity)
        return set() if identity is None else {paper.voter_key(identity)}


ANYBODY = Viewer()


@dataclass(frozen=True, slots=True)
class Roles:
    """What roles viewers have in polls, as one query has found them."""

    _members: Mapping[tuple[uuid.UUID, int], str] = field(default_factory=dict)

    def of(self, poll: Poll, viewer: Viewer) -> str | None:
        """Return `owner`, `organiser`, `viewer`, or None for anybody else."""
        if viewer.user_id is None:
            return None
        return OWNER if viewer.owns(poll) else self._members.get((poll.id, viewer.user_id))

    def runs(self, poll: Poll, viewer: Viewer) -> bool:
        """Whether this viewer may edit, open, close and reset the poll."""
        return self.of(poll, viewer) in {OWNER, Role.ORGANISER}

    def finds(self, poll: Poll, viewer: Viewer) -> bool:
        """Whether the poll exists for this viewer: a draft does for those who run it."""
        return poll.status != Status.DRAFT or self.runs(poll, viewer)


def read_roles(polls: Collection[Poll], viewers: Iterable[Viewer]) -> Roles:
    """Return the roles of these viewers in these polls, by one query at most."""
    users = {viewer.user_id for viewer in viewers if viewer.user_id is not None}
    asked = [poll.id for poll in polls if users - {poll.owner_id}]
    if not asked:
        return Roles()
    members = Member.objects.filter(poll__in=asked)
    if len(users) <= MAX_MEMBERS:  # of more viewers most are none
        members = members.filter(user__in=users)
    rows = members.values_list("poll", "user", "role")
    return Roles({(poll_id, user_id): role for poll_id, user_id, role in rows})


def role_of(poll: Poll, viewer: Viewer) -> str | None:
    """Return `owner`, `organiser`, `viewer`, or None for anybody else."""
    return read_roles([poll], [viewer]).of(poll, viewer)


def may_run(poll: Poll, viewer: Viewer) -> bool:
    """Whether the viewer may edit, open, close and reset this poll."""
    return read_roles([poll], [viewer]).runs(poll, viewer)


def access_poll(poll_id: uuid.UUID, viewer: Viewer) -> Poll:
    """Return a poll for reading or voting; a draft exists for those alone who run it.

    A poll whose time has come is opened or closed first, so that no reader meets a stale status.
    """
    return _accessed(Poll.objects.standing().filter(id=poll_id), viewer)


def _accessed(standing: QuerySet[Poll], viewer: Viewer) -> Poll:
    poll = standing.first()
    if poll is not None and poll.has_a_time and Poll.objects.due().filter(id=poll.id).exists():
        lifecycle.settle_poll(poll.id)
        poll = standing.all().first()
    if poll is None or (poll.status == Status.DRAFT and not may_run(poll, viewer)):
        raise Refusal(Code.NOT_FOUND)
    return poll


def access_poll_by_code(join_code: str, viewer: Viewer) -> Poll:
    """Return the poll of a join code, typed in either case."""
    return _accessed(Poll.objects.standing().filter(join_code=join_code.upper()), viewer)


def access_poll_for_owner(poll_id: uuid.UUID, viewer: Viewer) -> Poll:
    """Return a poll to its owner; nobody else learns whether it exists."""
    return _accessed_by(poll_id, viewer, {OWNER})


def access_poll_for_organiser(poll_id: uuid.UUID, viewer: Viewer) -> Poll:
    """Return a poll to those who run it, its owner and its organisers, to nobody else."""
    return _accessed_by(poll_id, viewer, {OWNER, Role.ORGANISER})


def access_poll_for_member(poll_id: uuid.UUID, viewer: Viewer) -> Poll:
    """Return a poll to its owner and its members, to nobody else."""
    return _accessed_by(poll_id, viewer, {OWNER, Role.ORGANISER, Role.VIEWER})


def _accessed_by(poll_id: uuid.UUID, viewer: Viewer, roles: Collection[str]) -> Poll:
    if viewer.user_id is None:
        raise Refusal(Code.AUTHENTICATION_REQUIRED)
    poll = access_poll(poll_id, viewer)
    if role_of(poll, viewer) not in roles:
        raise Refusal(Code.NOT_FOUND)
    return poll


def polls_shared_with(member: Viewer) -> QuerySet[Poll]:
    """Return the polls in which somebody has a role; of drafts those that they run."""
    return Poll.objects.standing().filter(
        Q(members__role=Role.ORGANISER) | ~Q(status=Status.DRAFT), members__user=member.user_id
    )


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
    """Return the polls of each event in their order, by one query; drafts to those who run them.

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
    roles = read_roles([poll for poll in polls if poll.status == Status.DRAFT], [viewer])
    for poll in polls:
        if roles.finds(poll, viewer):
            found[poll.event_place.event_id].append(poll)
    return found


def anybody_may_see(poll: Poll) -> bool:
    """Whether nobody need say who they are to see counts of this poll now."""
    if poll.results_visibility == Visibility.ALWAYS:
        return poll.status != Status.DRAFT
    return poll.results_visibility != Visibility.OWNER and poll.is_closed


def who_may_see(poll: Poll, viewers: Sequence[Viewer], roles: Roles | None = None) -> list[bool]:
    """Whether each of these viewers may see counts of this poll now.

    It takes one query for all their roles, unless they are known, and one for all their votes.
    """
    if anybody_may_see(poll):
        return [True] * len(viewers)
    roles = roles or read_roles([poll], viewers)
    if poll.status == Status.DRAFT:
        return [roles.runs(poll, viewer) for viewer in viewers]
    voted = (
        _who_voted(poll, viewers)
        if poll.results_visibility == Visibility.AFTER_VOTE
        else frozenset[Viewer]()
    )
    return [roles.of(poll, viewer) is not None or viewer in voted for viewer in viewers]


def _who_voted(poll: Poll, viewers: Sequence[Viewer]) -> frozenset[Viewer]:
    """Return those of the viewers whose vote stands in this poll, by one query for all."""
    paper = load_ballot_paper(poll)
    keys = {viewer: viewer.voter_keys(paper) for viewer in viewers}
    found = Participation.objects.filter(poll=poll, voter_key__in=set().union(*keys.values()))
    if not paper.is_secret:
        found = found.exclude(ballot_id=None)  # withdrawn
    voted = {bytes(key) for key in found.values_list("voter_key", flat=True)}
    return frozenset(viewer for viewer, of_viewer in keys.items() if of_viewer & voted)


def may_see_results(
    poll: Poll, viewer: Viewer, *, has_voted: bool = False, roles: Roles | None = None
) -> bool:
    """Whether the viewer may see counts of this poll now: the rule behind every door.

    Whoever is known to have voted in it need not be looked up, nor roles that are known.
    """
    if has_voted and poll.results_visibility == Visibility.AFTER_VOTE:
        return True
    return who_may_see(poll, [viewer], roles)[0]


_HIDDEN = {
    Visibility.AFTER_VOTE: "They are shown after you have voted, and to everybody after closing.",
    Visibility.AFTER_CLOSE: "They are shown when the poll is closed.",
    Visibility.OWNER: "They are shown to its organisers and viewers alone.",
}


def results_hidden(visibility: str) -> Refusal:
    """Return `results_hidden`, with the rule and nothing that depends on votes."""
    return Refusal(Code.RESULTS_HIDDEN, _HIDDEN[Visibility(visibility)])


def require_results(poll: Poll, viewer: Viewer) -> None:
    """Raise `results_hidden` where the viewer may not see counts now."""
    if not may_see_results(poll, viewer):
        raise results_hidden(poll.results_visibility)
