"""The ballot paper: all that must be known of a poll to check and count a vote."""

import hashlib
import hmac
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from polls.enums import Identity, Kind
from polls.errors import Code, FieldError, Refusal
from polls.models import Option, Poll


@dataclass(frozen=True, slots=True)
class BallotPaper:
    """One revision of a poll's rules and options, with the key that voters are known by."""

    poll_id: uuid.UUID
    revision: int
    kind: str
    identity: str
    min_selections: int
    max_selections: int
    options: dict[str, uuid.UUID]  # by the id's text, as it comes over the wire
    key: bytes

    def voter_key(self, identity: str) -> bytes:
        """Return the 32 bytes that stand for a voter in this poll and in no other."""
        return hmac.digest(self.key, f"{self.identity}:{identity}".encode(), "sha256")

    def receipt(self, voter_key: bytes, key_hash: bytes, ballot_hash: bytes) -> bytes:
        """Return the 16-byte receipt of a ballot; the same retry has the same receipt."""
        message = b"receipt:" + voter_key + key_hash + ballot_hash
        return hmac.digest(self.key, message, "sha256")[:16]

    def canonical(self, choices: Iterable[object]) -> tuple[uuid.UUID, ...]:
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
        if len(chosen) < self.min_selections:
            detail = f"At least {self.min_selections} must be chosen."
            raise _invalid("choices", "too_few", detail)
        if len(chosen) > self.max_selections:
            detail = f"At most {self.max_selections} may be chosen."
            raise _invalid("choices", "too_many", detail)
        return tuple(sorted(chosen))


def _invalid(field: str, code: str, detail: str) -> Refusal:
    return Refusal(Code.INVALID_BALLOT, detail, errors=[FieldError(field, code, detail)])


def wrong_shape(field: str, detail: str) -> Refusal:
    """Return the refusal of a ballot whose shape belongs to another kind of poll."""
    return _invalid(field, "wrong_shape", detail)


def ballot_hash(chosen: Iterable[uuid.UUID]) -> bytes:
    """Return the SHA-256 of a canonical ballot: the same ballot, the same 32 bytes."""
    return hashlib.sha256(b"".join(option.bytes for option in chosen)).digest()


def load_ballot_paper(poll: Poll) -> BallotPaper:
    """Return the ballot paper of a poll's current revision."""
    options = Option.objects.filter(poll=poll).values_list("id", "poll__key__key")
    return BallotPaper(
        poll_id=poll.id,
        revision=poll.revision,
        kind=Kind(poll.kind).value,
        identity=Identity(poll.identity).value,
        min_selections=poll.min_selections,
        max_selections=poll.max_selections,
        options={str(option): option for option, _ in options},
        key=bytes(options[0][1]),
    )
