"""What events show now, as everybody is told it: title, and the current poll unless a draft."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass, replace

from polls.enums import Status
from polls.models import Event, Option


@dataclass(frozen=True, slots=True)
class Question:
    """A poll as whoever fills in its ballot must know it, but for its count and status."""

    poll_id: uuid.UUID
    join_code: str
    revision: int
    title: str
    description: str
    kind: str
    min_selections: int
    max_selections: int
    identity: str
    network_cap: int | None
    secrecy: str
    allow_change: bool
    results_visibility: str
    options: tuple[tuple[uuid.UUID, str], ...] = ()  # id and text, in their order


@dataclass(frozen=True, slots=True)
class Showing:
    """Where an event stands; `question` is None while nothing can be shown."""

    event_id: uuid.UUID
    seq: int
    title: str
    question: Question | None

    @property
    def poll_id(self) -> uuid.UUID | None:
        """The poll that is shown, if there is one."""
        return None if self.question is None else self.question.poll_id


_OF_POLL = (
    *("join_code", "revision", "title", "description", "kind", "min_selections"),
    "max_selections",
    *("identity", "network_cap", "secrecy", "allow_change", "results_visibility"),
)


def read_showings(event_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Showing]:
    """Return what these events show, by two queries; those that are gone are left out.

    The owner of a draft is told no more than others: one answer serves all who watch.
    """
    rows = Event.objects.filter(id__in=event_ids).values_list(
        *("id", "seq", "title", "current__status", "current__deleted_at", "current_id"),
        *(f"current__{name}" for name in _OF_POLL),
    )
    found = {}
    for event_id, seq, title, status, deleted_at, *question in rows:
        shown = status not in {None, Status.DRAFT} and deleted_at is None
        found[event_id] = Showing(event_id, seq, title, Question(*question) if shown else None)
    options: dict[uuid.UUID, list[tuple[uuid.UUID, str]]] = {}
    polls = {showing.poll_id for showing in found.values() if showing.poll_id is not None}
    if polls:
        of_polls = Option.objects.filter(poll__in=polls).order_by("poll", "position")
        for poll_id, option_id, text in of_polls.values_list("poll", "id", "text"):
            options.setdefault(poll_id, []).append((option_id, text))
    for event_id, showing in found.items():
        question = showing.question
        if question is not None:
            whole = replace(question, options=tuple(options.get(question.poll_id, ())))
            found[event_id] = replace(showing, question=whole)
    return found
