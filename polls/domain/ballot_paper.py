"""The ballot paper: all that must be known of a poll to check and count a vote."""

import hashlib
import hmac
import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from polls.domain.results import Count, OptionCount
from polls.domain.statements import Tallied
from polls.errors import Code, FieldError, Refusal
from polls.models import Option, Poll

# A paper holds 16 KB of bodies at most, or clients could fill the memory with padded ones.
_REMEMBERED = 64  # bodies
_REMEMBERED_BYTES = 256


@dataclass(slots=True)
class CanonicalBallot:
    """What a ballot marks: the same for every way to write it."""

    options: tuple[uuid.UUID, ...]
    hash: bytes  # SHA-256


@dataclass(slots=True)
class BallotPaper:
    """One revision of a poll's rules and options, with the key that voters are known by."""

    poll: Poll
    options: dict[str, uuid.UUID]  # by the id's text, as it comes over the wire, in their order
    texts: dict[uuid.UUID, str]
    key: bytes
    _count: tuple[Tallied, Count] | None = None
    _remembered: dict[bytes, CanonicalBallot] = field(default_factory=dict)

    @property
    def poll_id(self) -> uuid.UUID:
        """The poll's id."""
        return self.poll.id

    @property
    def revision(self) -> int:
        """The revision of the definition that it was printed from."""
        return self.poll.revision

    def voter_key(self, identity: str) -> bytes:
        """Return the 32 bytes that stand for a voter in this poll and in no other."""
        message = f"{self.poll.identity}:{identity}"
        return hmac.digest(self.key, message.encode(), "sha256")

    def receipt(self, voter_key: bytes, key_hash: bytes, ballot_hash: bytes) -> bytes:
        """Return the 16-byte receipt of a ballot; the same retry has the same receipt."""
        message = b"receipt:" + voter_key + key_hash + ballot_hash
        return hmac.digest(self.key, message, "sha256")[:16]

    def canonical(self, choices: Iterable[object]) -> CanonicalBallot:
        """Return the chosen options in canonical order, or raise `invalid_ballot`."""
        chosen: list[uuid.UUID] = []
        for place, choice in enumerate(choices):
            field = f"choices[{place}]"
            if not isinstance(choice, str):
                raise _invalid(field, "wrong_shape", "Only a ranked poll takes equal ranks.")
            option = self.options.get(choice.lower())
            if option is None:
                raise _invalid(field, "unknown_option", "This is no option of this poll.")
            chosen.append(option)
        if len(set(chosen)) != len(chosen):
            raise _invalid("choices", "repeated", "An option is chosen twice.")
        if len(chosen) < self.poll.min_selections:
            detail = f"At least {self.poll.min_selections} must be chosen."
            raise _invalid("choices", "too_few", detail)
        if len(chosen) > self.poll.max_selections:
            detail = f"At most {self.poll.max_selections} may be chosen."
            raise _invalid("choices", "too_many", detail)
        options = tuple(sorted(chosen))
        hashed = hashlib.sha256(b"".join([option.bytes for option in options])).digest()
        return CanonicalBallot(options, hashed)

    def remembered(self, body: bytes) -> CanonicalBallot | None:
        """Return the ballot that these very bytes were read as before."""
        return self._remembered.get(body)

    def remember(self, body: bytes, ballot: CanonicalBallot) -> None:
        """Keep what a body was read as: in a hall, thousands send the same few."""
        if len(self._remembered) < _REMEMBERED and len(body) <= _REMEMBERED_BYTES:
            self._remembered[body] = ballot

    def count(self, tallied: Tallied) -> Count:
        """Return the count that a flush under this revision has left, one for all its votes."""
        known = self._count  # another thread may put another one there meanwhile
        if known is not None and known[0] is tallied:
            return known[1]
        poll = self.poll
        count = Count(
            poll_id=poll.id,
            title=poll.title,
            kind=poll.kind,
            status=poll.status,
            revision=poll.revision,
            seq=tallied.seq,
            ballots=tallied.ballots,
            certified_at=None,
            opens_at=poll.opens_at,
            closes_at=poll.closes_at,
            opened_at=poll.opened_at,
            deleted=False,
            options=[
                OptionCount(option, text, tallied.votes[option], None)
                for option, text in self.texts.items()
            ],
        )
        self._count = tallied, count
        return count


def _invalid(field: str, code: str, detail: str) -> Refusal:
    return Refusal(Code.INVALID_BALLOT, detail, errors=[FieldError(field, code, detail)])


def wrong_shape(field: str, detail: str) -> Refusal:
    """Return the refusal of a ballot whose shape belongs to another kind of poll."""
    return _invalid(field, "wrong_shape", detail)


def load_ballot_paper(poll: Poll) -> BallotPaper:
    """Return the ballot paper of a poll's current revision."""
    rows = list(
        Option.objects.filter(poll=poll)
        .order_by("position")
        .values_list("id", "text", "poll__key__key")
    )
    return BallotPaper(
        poll=poll,
        options={str(option): option for option, _, _ in rows},
        texts={option: text for option, text, _ in rows},
        key=bytes(rows[0][2]),
    )


class Papers:
    """The ballot papers of polls that have been voted in, so that no vote reads one.

    They may be out of date. A flush compares revisions under the poll's lock, so no vote is counted
    by an old one, and whoever would refuse a vote by one reads the poll first: a change is met at
    once, in every process, and nobody has to be told of it.
    """

    def __init__(self, *, limit: int = 4096) -> None:
        self._limit = limit
        self._papers: dict[str, BallotPaper] = {}  # by the text of the poll's id
        self._mutex = threading.Lock()

    def get(self, poll_id: str) -> BallotPaper | None:
        """Return the paper that was read last of a poll that had opened by then."""
        return self._papers.get(poll_id)

    def keep(self, paper: BallotPaper) -> None:
        """Keep the paper of a poll that has opened; whoever comes too late is told by the flush."""
        if paper.poll.opened_at is None:
            return
        with self._mutex:
            self._papers.pop(str(paper.poll_id), None)
            self._papers[str(paper.poll_id)] = paper
            while len(self._papers) > self._limit:
                del self._papers[next(iter(self._papers))]  # the one that was read first

    def forget(self, paper: BallotPaper) -> None:
        """Drop a paper that is not current any more."""
        with self._mutex:
            if self._papers.get(str(paper.poll_id)) is paper:
                del self._papers[str(paper.poll_id)]


papers = Papers()
