"""The frames that go over a WebSocket, each encoded once whoever receives it."""

import struct
import uuid
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from polls import compact_json
from polls.domain.now_showing import Question, Showing
from polls.domain.results import Count
from polls.errors import CATALOGUE, Code
from polls.text import rfc3339


class Close(IntEnum):
    """Why a socket was closed."""

    NORMAL = 1000
    # Said by the web server itself, without an error frame.
    BAD_PROTOCOL = 1002
    NOT_UTF8 = 1007
    FLOOD = 1008
    TOO_BIG = 1009
    NO_PONG = 1011
    RESTART = 1012
    TOO_SLOW = 4408

    @staticmethod
    def after(code: Code) -> int:
        """Return the close code that follows an error frame: 4000 and the HTTP status."""
        return 4000 + CATALOGUE[code].status


_FINAL_TEXT = 0x81  # RFC 6455, section 5.2: a whole message in one frame, of text
_BYTE, _TWO_BYTES, _EIGHT_BYTES = 125, 126, 127  # how long the length itself is


@dataclass(frozen=True)
class Frame:
    """A text, and the two forms in which servers take it; each is made once and then shared.

    One that begins a poll's frames tells everything, whatever the client has: another frame must
    not take its place.
    """

    text: str
    begins: bool = False

    @cached_property
    def wire(self) -> bytes:
        """The WebSocket frame that a server sends (RFC 6455, section 5.2): unmasked."""
        payload = self.text.encode()
        size = len(payload)
        if size <= _BYTE:
            return struct.pack("!BB", _FINAL_TEXT, size) + payload
        if size < 1 << 16:
            return struct.pack("!BBH", _FINAL_TEXT, _TWO_BYTES, size) + payload
        return struct.pack("!BBQ", _FINAL_TEXT, _EIGHT_BYTES, size) + payload

    @cached_property
    def message(self) -> dict[str, str]:
        """The ASGI message that has a server make that frame."""
        return {"type": "websocket.send", "text": self.text}


PONG = Frame('{"type":"pong"}')


@dataclass(frozen=True)
class Update:
    """Where a poll stands, in the frames that say so. It travels between processes as it is."""

    poll_id: uuid.UUID
    seq: int
    status: str
    revision: int
    deleted: bool
    final: bool
    counts: str  # the frame's fields after its type, for those who may see results
    standing: str  # the same for those who may not: no number in it depends on votes

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
        standing = {
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
            standing=compact_json.dumps(standing)[1:],
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
            "standing": self.standing,
        }

    @classmethod
    def from_message(cls, message: dict[str, object]) -> "Update":
        """Return the update that another process published."""
        fields = {name: value for name, value in message.items() if name != "type"}
        fields["poll_id"] = uuid.UUID(str(fields["poll_id"]))
        return cls(**fields)  # type: ignore[arg-type] # our own to_message made it

    @cached_property
    def tally(self) -> Frame:
        """The frame of a count that moved, or of the last one there will be."""
        return self.snapshot if self.final else Frame(f'{{"type":"tally",{self.counts}')

    @cached_property
    def snapshot(self) -> Frame:
        """The frame that replaces whatever the client has."""
        kind = "closed" if self.final else "snapshot"
        return Frame(f'{{"type":"{kind}",{self.counts}', begins=True)

    @cached_property
    def hello(self) -> Frame:
        """The frame for a client that is up to date."""
        hello = {"type": "hello", "poll": str(self.poll_id), "seq": self.seq}
        return Frame(compact_json.dumps(hello), begins=True)

    @cached_property
    def status_frame(self) -> Frame:
        """The frame for those who may not see results."""
        return Frame(f'{{"type":"status",{self.standing}')


def event(showing: Showing) -> Frame:
    """Return the frame that says what an event shows now; it takes the place of any before it."""
    current = None if showing.question is None else _question(showing.question)
    said = {
        "type": "event",
        "event": str(showing.event_id),
        "seq": showing.seq,
        "title": showing.title,
        "current": current,
    }
    return Frame(compact_json.dumps(said))


def _question(question: Question) -> dict[str, object]:
    """Return all that a voter's page needs to draw the ballot: nobody need ask for it."""
    return {
        "poll": str(question.poll_id),
        "join_code": question.join_code,
        "revision": question.revision,
        "title": question.title,
        "description": question.description,
        "kind": question.kind,
        "min_selections": question.min_selections,
        "max_selections": question.max_selections,
        "identity": question.identity,
        "network_cap": question.network_cap,
        "secrecy": question.secrecy,
        "allow_change": question.allow_change,
        "results_visibility": question.results_visibility,
        "options": [{"id": str(option), "text": text} for option, text in question.options],
    }


def heartbeat(seq: int | None) -> Frame:
    """Return the frame after a long silence; its seq only for those who may see results."""
    said = {"type": "heartbeat"} if seq is None else {"type": "heartbeat", "seq": seq}
    return Frame(compact_json.dumps(said))


def error(code: Code, detail: str = "", poll_id: uuid.UUID | None = None) -> Frame:
    """Return the frame that says why: the socket is about to be closed, or one poll is refused."""
    body: dict[str, object] = {
        "type": "error",
        "code": str(code),
        "detail": detail or CATALOGUE[code].remedy,
    }
    if poll_id is not None:
        body["poll"] = str(poll_id)
    return Frame(compact_json.dumps(body))
