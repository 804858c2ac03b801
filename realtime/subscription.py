"""One socket's interest in one poll: how it begins, what it is told, and when it ends."""

import asyncio
import logging
import uuid
from typing import Protocol

from polls.enums import Status
from polls.errors import Code, Refusal
from realtime.admission import Admission, Asker
from realtime.frames import Update
from realtime.outbox import Outbox
from realtime.runtime import runtime
from realtime.watched import Watched

logger = logging.getLogger(__name__)

AUTH_SECONDS = 3.0  # to send a ticket, where the socket may not see results
CLOSED_SECONDS = 5.0  # from the final frame to the end of the subscription
_READINGS = 3  # of a poll whose rules change while somebody joins


class Holder(Protocol):
    """The socket that a subscription is one of."""

    outbox: Outbox

    async def refuse(self, subscription: "Subscription", refusal: Refusal) -> None:
        """Say why this poll is not, or no longer, told of."""

    async def finish(self, subscription: "Subscription") -> None:
        """Take it that the last frame has been sent some seconds ago."""

    def spawn(self, work: object) -> object:
        """Run a coroutine beside the reading of the socket."""


class Subscription:
    """Passes on to one socket what the hub says of one poll, as far as it may see it."""

    __slots__ = (
        *("poll_id", "asker", "sees_results", "joined", "_holder", "_outbox", "_watched"),
        *("_seq", "_since", "_wants_status", "_status", "_early", "_final", "_over", "_timer"),
        "_ticket_came",
    )
    _watched: Watched  # from when it is watched

    def __init__(
        self,
        holder: Holder,
        poll_id: uuid.UUID,
        asker: Asker,
        *,
        since: int | None = None,
        wants_status: bool = False,
    ) -> None:
        self.poll_id = poll_id
        self.asker = asker
        self.sees_results = False
        self._seq = -1  # what the client had when it was last out of step
        self.joined = False
        self._ticket_came = False  # and it is not known yet whom it speaks for
        self._holder = holder
        self._outbox = holder.outbox
        self._since = since
        self._wants_status = wants_status
        # What was said of it last to one who sees no counts, and by which revision.
        self._status: tuple[int, str] | None = None
        self._early: Update | None = None  # what came while it was asked for the snapshot
        self._final = False  # the last frame of counts has been sent
        self._over = False
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Hear of the poll from now on; what comes before a snapshot is kept for after it."""
        self._watched = runtime.hub.join(self.poll_id, self)

    def leave(self) -> None:
        """Hear no more of it."""
        self._over = True
        self._cancel_timer()
        self.fall_out()
        runtime.hub.leave(self.poll_id, self)

    # -- in step with the others, and out of it ----------------------------------------------

    @property
    def seq(self) -> int | None:
        """What the client has, None while it sees no results."""
        if not self.sees_results:
            return None
        last = self._watched.last
        return self._seq if last is None or self not in self._watched.in_step else last.seq

    @property
    def spoke_at(self) -> float:
        """When the client was last told something in step with the others."""
        return self._watched.sent_at if self in self._watched.in_step else 0.0

    def fall_in(self) -> None:
        """Be told of counts by their frames alone, where there is nothing else to say."""
        last, write = self._watched.last, self._outbox.way
        ready = self.sees_results and not (self._final or self._over)
        if ready and write is not None and last is not None and last.seq == self._seq:
            self._watched.in_step[self] = write

    def fall_out(self) -> None:
        """Be told of each update from now on, for this client needs more than its frame."""
        last = self._watched.last
        if self._watched.in_step.pop(self, None) is not None and last is not None:
            self._seq = last.seq

    # -- joining -----------------------------------------------------------------------------

    async def join(self, *, last_word: bool = False) -> None:
        """Begin, where this socket may; else wait for a ticket, unless that has been."""
        self._early = None
        try:
            admission = await self._ask()
        except Refusal as refusal:
            await self._wait_or_refuse(refusal, last_word=last_word)
            return
        except Exception:
            logger.exception("A socket could not join poll %s.", self.poll_id)
            await self._refuse(Refusal(Code.UNAVAILABLE))
            return
        if self._over or self.sees_results:
            return
        update, hidden = admission.update, admission.hidden
        early, self._early = self._early, None
        if early is not None and _follows(early, update):
            update, early = early, None
        if hidden is None:
            self._begin(update)
        elif self._wants_status:
            self._cancel_timer()
            self.joined = True
            self._tell_status(update)
            if update.final:
                self._end_soon()
        else:
            await self._wait_or_refuse(hidden, last_word=last_word)
            return
        if early is not None and early.seq > update.seq:
            self.update(early)
        # Whoever joined earlier is at least told what was just read.
        runtime.hub.deliver(update)

    async def speak_for(self, asker: Asker) -> None:
        """Take a ticket's word for who asks."""
        self.asker = asker
        self._ticket_came = False
        if not self.sees_results:
            await self.join(last_word=True)
            return
        try:
            admission = await self._ask()
        except Refusal as refusal:
            await self._refuse(refusal)
        except Exception:
            logger.exception("A socket in poll %s could not be asked for anew.", self.poll_id)
            await self._refuse(Refusal(Code.UNAVAILABLE))
        else:
            if admission.hidden is not None and self.sees_results:
                self.forbid(admission.update)

    def ticket_came(self) -> None:
        """Wait for the ticket's look-up, however long it takes: it has come in time."""
        self._ticket_came = True
        if not self.joined:
            self._cancel_timer()

    async def go_without(self) -> None:
        """Take it that the ticket was for other polls, and that there will be no other."""
        self._ticket_came = False
        if not self.sees_results:
            await self.join(last_word=True)

    def wait_again(self) -> None:
        """Wait for another ticket: that one was for other polls."""
        self._ticket_came = False
        if not (self.joined or self._over) and self._timer is None:
            self._wait()

    async def _ask(self) -> Admission:
        """Return whether this socket may see results, asked again where the hub knows better.

        A restored database stays behind the hub for a few seconds; it has the last word.
        """
        for _ in range(_READINGS):
            changes = self._watched.audience_changes
            admission = await runtime.reception.admit(self.poll_id, self.asker)
            if changes != self._watched.audience_changes:
                continue  # who may see it has changed since, perhaps for this very socket
            last, read = runtime.hub.last(self.poll_id), admission.update
            if last is None or last.seq <= read.seq:
                break
            if not last.deleted and (last.revision, last.status) == (read.revision, read.status):
                break
        return admission

    def _begin(self, update: Update) -> None:
        """Send what the client needs to be up to date."""
        self._cancel_timer()
        self.sees_results = self.joined = True
        self._seq = update.seq
        self._status = None  # whoever is shut out later is told the status anew
        up_to_date = self._since == update.seq and not update.final
        self._since = None
        self._outbox.post(self.poll_id, update.hello if up_to_date else update.snapshot)
        if update.final:
            self._final = True
            self._end_soon()

    async def _wait_or_refuse(self, refusal: Refusal, *, last_word: bool) -> None:
        if last_word:
            await self._refuse(refusal)
        elif not self._over:
            self._wait()

    def _wait(self) -> None:
        # An unknown poll waits as long as a hidden one: the time tells nothing of drafts.
        # It is asked for once more then, for the results may have opened meanwhile.
        def too_late() -> None:
            self._timer = None
            self._holder.spawn(self.join(last_word=True))

        self._cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(AUTH_SECONDS, too_late)

    # -- what the hub says -------------------------------------------------------------------

    def update(self, update: Update, *, replace: bool = False) -> None:
        """Take a newer state of the poll."""
        if not self.sees_results:
            self._early = update  # whoever is told the status may be joining by a ticket
            if self.joined:
                self._tell_status(update)
            return
        if self._final:
            return
        if update.seq == self._seq:
            self.fall_in()
            return
        older = update.seq < self._seq
        if older and not replace:
            return
        self._seq = update.seq
        begin = older or not self._outbox.has_begun(self.poll_id)
        self._outbox.post(self.poll_id, update.snapshot if begin else update.tally)
        if update.final:
            self._final = True
            self._end_soon()
        self.fall_in()

    def _tell_status(self, update: Update) -> None:
        # With a reset nothing changes that may be told, but whoever has voted must ask again.
        standing = (update.revision, update.standing)
        if self._wants_status and standing != self._status:
            self._status = standing
            self._since = None  # what the client had is forgotten with it
            self._outbox.post(self.poll_id, update.status_frame)
            if update.final:
                self._end_soon()

    def allow(self, update: Update) -> None:
        """Take it that results have opened for this socket."""
        if self.joined:
            self._begin(update)
            self.fall_in()

    def forbid(self, update: Update) -> None:
        """Take it that results have closed for this socket."""
        self.fall_out()
        self.sees_results = False
        self._outbox.forget(self.poll_id)
        # Whoever may see a draft no longer is told nothing more of it, not even its status.
        if self._wants_status and update.status != Status.DRAFT:
            self._tell_status(update)
        elif self._ticket_came:
            self.joined = False  # it has the last word
        else:
            self._holder.spawn(self._refuse(Refusal(Code.RESULTS_HIDDEN)))

    def gone(self) -> None:
        """Take it that the poll has been deleted."""
        if not self.joined:
            return  # it is refused when its time is up, as if the poll had never been
        self.fall_out()
        self.sees_results = False
        self._outbox.forget(self.poll_id)
        self._holder.spawn(self._refuse(Refusal(Code.NOT_FOUND)))

    # -- ending ------------------------------------------------------------------------------

    async def _refuse(self, refusal: Refusal) -> None:
        if not self._over:
            await self._holder.refuse(self, refusal)

    def _end_soon(self) -> None:
        """End some seconds after the final frame; clients do not come back."""

        def end() -> None:
            self._holder.spawn(self._holder.finish(self))

        self._cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(CLOSED_SECONDS, end)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _follows(early: Update, read: Update) -> bool:
    """Whether an update is newer than what was read, by the same rule of who sees it."""
    same_rule = (early.revision, early.status) == (read.revision, read.status)
    return same_rule and early.seq > read.seq
