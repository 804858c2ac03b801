"""What can happen to a poll, to an event or to who may see it, and the one sink that hears of it.

The domain publishes after commit; realtime plugs the sink in when it is ready. Without a sink
(a management command, a migration) an event is dropped: dashboards compare themselves with the
database every few seconds, so nothing depends on hearing of it.
"""

import logging
import uuid
from collections.abc import Callable
from enum import StrEnum

logger = logging.getLogger(__name__)


class Event(StrEnum):
    """What changed; the database says to what."""

    VOTED = "voted"
    OPENED = "opened"
    CLOSED = "closed"
    EDITED = "edited"
    DELETED = "deleted"
    AGENDA = "agenda"  # an event's title, order or current poll; the id is the event's
    # Who may see a poll's results has changed for somebody: its sockets are asked again.
    AUDIENCE = "audience"
    REVOKED = "revoked"  # somebody's token no longer counts, for whatever poll


Sink = Callable[[uuid.UUID | None, Event], None]
_sinks: list[Sink] = []


def set_sink(sink: Sink) -> None:
    """Make `sink` the one that hears of every event. It must be quick and thread-safe."""
    _sinks[:] = [sink]


def publish(poll_id: uuid.UUID | None, event: Event) -> None:
    """Tell the sink, after commit; None is for no poll in particular, AGENDA has an event's id.

    A broken sink is logged and never reaches the voter.
    """
    for sink in _sinks:
        try:
            sink(poll_id, event)
        except Exception:
            logger.exception("The event %s of poll %s was not delivered.", event, poll_id)
