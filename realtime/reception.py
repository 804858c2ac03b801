"""Where sockets ask to be let in: a poll is read once for all who ask at the same time."""

import asyncio
import uuid

from realtime.admission import Admission, Answer, Asker, admit, admit_to
from realtime.threads import in_thread

# A hall of dashboards that comes back after a cut costs one poll no more than this.
READING_SECONDS = 0.8  # between two readings of one poll, in the long run
READINGS_AT_ONCE = 3  # that those who come now and then need not wait for
_REMEMBERED = 1024  # polls, before those that were read long ago are forgotten

_Asked = tuple[Asker, asyncio.Future[Answer]]


class Reception:
    """Answers whoever asks by a reading that began after they asked."""

    def __init__(self) -> None:
        self._waiting: dict[uuid.UUID, list[_Asked]] = {}
        self._somebody = asyncio.Event()
        # When each poll would be read next if it were read as often as it may be.
        self._next: dict[uuid.UUID, float] = {}
        self._settling: set[asyncio.Task[None]] = set()

    async def admit(self, poll_id: uuid.UUID, asker: Asker) -> Admission:
        """Return where a poll stands and whether this asker may see it; raises `not_found`."""
        asked: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(poll_id, []).append((asker, asked))
        self._somebody.set()
        answer = await asked
        if isinstance(answer, Admission):
            return answer
        raise answer

    async def run(self) -> None:
        """Read for those who ask, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._somebody.wait()
            self._somebody.clear()
            taken, wait = self._take_turns(loop.time())
            if taken:
                await self._answer(taken)
            if self._waiting:
                # Too early for these. Whoever asks meanwhile only makes it look once more.
                loop.call_later(wait, self._somebody.set)

    def _take_turns(self, now: float) -> tuple[dict[uuid.UUID, list[_Asked]], float]:
        """Return who is answered now, and in how many seconds the next of the others may be."""
        ahead = READING_SECONDS * (READINGS_AT_ONCE - 1)
        turns = {poll_id: self._next.get(poll_id, now) - ahead - now for poll_id in self._waiting}
        taken = {id_: self._waiting.pop(id_) for id_, wait in turns.items() if wait <= 0}
        for poll_id in taken:
            self._next[poll_id] = max(now, self._next.get(poll_id, now)) + READING_SECONDS
        if len(self._next) > _REMEMBERED:
            self._next = {id_: at for id_, at in self._next.items() if at > now}
        return taken, min((wait for wait in turns.values() if wait > 0), default=0.0)

    async def _answer(self, taken: dict[uuid.UUID, list[_Asked]]) -> None:
        askers = {poll_id: [asker for asker, _ in asked] for poll_id, asked in taken.items()}
        try:
            answers = await in_thread(admit, askers)
        except Exception as error:  # noqa: BLE001 - told to everybody who asked, whatever it is
            for asked in taken.values():
                _fail(asked, error)
            return
        for poll_id, asked in taken.items():
            if poll_id in answers:
                _tell(asked, answers[poll_id])
            else:
                task = asyncio.create_task(_settle(poll_id, asked))
                self._settling.add(task)
                task.add_done_callback(self._settling.discard)


async def _settle(poll_id: uuid.UUID, asked: list[_Asked]) -> None:
    try:
        answers = await in_thread(admit_to, poll_id, [asker for asker, _ in asked])
    except Exception as error:  # noqa: BLE001 - the same
        _fail(asked, error)
    else:
        _tell(asked, answers)


def _tell(asked: list[_Asked], answers: list[Answer]) -> None:
    for (_, waiting), answer in zip(asked, answers, strict=True):
        if not waiting.done():  # it left meanwhile
            waiting.set_result(answer)


def _fail(asked: list[_Asked], error: Exception) -> None:
    for _, waiting in asked:
        if not waiting.done():
            waiting.set_exception(error)
