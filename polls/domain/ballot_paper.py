"""The ballot paper: all that must be known of a poll to check and count a vote."""

import hashlib
import threading
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from polls.domain.results import Count, OptionCount
from polls.domain.statements import Id, Tallied
from polls.enums import Identity, Secrecy
from polls.errors import Code, FieldError, Refusal
from polls.models import Option, Poll

# A paper holds 16 KB of bodies at most, or clients could fill the memory with padded ones.
_REMEMBERED = 64  # bodies
_REMEMBERED_BYTES = 256


@dataclass(slots=True)
class CanonicalBallot:
    """What a ballot marks: the same for every way to write it."""

    options: tuple[Id, ...]
    hash: bytes  # SHA-256


class KeyedHash:
    """HMAC-SHA-256 (RFC 2104) by one key, at a third of what the library's takes for a message.

    What the key alone decides, the first block of both hashes, is hashed once.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = hashlib.sha256().block_size
        padded = (hashlib.sha256(key).digest() if len(key) > block else key).ljust(block, b"\0")
        self._inner = hashlib.sha256(bytes([byte ^ 0x36 for byte in padded]))
        self._outer = hashlib.sha256(bytes([byte ^ 0x5C for byte in padded]))

    def digest(self, message: bytes) -> bytes:
        """Return the 32 bytes of a message."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


class _DestroyedKey:
    """Stands where a poll's key was: by no key nobody is known, whoever asks."""

    __slots__ = ()

    def digest(self, message: bytes) -> NoReturn:
        """Refuse."""
        del message
        raise Refusal(
            Code.POLL_CLOSED,
            "It closed long ago and its key is destroyed: whose vote was whose is known to nobody.",
        )


@dataclass(slots=True)
class BallotPaper:
    """One revision of a poll's rules and options, with the key that voters are known by."""

    poll: Poll
    options: dict[str, Id]  # by the id's text, as it comes over the wire, in their order
    texts: dict[uuid.UUID, str]
    key: bytes | None  # None where it was destroyed, long after the poll had closed
    code_key: bytes | None = None  # what codes are known by; destroyed with it
    # The poll's id, as a flush names it and as it goes over the wire.
    id: Id = field(init=False)
    name: str = field(init=False)
    _hash: KeyedHash | _DestroyedKey = field(init=False, repr=False)
    _code_hash: KeyedHash | _DestroyedKey = field(init=False, repr=False)
    # What the last flush of this process left of the poll's counts under this revision.
    tallied: Tallied | None = None
    _count: tuple[Tallied, Count] | None = None
    _remembered: dict[bytes, CanonicalBallot] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.id, self.name = self.poll.id.hex, str(self.poll.id)
        self._hash, self._code_hash = (
            _DestroyedKey() if key is None else KeyedHash(key) for key in (self.key, self.code_key)
        )

    @property
    def poll_id(self) -> uuid.UUID:
        """The poll's id."""
        return self.poll.id

    @property
    def asks_for_codes(self) -> bool:
        """Whether the code is the voter."""
        return self.poll.identity == Identity.CODE

    @property
    def is_secret(self) -> bool:
        """Whether no link between voter and ballot is kept."""
        return self.poll.secrecy == Secrecy.SECRET

    @property
    def revision(self) -> int:
        """The revision of the definition that it was printed from."""
        return self.poll.revision

    def voter_key(self, identity: str) -> bytes:
        """Return the 32 bytes that stand for a voter in this poll and in no other.

        Raises `poll_closed` where the key is destroyed, as `receipt` does.
        """
        return self._hash.digest(f"{self.poll.identity}:{identity}".encode())

    def receipt(self, voter_key: bytes, key_hash: bytes, ballot_hash: bytes) -> bytes:
        """Return the 16-byte receipt of a ballot; the same retry has the same receipt."""
        return self._hash.digest(b"receipt:" + voter_key + key_hash + ballot_hash)[:16]

    def secret_ballot(self, receipt: bytes) -> Id:
        """Return the id of a secret ballot, a version 4 UUID, by which a retry finds it again."""
        digits = self._hash.digest(b"ballot:" + receipt)[:16].hex()
        return f"{digits[:12]}4{digits[13:16]}{'89ab'[int(digits[16], 16) % 4]}{digits[17:]}"

    def network_key(self, network: str) -> bytes:
        """Return the 32 bytes that stand for a network in this poll and in no other."""
        return self._hash.digest(b"network:" + network.encode())

    def code_hash(self, code: str) -> bytes:
        """Return the 32 bytes under which a code of this poll is stored."""
        return self._code_hash.digest(code.encode())

    def canonical(self, choices: Iterable[object]) -> CanonicalBallot:
        """Return the chosen options in canonical order, or raise `invalid_ballot`."""
        chosen: list[Id] = []
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
        hashed = hashlib.sha256(bytes.fromhex("".join(options))).digest()
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
                OptionCount(option, text, tallied.votes[option.hex], None)
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
        .values_list(
            "id", "text", "poll__key__key", "poll__key__code_key", "poll__key_destroyed_at"
        )
    )
    if not rows:
        raise Refusal(Code.NOT_FOUND)  # purged since it was read
    _, _, key, _, destroyed_at = rows[0]
    if key is None and destroyed_at is None:
        raise LookupError(f"Poll {poll.id} has lost its key.")
    return BallotPaper(
        poll=poll,
        options={str(row[0]): row[0].hex for row in rows},
        texts={row[0]: row[1] for row in rows},
        key=None if key is None else bytes(key),
        code_key=None if key is None else bytes(rows[0][3] or key),
    )


def read_papers(poll_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, BallotPaper]:
    """Return the ballot papers of those of these polls that have opened, and keep them.

    Without those whose key is destroyed: nobody can vote by such a paper.
    """
    opened = Poll.objects.standing().filter(id__in=poll_ids, opened_at__isnull=False)
    read = [load_ballot_paper(poll) for poll in opened]
    found = {paper.poll_id: paper for paper in read if paper.key is not None}
    for paper in found.values():
        papers.keep(paper)
    return found


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
        if paper.poll.opened_at is None or paper.key is None:
            return
        with self._mutex:
            self._papers.pop(paper.name, None)
            self._papers[paper.name] = paper
            while len(self._papers) > self._limit:
                del self._papers[next(iter(self._papers))]  # the one that was read first

    def note(self, poll_id: uuid.UUID, revision: int, tallied: Tallied) -> None:
        """Write on a poll's paper what a flush under its revision has left of the counts."""
        paper = self._papers.get(str(poll_id))
        if paper is not None and paper.revision == revision:
            paper.tallied = tallied

    def kept(self) -> list[BallotPaper]:
        """Return all papers that are kept now."""
        with self._mutex:
            return list(self._papers.values())

    def forget(self, paper: BallotPaper) -> None:
        """Drop a paper that is not current any more."""
        with self._mutex:
            if self._papers.get(paper.name) is paper:
                del self._papers[paper.name]


papers = Papers()


def last_count(poll_id: uuid.UUID) -> Count | None:
    """Return the count that this process's last flush of a poll has left; None where unknown.

    It was true when that flush committed: whatever came later has another seq.
    """
    paper = papers.get(str(poll_id))
    tallied = None if paper is None else paper.tallied
    return None if paper is None or tallied is None else paper.count(tallied)
