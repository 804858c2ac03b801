"""What happens to polls by itself: openings, deadlines, certifying, purging.

Every process sweeps, so none has to be special; the database lets one of them win.
"""

import logging
import threading
from collections.abc import Callable

from django.db import connection

from polls.domain import deadline, erasure, lifecycle, purge, retention, secrecy
from polls.domain.retention import hourly

logger = logging.getLogger(__name__)

SECONDS = 1.0
_PATIENCE = 30.0  # seconds for one chore; a recount of ten million votes takes about one

_CHORES: tuple[Callable[[], None], ...] = (
    lifecycle.settle_due_polls,
    lifecycle.certify_closed_polls,
    purge.purge_expired_tickets,
    purge.purge_deleted_polls,
    erasure.finish_erasures,
    hourly(retention.delete_old_polls),
    hourly(retention.destroy_old_keys),
    hourly(retention.forget_destroyed_keys),
    hourly(retention.remove_expired_sign_ins),
)


class Sweep:
    """A thread that does the chores each second, and at once when woken."""

    def __init__(self) -> None:
        self._wake = threading.Event()
        self._stopping = False
        self._failing: set[str] = set()  # chores that failed when they were last done
        self._thread = threading.Thread(target=self._run, name="sweep", daemon=True)
        self._shuffle: threading.Thread | None = None

    def start(self) -> None:
        """Begin sweeping."""
        self._thread.start()

    def wake(self) -> None:
        """Sweep now: a poll has been closed and waits to be certified."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread after the chore it is at, a shuffle after its next transaction."""
        self._stopping = True
        self._wake.set()
        self._thread.join()
        if self._shuffle is not None:
            self._shuffle.join()

    def _run(self) -> None:
        while not self._stopping:
            for chore in (*_CHORES, self._begin_shuffle):
                if not self._stopping:
                    self._do(chore)
            self._wake.wait(SECONDS)
            self._wake.clear()
        connection.close()

    def _begin_shuffle(self) -> None:
        """Shuffle in a thread besides: it may take minutes, for which no deadline waits."""
        if self._shuffle is not None and self._shuffle.is_alive():
            return
        if secrecy.polls_to_shuffle().exists():
            self._shuffle = threading.Thread(target=self._run_shuffle, name="shuffle", daemon=True)
            self._shuffle.start()

    def _run_shuffle(self) -> None:
        self._do(self._shuffle_closed_polls)
        connection.close()
        self.wake()  # they can be certified now

    def _shuffle_closed_polls(self) -> None:
        secrecy.shuffle_closed_polls(lambda: not self._stopping)

    def _do(self, chore: Callable[[], None]) -> None:
        try:
            with deadline.until(deadline.now_plus(_PATIENCE)):
                connection.close_if_unusable_or_obsolete()
                chore()
        except Exception:
            # The next sweep tries again; a database that is down is no reason to stop, nor to
            # fill the log.
            if chore.__name__ not in self._failing:
                logger.exception("%s failed; trying again each second.", chore.__name__)
            self._failing.add(chore.__name__)
            connection.close()
        else:
            if chore.__name__ in self._failing:
                logger.warning("%s works again.", chore.__name__)
            self._failing.discard(chore.__name__)
