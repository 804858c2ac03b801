"""The frames that go over a WebSocket, each encoded once whoever receives it."""

import uuid
from dataclasses import dataclass
from enum import IntEnum

from polls import compact_json
from polls.domain.results import Count
from polls.errors import CATALOGUE, Code
from polls.text import rfc3339

PONG = '{"type":"pong"}'


class Close(IntEnum):
    """Why a socket was closed."""

    NORMAL = 1000
    TOO_SLOW = 4408

    @staticmethod
    def after(code: Code) -> int:
        """Return the close code that follows an error frame: 4000 and the HTTP status."""
        return 4000 + CATALOGUE[code].status


@dataclass(frozen=True, slots=True)
class Update:
    """Where a poll stands, in the frames that say so. It travels between processes as it is."""

    poll_id: uuid.UUID
    seq: int
    status: str
    revision: int
    deleted: bool
    final: bool
    counts: str  # the frame's fields after its type, for those who may see results
    status_frame: str  # the frame for those who may not: it holds no number that depends on votes

    @classmethod
    def of(cls, count: Count) -> "Update":
        """Return the update that a count makes."""
        counts = {
            "poll": str(count.poll_id),
            "status": count.status_now,
            "seq": count.seq,
            "ballots": count.ballots,
            "options": [{"id": str(option.id), "votes": option.votes} for option in count.options],
        }
        if count.final:
            counts["final"] = True
        status = {
            "type": "status",
            "poll": str(count.poll_id),
            "status": count.status_now,
            "opens_at": rfc3339(count.opens_at),
            "closes_at": rfc3339(count.closes_at),
        }
        return cls(
            poll_id=count.poll_id,
            seq=count.seq,
            status=count.status_now,
            revision=count.revision,
            deleted=count.deleted,
            final=count.final,
            counts=compact_json.dumps(counts)[1:],
            status_frame=compact_json.dumps(status),
        )

    def to_message(self) -> dict[str, object]:
        """Return the update as plain values for the channel layer."""
        return {
            "type": "poll.update",
            "poll_id": self.poll_id.hex,
            "seq": self.seq,
            "status": self.status,
            "revision": self.revision,
            "deleted": self.deleted,
            "final": self.final,
            "counts": self.counts,
            "status_frame": self.status_frame,
        }

    @classmethod
    def from_message(cls, message: dict[str, object]) -> "Update":
        """Return the update that another process published."""
        fields = {name: value for name, value in message.items() if name != "type"}
        fields["poll_id"] = uuid.UUID(str(fields["poll_id"]))
        return cls(**fields)  # type: ignore[arg-type] # our own to_message made it

    @property
    def tally(self) -> str:
        """The frame of a count that moved, or of the last one there will be."""
        return self._frame("closed" if self.final else "tally")

    @property
    def snapshot(self) -> str:
        """The frame that replaces whatever the client has."""
        return self._frame("closed" if self.final else "snapshot")

    def _frame(self, kind: str) -> str:
        return f'{{"type":"{kind}",{self.counts}'


def hello(poll_id: uuid.UUID, seq: int) -> str:
    """Return the frame for a client that is up to date."""
    return compact_json.dumps({"type": "hello", "poll": str(poll_id), "seq": seq})


def heartbeat(seq: int | None) -> str:
    """Return the frame after a long silence; its seq only for those who may see results."""
    return compact_json.dumps(
        {"type": "heartbeat"} if seq is None else {"type": "heartbeat", "seq": seq}
    )


def error(code: Code, detail: str = "", poll_id: uuid.UUID | None = None) -> str:
    """Return the frame that says why the socket is about to be closed."""
    body: dict[str, object] = {
        "type": "error",
        "code": str(code),
        "detail": detail or CATALOGUE[code].remedy,
    }
    if poll_id is not None:
        body["poll"] = str(poll_id)
    return compact_json.dumps(body)
