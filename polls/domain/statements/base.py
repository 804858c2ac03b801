"""What a flush and the database say to each other: casts, what is known of voters, counts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Protocol

from django.db import IntegrityError, connection

from polls.domain.database import CLOCK
from polls.enums import Status

# Within a flush an id is its 32 hex digits: both databases take them, they sort as the ids do, and
# a text is hashed once where a UUID is hashed, compared and written anew each time.
Id = str
VoterId = tuple[Id, bytes]  # poll and voter key: the primary key of a participation
NetworkId = tuple[Id, bytes]  # poll and network: the primary key of its count
Marks = Mapping[tuple[Id, Id], int]  # ballots that mark an option, by (poll, option)
Hashes = tuple[bytes | None, bytes | None]  # of an Idempotency-Key and of what came with it

HASH_LENGTH = 32
# A retry is known by its key among those of the first vote and of this many latest changes.
KEPT_CHANGES = 8


class Action(Enum):
    """What a request does with a voter's vote."""

    CAST = auto()
    REPLACE = auto()
    WITHDRAW = auto()


@dataclass(frozen=True, slots=True)
class Window:
    """Where a poll stands under the lock, by the database's clock."""

    revision: int
    state: str  # open, not_open, closed or gone
    second: str  # the clock's second, as this database writes it
    allow_change: bool

    def takes(self, cast: "Cast") -> bool:
        """Whether the poll takes a vote that was checked by this revision."""
        return self.state == "open" and self.revision == cast.revision


@dataclass(slots=True)
class Vote:
    """What is known of a voter who took part before.

    Of secret polls nothing is; where the vote has been withdrawn, there is no ballot.
    """

    hashes: list[Hashes]  # of the first vote, then of the latest changes
    receipt: bytes | None
    ballot: Id | None
    # Of a vote that may be changed: the second in whose bucket it counts, and what it marks.
    second: str | None = None
    options: Sequence[Id] = ()

    def answered(self, cast: "Cast") -> bool | None:
        """Whether this request was answered before; None where its key is new."""
        if cast.key_hash is None:
            return None
        for key_hash, ballot_hash in self.hashes:
            if key_hash == cast.key_hash:
                return ballot_hash == cast.ballot_hash
        return None


@dataclass(slots=True)
class Cast:
    """A checked vote on its way to the database: its rows, and the revision it was checked by."""

    poll: Id
    revision: int
    voter_key: bytes  # 32 bytes
    ballot: Id
    # SHA-256 each; without a key there is no retry to tell from a second vote, and both are None.
    key_hash: bytes | None
    ballot_hash: bytes | None
    receipt: bytes  # 16 bytes
    options: Sequence[Id]
    action: Action = Action.CAST
    secret: bool = False  # no link between voter and ballot is kept
    # Where a network may have `cap` voters, the 32 bytes that stand for this voter's.
    network: bytes | None = None
    cap: int = 0

    @property
    def voter(self) -> VoterId:
        """The primary key of the participation."""
        return self.poll, self.voter_key

    @property
    def link(self) -> Id | None:
        """The ballot as the participation knows it."""
        return None if self.secret else self.ballot

    @property
    def hashes(self) -> Hashes:
        """What a retry is known by, as the participation keeps it."""
        return (None, None) if self.secret else (self.key_hash, self.ballot_hash)


@dataclass(slots=True)
class Tallied:
    """What a poll's kept counts are once a flush has moved them."""

    seq: int
    ballots: int
    votes: dict[Id, int] = field(default_factory=dict)  # by option


@dataclass(slots=True)
class Counting:
    """By how much a flush moves the kept counts; every mapping in key order."""

    ballots: Mapping[Id, int]  # by poll; of each the seq rises by one
    marks: Marks
    cast: Marks  # those of the ballots cast in this flush, for the buckets of this second
    seconds: Mapping[Id, str]  # by poll: this second
    secret: Mapping[Id, int]  # ballots cast in this flush, by secret poll
    # Marks that leave the buckets in which they were cast, by (poll, option, second).
    left: Mapping[tuple[Id, Id, str], int]


