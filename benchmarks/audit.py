"""Whether a database holds what its clients were told: it reads their log and the tables alone.

The log is that of `benchmarks.soak_client`. Who has voted is found by the poll's own key, which is
in the database too, so that each stored ballot is set beside the very requests that asked for it.
"""

import hashlib
import hmac
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.audit_store import Store, Stored

NOT_STORED = {"overloaded", "unavailable", "already_voted", "poll_closed", "poll_not_open"}
NO_VOTE = "#"  # in the place of the poll: a request that is none of the audit's concern
REFUSED_MALFORMED = {"malformed", "invalid_ballot"}
_SHOWN = 3  # examples of each finding
_COUNTED, _REPLAYED = 201, 200


@dataclass(slots=True)
class Attempt:
    """All tries of one vote: the same voter, key and ballot."""

    key: str
    option: str
    counted: int = 0  # answers of 201; the vote was counted by that very request
    receipt: str = ""  # of its 2xx answers; empty where it has none
    refused_as_second: bool = False
    perhaps: bool = False  # some answer leaves open whether it is stored


@dataclass
class Verdict:
    """What the audit has found; `wrong` is empty where everything stands as it was told."""

    figures: Counter[str] = field(default_factory=Counter)
    wrong: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def findings(self) -> list[str]:
        """Each kind of finding with its number and a few examples."""
        return [
            f"{name}: {len(examples):,} ({'; '.join(examples[:_SHOWN])})"
            for name, examples in sorted(self.wrong.items())
        ]


class Audit:
    """One comparison of a log with a database."""

    def __init__(self, store: Store, log: Path) -> None:
        self._store = store
        self._log = log
        self._keys: dict[str, bytes] = {}  # by poll
        self._sent: dict[str, dict[bytes, list[Attempt]]] = {}  # by poll and voter key
        self._malformed: dict[str, set[bytes]] = defaultdict(set)
        self._wrong: dict[str, list[str]]

    def judge(self) -> Verdict:
        """Return what was found."""
        verdict = Verdict()
        self._wrong = verdict.wrong
        self._read_log()
        for poll in self._sent:
            self._compare(poll, verdict.figures)
            self._add_up(poll)
        return verdict

    # -- the log -----------------------------------------------------------------------------

    def _read_log(self) -> None:
        with self._log.open(encoding="ascii") as lines:
            for line in lines:
                poll, device, key, option, status, code, receipt, _, _ = line.split(" ")
                if poll == NO_VOTE:
                    continue
                self._note(poll, device, key, option, (int(status), code, receipt))

    def _note(
        self, poll: str, device: str, key: str, option: str, answer: tuple[int, str, str]
    ) -> None:
        status, code, receipt = answer
        if poll not in self._sent:
            self._sent[poll] = {}
            self._keys[poll] = self._store.key(poll)
        voter = hmac.digest(self._keys[poll], f"device:{device}".encode(), "sha256")
        if option == "-":
            self._malformed[poll].add(voter)
            if code not in REFUSED_MALFORMED and status not in {0, 503}:
                self._wrong["a malformed body was not refused"].append(f"{key} {status} {code}")
            return
        attempts = self._sent[poll].setdefault(voter, [])
        attempt = next((found for found in attempts if found.key == key), None)
        if attempt is None:
            attempt = Attempt(key, option)
            attempts.append(attempt)
        if status in {_COUNTED, _REPLAYED}:
            attempt.counted += status == _COUNTED
            if attempt.receipt not in {"", receipt}:
                self._wrong["a retry has another receipt"].append(key)
            attempt.receipt = receipt
        elif status == 0 or code == "outcome_unknown":
            attempt.perhaps = True
        elif code in NOT_STORED:
            attempt.refused_as_second |= code == "already_voted"
        else:
            attempt.perhaps = True
            self._wrong["an answer that nothing explains"].append(f"{key} {status} {code}")

    # -- against what is stored --------------------------------------------------------------

    def _compare(self, poll: str, figures: Counter[str]) -> None:
        """Go through what is stored, then through what was sent and is not."""
        sent = self._sent[poll]
        stored: set[bytes] = set()
        receipts: set[bytes] = set()
        for row in self._store.stored(poll):
            figures["ballots"] += row.voter_key not in stored
            if row.voter_key in stored:
                self._wrong["doubled: a voter has two ballots or marks"].append(row.voter_key.hex())
            if row.receipt in receipts:
                self._wrong["doubled: two ballots have one receipt"].append(row.receipt.hex())
            stored.add(row.voter_key)
            receipts.add(row.receipt)
            self._judge_stored(row, sent.get(row.voter_key), self._malformed[poll])
        for voter_key, attempts in sent.items():
            figures["perhaps"] += sum(attempt.perhaps for attempt in attempts)
            if voter_key not in stored:
                self._judge_missing(attempts)

    def _judge_stored(
        self, row: Stored, attempts: list[Attempt] | None, malformed: set[bytes]
    ) -> None:
        if attempts is None:
            known = "a malformed body" if row.voter_key in malformed else "no vote"
            self._wrong[f"stored, though {known} was sent"].append(row.receipt.hex())
            return
        own = None
        for attempt in attempts:
            if hashlib.sha256(attempt.key.encode()).digest() == row.key_hash:
                own = attempt
            elif attempt.receipt:
                self._wrong["lost: acknowledged, but another vote stands"].append(attempt.key)
        if own is None:
            self._wrong["stored under a key that nobody sent"].append(attempts[0].key)
            return
        self._judge_own(row, own)

    def _judge_own(self, row: Stored, own: Attempt) -> None:
        """Set a stored ballot beside the answers to the very vote that it is."""
        if row.option != own.option:
            self._wrong["stored with another option than was sent"].append(own.key)
        if own.receipt and own.receipt != row.receipt.hex():
            self._wrong["lost: the receipt that was given is not stored"].append(own.key)
        if not own.receipt and not own.perhaps:
            self._wrong["stored, though every answer said that it was not"].append(own.key)
        if own.refused_as_second:
            self._wrong["stored, though it was refused as a second vote"].append(own.key)
        if own.counted > 1:
            self._wrong["doubled: answered 201 twice"].append(own.key)

    def _judge_missing(self, attempts: list[Attempt]) -> None:
        for attempt in attempts:
            if attempt.receipt:
                self._wrong["lost: acknowledged, but not stored"].append(attempt.key)
            if attempt.refused_as_second:
                self._wrong["refused as a second vote without a first"].append(attempt.key)

    def _add_up(self, poll: str) -> None:
        """Set the sums beside each other: ballots one by one, tallies, recount and buckets."""
        sums = self._store.sums(poll)
        for name, seen in (
            ("ballots", sums.ballots),
            ("selections", sums.recount.total()),
            ("ballots of the tally", sums.told),
            ("votes of the tallies", sums.tally.total()),
        ):
            if seen != sums.participations:
                self._wrong["moved: the sums differ"].append(
                    f"{name} {seen}, participations {sums.participations}"
                )
        for name, other in (("recount", sums.recount), ("buckets", sums.buckets)):
            # + drops what is nought: an option without votes has no bucket.
            if +sums.tally != +other:
                moved = +(sums.tally - other) or +(other - sums.tally)
                self._wrong[f"moved: tally and {name} differ"].append(f"{poll} {dict(moved)}")


def audit(store: Store, log: Path) -> Verdict:
    """Return what an audit finds."""
    return Audit(store, log).judge()
