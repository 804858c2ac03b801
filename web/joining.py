"""What a code shows: a poll, or whatever poll its event shows now."""

import uuid
from dataclasses import dataclass

from polls.domain.access import Viewer, access_by_code, access_poll
from polls.domain.agenda import order_of
from polls.domain.now_showing import read_showings
from polls.errors import Code, Refusal
from polls.models import Event, Poll


@dataclass(frozen=True, slots=True)
class Joined:
    """Where a code has led: a poll, an event with its current poll, or one that shows none."""

    poll: Poll | None
    event: Event | None = None

    @property
    def code(self) -> str:
        """The code that people type: the event's, where there is one."""
        holder = self.event or self.poll
        assert holder is not None  # noqa: S101 - a code leads to one of them
        return holder.join_code

    @property
    def live(self) -> str:
        """The path of the socket that follows it."""
        if self.event is not None:
            return f"/ws/events/{self.event.id}/"
        assert self.poll is not None  # noqa: S101 - the same
        return f"/ws/polls/{self.poll.id}/"


def join(join_code: str, viewer: Viewer) -> Joined:
    """Return what a code shows to this viewer, or raise `not_found`."""
    found = access_by_code(join_code, viewer)
    if isinstance(found, Poll):
        return Joined(found)
    showing = read_showings([found.id]).get(found.id)
    poll_id = showing and showing.poll_id
    return Joined(access_poll(poll_id, viewer) if poll_id else None, found)


def joined_poll(joined: Joined, poll_id: str, viewer: Viewer) -> Poll:
    """Return the poll that a form was for: the event may show another since.

    Raises `not_found` for one that the code does not lead to.
    """
    if joined.event is None:
        assert joined.poll is not None  # noqa: S101 - no event, so a poll
        return joined.poll
    try:
        wanted = uuid.UUID(poll_id)
    except ValueError:
        raise Refusal(Code.NOT_FOUND) from None
    if wanted not in order_of(joined.event):
        raise Refusal(Code.NOT_FOUND)
    return access_poll(wanted, viewer)


def neighbours(event: Event, poll_id: uuid.UUID) -> tuple[uuid.UUID | None, uuid.UUID | None]:
    """Return the polls before and after one in its event."""
    order = order_of(event)
    if poll_id not in order:
        return None, None
    place = order.index(poll_id)
    return (
        order[place - 1] if place > 0 else None,
        order[place + 1] if place + 1 < len(order) else None,
    )
