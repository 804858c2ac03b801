"""The hub: who in this process watches which poll, and what they were last told.

One subscription per watched poll and process. A frame is encoded once and the same text handed to
every socket. Updates are absolute and versioned, so one that is lost, doubled or late does no
harm; every few seconds all watched polls are compared with the database.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterable

from django.conf import settings

from polls.domain.ballot_paper import last_count
from polls.domain.results import read_counts, read_versions
from realtime.admission import Asker
from realtime.asking import Asking
from realtime.audience import Audiences
from realtime.frames import Update
from realtime.shows import Shows
from realtime.threads import in_thread
from realtime.watched import Subscriber, Watched

logger = logging.getLogger(__name__)

RECONCILE_SECONDS = 5.0
REAUTHORISE_SECONDS = 60.0
_REVOKED_SECONDS = 1.0
_VOTERS_SECONDS = 1.0  # how often waiting viewers of an `after_vote` poll are looked up


class Hub:
    """All that this process watches. Lives on one event loop and is not thread-safe."""

    def __init__(self) -> None:
        self.watched: dict[uuid.UUID, Watched] = {}
        self.shows = Shows()  # the same of events
        self.audiences = Audiences(self.watched, self.ask)
        self.changed = asyncio.Event()  # the set of watched polls has changed
        self.revoked = asyncio.Event()  # who may see what has changed, for whatever poll
        self.deaf = asyncio.Event()  # a poll moved, and nobody said so in time
        self._asking = Asking()
        self._tick = settings.TICK_MS / 1000
        self._now = asyncio.get_running_loop().time

    def join(self, poll_id: uuid.UUID, subscriber: Subscriber) -> Watched:
        """Let a subscriber hear of a poll from now on."""
        watched = self.watched.get(poll_id)
        if watched is None:
            watched = self.watched[poll_id] = Watched(poll_id)
            self.changed.set()
        watched.subscribers.add(subscriber)
        return watched

    def leave(self, poll_id: uuid.UUID, subscriber: Subscriber) -> None:
        """Let a subscriber hear no more; the last one ends the watching."""
        watched = self.watched.get(poll_id)
        if watched is None:
            return
        watched.in_step.pop(subscriber, None)
        watched.subscribers.discard(subscriber)
        if not watched.subscribers:
            for work in (watched.timer, watched.asking, watched.ask_timer):
                if work is not None:
                    work.cancel()
            del self.watched[poll_id]
            self.changed.set()

    def last(self, poll_id: uuid.UUID) -> Update | None:
        """Return what those who watch a poll were last told."""
        watched = self.watched.get(poll_id)
        return None if watched is None else watched.last

    def hear(self, update: Update) -> None:
        """Pass on an update that has come by itself: of this process, or of another."""
        watched = self.watched.get(update.poll_id)
        if watched is not None:
            watched.heard = max(watched.heard, update.seq)
            self.deliver(update)

    def deliver(self, update: Update, *, replace: bool = False) -> None:
        """Pass on an update unless it is old; at most one a tick and poll, the newest.

        `replace` is for what was just read from the database to compare: it counts even with a
        lower seq, for the database may have been restored.
        """
        watched = self.watched.get(update.poll_id)
        if watched is None:
            return
        last = watched.waiting or watched.last
        if last is not None and not replace and update.seq <= last.seq:
            return
        if watched.asking is not None or watched.timer is not None:
            watched.waiting = update
            return
        wait = watched.sent_at + self._tick - self._now()
        if wait > 0 and not update.final:
            watched.waiting = update
            watched.timer = asyncio.get_running_loop().call_later(wait, self._due, watched)
            return
        self._send(watched, update)

    def _due(self, watched: Watched) -> None:
        """Send what has waited for its tick."""
        watched.timer = None
        if watched.asking is not None:
            return  # it is sent once the answer is there
        update, watched.waiting = watched.waiting, None
        if update is not None:
            # It has waited for up to a tick; what votes have come meanwhile need not. Where it goes
            # back behind what was told, a restored database has lost those of the last flush.
            goes_back = watched.last is not None and update.seq < watched.last.seq
            count = None if goes_back else last_count(watched.poll_id)
            if count is not None and count.seq > update.seq:
                update = Update.of(count)
            self._send(watched, update)

    def _send(self, watched: Watched, update: Update) -> None:
        last = watched.last
        replace = last is not None and update.seq < last.seq
        if replace:
            watched.heard = update.seq  # what was heard has not happened
        if replace or update.final or last is None or last.revision != update.revision:
            watched.halt()
        watched.last = update
        watched.sent_at = self._now()
        if update.deleted:
            _tell_gone(watched)
            return
        if last is not None and last.revision != update.revision:
            # The rule of who sees what may have changed: ask before anybody is sent a number.
            self.ask(watched, watched.subscribers, news=True, replace=replace)
            return
        watched.tell(update, replace=replace)
        blind = watched.blind()
        if not blind:
            return
        if last is not None and last.status != update.status:
            self.ask(watched, blind)
        elif watched.ask_timer is None:
            # One of them may just have voted. Looked up once a second at most, however many do.
            wait = watched.asked_at + _VOTERS_SECONDS - self._now()
            watched.ask_timer = asyncio.get_running_loop().call_later(
                max(0.0, wait), self._ask_blind, watched
            )

    def _ask_blind(self, watched: Watched) -> None:
        """Ask anew for those who could not see results when they were last asked for."""
        watched.ask_timer = None
        blind = watched.blind()
        if watched.asking is not None:
            watched.ask_timer = asyncio.get_running_loop().call_later(
                _VOTERS_SECONDS, self._ask_blind, watched
            )
        elif blind:
            self.ask(watched, blind)

    def ask(
        self,
        watched: Watched,
        subscribers: Iterable[Subscriber],
        *,
        news: bool = False,
        replace: bool = False,
    ) -> None:
        """Ask the database anew who of these may see results; nothing is sent meanwhile.

        `news` says that they have not been told of `watched.last` yet.
        """
        if watched.last is None:
            return
        watched.asked_at = self._now()
        watched.asking = asyncio.create_task(
            self._reauthorise(watched, watched.last, list(subscribers), news=news, replace=replace)
        )

    async def _reauthorise(
        self,
        watched: Watched,
        update: Update,
        subscribers: list[Subscriber],
        *,
        news: bool,
        replace: bool,
    ) -> None:
        try:
            await self._ask_until_known(watched, update, subscribers, news=news, replace=replace)
        finally:
            watched.asking = None
        if news:
            watched.sent_at = self._now()
        waiting, watched.waiting = watched.waiting, None
        if waiting is not None and waiting.seq != update.seq:
            self.deliver(waiting, replace=True)

    async def _ask_until_known(
        self,
        watched: Watched,
        update: Update,
        subscribers: list[Subscriber],
        *,
        news: bool,
        replace: bool,
    ) -> None:
        while subscribers:
            asked = [(subscriber.asker, subscriber.sees_results) for subscriber in subscribers]
            try:
                allowed = await self._asking.who_may_see(
                    watched.poll_id, [asker for asker, _ in asked]
                )
            except Exception:
                # Not knowing, show nothing, and ask again.
                logger.exception("Who may see poll %s could not be asked.", watched.poll_id)
                await asyncio.sleep(1)
                continue
            if allowed is None:
                _tell_gone(watched)
                break
            again = []
            for subscriber, before, may in zip(subscribers, asked, allowed, strict=True):
                if subscriber not in watched.subscribers:
                    continue
                if before == (subscriber.asker, subscriber.sees_results):
                    _tell(subscriber, update, may=may, news=news, replace=replace)
                else:
                    # A ticket, or an answer that was read later than this one, has come meanwhile.
                    again.append(subscriber)
            subscribers = again

    async def reconcile(self) -> None:
        """Compare all that is watched with the database, and tell those who are behind.

        It is one query for all polls, of which only the counts of those that differ are read, and
        one for all events.
        """
        self.shows.compare()
        polls = list(self.watched)
        if not polls:
            return
        versions = await in_thread(read_versions, polls)
        behind = []
        for poll_id in polls:
            watched, version = self.watched.get(poll_id), versions.get(poll_id)
            if watched is None:
                continue
            if version is None:
                _tell_gone(watched)
                continue
            self.audiences.compare(poll_id, version.audience)
            if watched.missed is not None and watched.heard < watched.missed:
                self.deaf.set()  # it has had all the time since the last comparison
            watched.missed = None
            last = watched.waiting or watched.last
            if last is None or (last.seq, last.status) != (version.seq, version.status):
                behind.append(poll_id)
                watched.missed = version.seq
            elif watched.waiting is None and watched.asking is None:
                _help_up(watched, last)
        if behind:
            await self._catch_up(behind)

    async def _catch_up(self, behind: list[uuid.UUID]) -> None:
        counts = await in_thread(read_counts, behind)
        for poll_id, count in counts.items():
            watched = self.watched.get(poll_id)
            if watched is None:
                continue
            update = Update.of(count)
            last = watched.waiting or watched.last
            if last is not None and (last.seq, last.status) == (update.seq, update.status):
                continue  # it has come by itself while this was read
            # A vote may have been sent while this was read: only a restored database
            # shows a lower seq twice in a row, so an older reading is checked again.
            if last is None or update.seq > last.seq or await _still_shown(update):
                self.deliver(update, replace=True)

    async def reauthorise_all(self) -> None:
        """Ask anew who may see what, for whatever may have ended without a word of it."""
        await self._reauthorise_those(lambda asker: asker.may_end)

    async def reauthorise_revoked(self) -> None:
        """Do so for tokens and sessions whenever one is revoked, once a second at most."""
        while True:
            await self.revoked.wait()
            self.revoked.clear()
            await self._reauthorise_those(lambda asker: asker.is_signed_in)
            await asyncio.sleep(_REVOKED_SECONDS)

    async def _reauthorise_those(self, concerned: Callable[[Asker], bool]) -> None:
        for watched in list(self.watched.values()):
            # By what stood in the database before; what ends may lead to the next question.
            while watched.asking is not None and not watched.asking.done():
                await asyncio.wait([watched.asking])
            # Whoever is nobody in particular has nothing that could end.
            bound = [one for one in watched.subscribers if concerned(one.asker)]
            if bound:
                self.ask(watched, bound)


def _tell(subscriber: Subscriber, update: Update, *, may: bool, news: bool, replace: bool) -> None:
    """Tell a subscriber what the answer to whether they may see results means for them."""
    if may and not subscriber.sees_results:
        subscriber.allow(update)
    elif not may and subscriber.sees_results:
        subscriber.forbid(update)
    elif news:
        subscriber.update(update, replace=replace)


def _help_up(watched: Watched, last: Update) -> None:
    """Tell of the last update whoever sees results and has not had it, for whatever reason."""
    for subscriber in watched.others():
        if subscriber.sees_results:
            subscriber.update(last, replace=False)


def _tell_gone(watched: Watched) -> None:
    for subscriber in list(watched.subscribers):
        subscriber.gone()


async def _still_shown(update: Update) -> bool:
    """Whether the database still shows this seq, so that it was not just read too early."""
    again = await in_thread(read_counts, [update.poll_id])
    return update.poll_id in again and again[update.poll_id].seq == update.seq