class Statements(Protocol):
    """What a flush asks of the database. Collections of keys come sorted."""

    def begin(self) -> None:
        """Begin the transaction of a flush."""

    def commit(self) -> None:
        """Commit it."""

    def rollback(self) -> None:
        """Undo it."""

    def lock_polls(self, polls: Collection[Id]) -> None:
        """Share each poll's row lock: no close and no change until the flush has committed."""

    def enter(
        self, polls: Collection[Id], ballots: Sequence[Cast]
    ) -> tuple[dict[Id, Window], Sequence[Cast]]:
        """Return where each poll stands, and the ballots whose participation got in.

        A poll that does not exist is left out. In gets whoever votes in a poll that is open, by
        its current revision, and has no participation yet; the primary key decides.
        """

    def enter_networks(self, wanted: Mapping[NetworkId, tuple[int, int]]) -> dict[NetworkId, int]:
        """Count voters to their networks and return how many of each got in.

        What is wanted is how many came (the cap at most), and the cap.
        """

    def leave(self, voters: Collection[VoterId]) -> None:
        """Remove participations of this flush: their networks were full."""

    def taken(self, voters: Collection[VoterId]) -> dict[VoterId, Vote]:
        """Return what is known of voters who took part before, but for what they marked."""

    def stored(self, ballots: Collection[tuple[Id, Id]]) -> set[tuple[Id, Id]]:
        """Return those of these ballots, by (poll, ballot), that are in the database."""

    def ballots(self, ballots: Sequence[Cast]) -> None:
        """Insert ballots and their selections."""

    def votes(self, voters: Collection[VoterId]) -> dict[VoterId, Vote]:
        """Lock participations and return what is known of them."""

    def remove_ballots(self, ballots: Collection[tuple[Id, Id]]) -> None:
        """Remove ballots, by (poll, ballot), and their selections."""

    def change(self, votes: Mapping[VoterId, Vote]) -> None:
        """Write what has become of votes that were replaced or withdrawn."""

    def count(self, counting: Counting) -> dict[Id, Tallied]:
        """Move tallies and buckets, raise each poll's seq by one, and return where they stand."""


def window_query(polls: str) -> str:
    """Return the query for where polls stand; `polls` is the condition that picks them."""
    now = CLOCK[connection.vendor]
    second = (
        f"date_trunc('second', {now})::text"
        if connection.vendor == "postgresql"
        else "STRFTIME('%Y-%m-%d %H:%M:%S', 'now')"
    )
    return f"""
SELECT id, revision, {second} AS second, allow_change,
       CASE WHEN deleted_at IS NOT NULL THEN 'gone'
            WHEN status = '{Status.DRAFT}' THEN 'not_open'
            WHEN status = '{Status.CLOSED}' OR closes_at <= {now} THEN 'closed'
            WHEN opened_at IS NULL AND opens_at > {now} THEN 'not_open'
            ELSE 'open' END AS state
FROM polls_poll WHERE {polls}
"""  # noqa: S608 - our own words


def whole(found: dict[Id, Tallied], counting: Counting) -> dict[Id, Tallied]:
    """Return these counts, and refuse to count what a missing row would swallow."""
    if len(found) < len(counting.ballots) or any(
        option not in found[poll].votes for poll, option in counting.marks
    ):
        raise IntegrityError("A poll of this flush lacks a row of its tallies.")
    return found


def hashes_of(first_key: Any, first_ballot: Any, changes: Any) -> list[Hashes]:  # noqa: ANN401 - columns
    """Return what a participation keeps of its keys; psycopg2 gives memoryviews."""
    found: list[Hashes] = [(as_bytes(first_key), as_bytes(first_ballot))]
    packed = as_bytes(changes) or b""
    for start in range(0, len(packed), 2 * HASH_LENGTH):
        middle = start + HASH_LENGTH
        found.append((packed[start:middle], packed[middle : middle + HASH_LENGTH]))
    return found


def packed_changes(hashes: Sequence[Hashes]) -> bytes:
    """Return what a vote's hashes say of its latest changes, as the participation keeps them.

    A change that came without a key takes no room: no retry of it can be known.
    """
    changes = [key + ballot for key, ballot in hashes[1:] if key and ballot]
    return b"".join(changes[-KEPT_CHANGES:])


def as_bytes(column: Any) -> bytes | None:  # noqa: ANN401 - bytes or psycopg2's memoryview
    """Return a column as bytes."""
    return None if column is None else bytes(column)
