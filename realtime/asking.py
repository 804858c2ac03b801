"""Who may see results now: one question to the database for all polls that ask it at once."""

import asyncio
import uuid
from collections.abc import Sequence

from realtime.admission import Asker, who_may_see_now
from realtime.threads import in_thread

_Answer = list[bool] | None  # for each asker; None where the poll is gone


class Asking:
    """Gathers the questions of one turn of the event loop. Not thread-safe."""

    def __init__(self) -> None:
        self._open: dict[uuid.UUID, tuple[Sequence[Asker], asyncio.Future[_Answer]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def who_may_see(self, poll_id: uuid.UUID, askers: Sequence[Asker]) -> _Answer:
        """Return whether each of these may see a poll's results, read from now on.

        One question a poll at a time. Raises whatever kept the database from answering.
        """
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._open[poll_id] = askers, answer
        if self._task is None:
            self._task = asyncio.create_task(self._ask())
        return await answer

    async def _ask(self) -> None:
        # Whoever was woken in the same turn has asked by now.
        self._task = None
        asked, self._open = self._open, {}
        try:
            answers = await in_thread(
                who_may_see_now, {poll_id: askers for poll_id, (askers, _) in asked.items()}
            )
        except Exception as error:  # noqa: BLE001 - told to everybody who asked, whatever it is
            for _, answer in asked.values():
                if not answer.done():
                    answer.set_exception(error)
            return
        for poll_id, (_, answer) in asked.items():
            if not answer.done():  # nobody watches it any more
                answer.set_result(answers.get(poll_id))
