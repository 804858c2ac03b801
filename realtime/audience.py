"""Who may see a poll's results has changed for somebody: its sockets are asked again.

Many may lose sight of one poll within a second, by withdrawing their votes, say. So it is asked
once a second and poll at most: at once the first time, and after the last time once more.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping

from polls.domain.results import Audience
from realtime.watched import Subscriber, Watched

PACE_SECONDS = 1.0


class Paced:
    """Does something for a poll at once, and not again before its time has passed.

    Whoever calls meanwhile is served by one more doing then. Lives on one event loop.
    """

    def __init__(self, do: Callable[[uuid.UUID], None]) -> None:
        self._do = do
        self._called: dict[uuid.UUID, bool] = {}  # whether again, of those that were just done

    def __call__(self, poll_id: uuid.UUID) -> None:
        """Do it now or at the end of the pace."""
        if poll_id in self._called:
            self._called[poll_id] = True
            return
        self._called[poll_id] = False
        asyncio.get_running_loop().call_later(PACE_SECONDS, self._rested, poll_id)
        self._do(poll_id)

    def _rested(self, poll_id: uuid.UUID) -> None:
        if self._called.pop(poll_id):
            self(poll_id)


class Audiences:
    """Has the sockets of the polls that this process watches asked again.

    `ask` has some of a poll's subscribers asked, by what stands in the database from now on.
    """

    def __init__(
        self,
        watched: Mapping[uuid.UUID, Watched],
        ask: Callable[[Watched, Iterable[Subscriber]], None],
    ) -> None:
        self._watched = watched
        self._ask_some = ask
        self._ask_paced = Paced(self._ask)

    def changed(self, poll_ids: Iterable[uuid.UUID]) -> None:
        """Take it that somebody may see more or less of these polls than before."""
        for poll_id in poll_ids:
            watched = self._watched.get(poll_id)
            if watched is not None:
                watched.audience_changes += 1
                self._ask_paced(poll_id)

    def compare(self, poll_id: uuid.UUID, audience: Audience) -> None:
        """Take it from the database how its members stand, in case nobody said that they changed.

        What this process was told at once is asked once more, which does no harm.
        """
        watched = self._watched[poll_id]
        before, watched.audience = watched.audience, audience
        if before is not None and before != audience:
            self.changed([poll_id])

    def _ask(self, poll_id: uuid.UUID) -> None:
        watched = self._watched.get(poll_id)
        if watched is None:
            return
        if watched.asking is not None:  # by what stood in the database before
            watched.asking.add_done_callback(lambda _: self._ask_paced(poll_id))
        else:
            self._ask_some(watched, watched.subscribers)
