"""A poll that somebody in this process watches, and those who watch it."""

import asyncio
import uuid
from typing import TYPE_CHECKING, Protocol

from realtime.admission import Asker
from realtime.frames import Frame, Update
from realtime.lines import Way

if TYPE_CHECKING:
    from polls.domain.results import Audience


class Subscriber(Protocol):
    """One socket's interest in one poll."""

    asker: Asker
    sees_results: bool

    def update(self, update: Update, *, replace: bool) -> None:
        """Take a newer state of the poll; `replace` where it may look older than the last."""

    def fall_out(self) -> None:
        """Be told of each update from now on, not only by its frame."""

    def allow(self, update: Update) -> None:
        """Results have opened for this socket."""

    def forbid(self, update: Update) -> None:
        """Results have closed for this socket."""

    def gone(self) -> None:
        """Take it that the poll has been deleted."""


class Watched:
    """What is known of a watched poll.

    Most who watch a poll are in step: they have had `last`, may see the next count, and take
    frames as they come. All there is to do for them is to write one more, and with thousands of
    them it counts that nothing else of theirs is looked at: what is not in the processor's cache
    costs as much as the writing.
    """

    in_step: dict[Subscriber, Way]  # and the way to each

    def __init__(self, poll_id: uuid.UUID) -> None:
        self.poll_id = poll_id
        self.subscribers: set[Subscriber] = set()
        self.in_step = {}
        self.last: Update | None = None  # what was last sent
        self.waiting: Update | None = None  # what comes with the next tick
        self.sent_at = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.asking: asyncio.Task[None] | None = None  # who may see results, after a change
        self.heard = 0  # the highest seq that came by itself, not by comparing
        self.missed: int | None = None  # the seq that comparing found instead of hearing of it
        # How often who may see results has changed for somebody, and how its members last stood.
        self.audience_changes = 0
        self.audience: Audience | None = None
        # Whoever joins is asked in joining.
        self.asked_at = asyncio.get_running_loop().time()
        self.ask_timer: asyncio.TimerHandle | None = None

    def others(self) -> list[Subscriber]:
        """Return those who are not in step."""
        if len(self.in_step) == len(self.subscribers):
            return []
        return [one for one in self.subscribers if one not in self.in_step]

    def blind(self) -> list[Subscriber]:
        """Return those who may not see results."""
        return [one for one in self.others() if not one.sees_results]

    def tell(self, update: Update, *, replace: bool) -> None:
        """Tell everybody of an update, which is `last` by now."""
        others = self.others()  # as they are before the first is written to
        if self.in_step:
            self._write(update.tally)
        for subscriber in others:
            subscriber.update(update, replace=replace)

    def _write(self, frame: Frame) -> None:
        wire = frame.wire
        # Whoever does not take it all at once falls out while it is written.
        for write in list(self.in_step.values()):
            write(wire)

    def halt(self) -> None:
        """Let nobody be in step: what comes is more than one more count."""
        for subscriber in list(self.in_step):
            subscriber.fall_out()
