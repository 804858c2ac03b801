"""All that the contract lets the answer to a vote depend on, as it must stand."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Said = tuple[int, str]  # a status, and the code of a problem
Ballot = frozenset[str]  # of single, multiple and approval: which options, in no order

KEPT_CHANGES = 8  # by whose keys retries are known, as `GET /api/v1/limits/` tells


class RefusedError(Exception):
    """The contract refuses a vote; the argument is how."""

    def __init__(self, said: Said) -> None:
        super().__init__(said)
        self.said = said


@dataclass(frozen=True, slots=True)
class Cast:
    """What a request brings: its key, its ballot, None for a withdrawal, and where it is from."""

    key: str | None
    ballot: Ballot | None
    network: str


@dataclass(slots=True)
class Vote:
    """A voter's vote: how it stands, and the requests whose retries are known by their keys."""

    standing: Cast
    receipt: str
    first: tuple[Cast, str] | None  # with the receipt that was given; None without a key
    changes: list[tuple[Cast, str]] = field(default_factory=list)

    def known_by(self, key: str | None) -> tuple[Cast, str] | None:
        """Return the request that came with this key, and its receipt."""
        known = [self.first, *self.changes] if self.first else self.changes
        return next((one for one in known if key is not None and one[0].key == key), None)

    def change(self, cast: Cast, receipt: str) -> None:
        """Put a ballot, or a withdrawal, in the place of what stands."""
        self.standing, self.receipt = cast, receipt
        if cast.key is not None:
            self.changes = [*self.changes, (cast, receipt)][-KEPT_CHANGES:]


@dataclass(slots=True)
class Poll:
    """A poll as it must stand."""

    id: str
    kind: str
    options: list[str]
    minimum: int
    maximum: int
    identity: str
    visibility: str
    status: str
    owner: str
    cap: int | None = None
    is_secret: bool = False
    allow_change: bool = False
    codes: set[str] = field(default_factory=set)  # without hyphens
    votes: dict[object, Vote] = field(default_factory=dict)
    networks: Counter[str] = field(default_factory=Counter)  # how many voters each has
    seq: int = 0  # the highest that was told

    @classmethod
    def of(cls, read_as: Mapping[str, Any]) -> "Poll":
        """Return a poll without votes, as it reads."""
        return cls(
            id=read_as["id"],
            kind=read_as["kind"],
            options=[option["id"] for option in read_as["options"]],
            minimum=read_as["min_selections"],
            maximum=read_as["max_selections"],
            identity=read_as["identity"],
            visibility=read_as["results_visibility"],
            status=read_as["status"],
            owner=read_as["owner"],
            cap=read_as["network_cap"],
            is_secret=read_as["secrecy"] == "secret",
            allow_change=read_as["allow_change"],
        )

    @property
    def ballots(self) -> list[Ballot]:
        """The ballots that stand."""
        standing = [vote.standing.ballot for vote in self.votes.values()]
        return [ballot for ballot in standing if ballot is not None]

    @property
    def tally(self) -> dict[str, int]:
        """How many of them mark each option."""
        marks = Counter(option for ballot in self.ballots for option in ballot)
        return {option: marks[option] for option in self.options}

    def keep(self, voter: object, cast: Cast, receipt: str) -> None:
        """Keep what was counted of a voter."""
        vote = self.votes.get(voter)
        if vote is not None:
            vote.change(cast, receipt)
            return
        first = None if cast.key is None else (cast, receipt)
        self.votes[voter] = Vote(cast, receipt, first)
        self.networks[cast.network] += 1


@dataclass(slots=True)
class World:
    """Everything, of one half of a scene."""

    host: str
    polls: dict[str, Poll] = field(default_factory=dict)
    devices: set[bytes] = field(default_factory=set)  # tokens that were issued
    accounts: dict[bytes, str] = field(default_factory=dict)  # bearer tokens and their usernames
    networks: dict[bytes, str] = field(default_factory=dict)  # of addresses that are not their own
