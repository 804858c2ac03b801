"""What events show now, as everybody is told it: title, and the current poll unless a draft."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass

from polls.enums import Status
from polls.models import Event


@dataclass(frozen=True, slots=True)
class Showing:
    """Where an event stands; `poll_id` and `join_code` are None while nothing can be shown."""

    event_id: uuid.UUID
    seq: int
    title: str
    poll_id: uuid.UUID | None
    join_code: str | None


def read_showings(event_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Showing]:
    """Return what these events show, by one query; those that are gone are left out.

    The owner of a draft is told no more than others: one answer serves all who watch.
    """
    rows = Event.objects.filter(id__in=event_ids).values_list(
        *("id", "seq", "title", "current_id", "current__join_code", "current__status"),
        "current__deleted_at",
    )
    found = {}
    for event_id, seq, title, poll_id, join_code, status, deleted_at in rows:
        if poll_id is None or status == Status.DRAFT or deleted_at is not None:
            poll_id, join_code = None, None  # noqa: PLW2901 - this row's
        found[event_id] = Showing(event_id, seq, title, poll_id, join_code)
    return found
