"""Voting codes: each lets one person vote once, and is kept as its HMAC alone."""

import secrets
import uuid
from base64 import b32encode
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db import connection, transaction

from polls.domain.ballot_paper import BallotPaper, load_ballot_paper
from polls.domain.database import as_stored
from polls.domain.lifecycle import lock_poll
from polls.domain.rate_limits import guess_code, with_room
from polls.enums import Identity
from polls.errors import Code, FieldError, Refusal
from polls.models import Participation, VotingCode

# Crockford's base 32: five bits each, and what looks alike is read as one (crockford.com/base32).
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1", "-": "", " ": ""})
_LENGTH, _GROUP, _BITS = 16, 4, 80
_CROCKFORD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", _ALPHABET.encode())  # RFC 4648's
_LONGEST = 40  # characters, however it is written

MAX_CODES_A_CALL = 10_000
MAX_CODES = 100_000  # of one poll


def canonical_code(text: str | None) -> str | None:
    """Return a code as its 16 characters, however it was typed; None where it cannot be one."""
    if text is None or len(text) > _LONGEST or not text.isascii():
        return None
    code = text.upper().translate(_READ_AS)
    return code if len(code) == _LENGTH and not set(code) - set(_ALPHABET) else None


def _new_code() -> str:
    """Return a code as people read it: `7Q2M-0XKD-…`, four groups of four."""
    drawn = b32encode(secrets.token_bytes(_BITS // 8)).translate(_CROCKFORD).decode()
    return "-".join(drawn[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP))


def make_codes(poll_id: uuid.UUID, count: int) -> list[str]:
    """Make that many new codes of a poll and return them, which nobody can do again.

    Raises `malformed` for a count that is not 1 to 10,000, `poll_closed`, and `invalid_poll` where
    the poll does not ask for codes or would have more than 100,000 of them.
    """
    if not 1 <= count <= MAX_CODES_A_CALL:
        detail = f"It lies between 1 and {MAX_CODES_A_CALL:,}."
        raise Refusal(Code.MALFORMED, errors=[FieldError("count", "out_of_range", detail)])
    made = [_new_code() for _ in range(count)]
    with transaction.atomic():
        poll = lock_poll(poll_id)
        if poll.is_closed:
            raise Refusal(Code.POLL_CLOSED)
        if poll.identity != Identity.CODE:
            detail = "The poll does not ask for codes."
            raise Refusal(
                Code.INVALID_POLL, detail, errors=[FieldError("identity", "no_codes", detail)]
            )
        if count_codes(poll_id) + count > MAX_CODES:
            detail = f"A poll has {MAX_CODES:,} codes at most."
            errors = [FieldError("count", "too_many", detail)]
            raise Refusal(Code.INVALID_POLL, detail, errors=errors)
        paper = load_ballot_paper(poll)
        _insert(poll_id, [paper.code_hash(code.replace("-", "")) for code in made])
    return made


def _insert(poll_id: uuid.UUID, hashes: list[bytes]) -> None:
    """Write the rows as fast as can be: nobody votes in the poll meanwhile, nor in many others."""
    insert, poll = "INSERT INTO polls_votingcode (poll_id, code_hash)", as_stored(poll_id)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"{insert} SELECT %s, unnest(%s)", [poll, hashes])
        else:
            cursor.executemany(f"{insert} VALUES (%s, %s)", [(poll, row) for row in hashes])


def count_codes(poll_id: uuid.UUID) -> int:
    """Return how many codes a poll has."""
    return VotingCode.objects.filter(poll_id=poll_id).count()


def count_used_codes(poll_id: uuid.UUID) -> int:
    """Return how many of a poll's codes have voted; nobody is told which."""
    return Participation.objects.filter(poll_id=poll_id).count()


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a code of a poll."""

    is_used: bool
    key_hash: bytes | None = None  # of the vote that used it; none is kept in secret polls

    def is_retry(self, key_hash: bytes | None) -> bool:
        """Whether a vote whose key has this hash may be the one that used it, sent again."""
        return key_hash is not None and self.key_hash == key_hash


_UNUSED = Found(is_used=False)


class Lookup:
    """The look-up of the code that one request brings: a guess, and so no more than once.

    The request may be checked again, by a definition that has changed; which codes a poll has does
    not depend on that.
    """

    def __init__(self, network: str) -> None:
        """`network` is where the request comes from."""
        self._network = network
        self._refusal: Refusal | None = None
        self._is_known = False

    def find(self, paper: BallotPaper, code: str) -> Found:
        """Return what is known, by as many queries whatever it is: their time says nothing.

        Raises `code_invalid`, or `too_many` where too many unknown ones have come from this network
        or for this poll.
        """
        voter_key = paper.voter_key(code)
        used = _find_used(paper.poll_id, [voter_key])
        if not self._is_known and self._refusal is None:
            try:
                self._guess(paper, code)
            except Refusal as refusal:
                self._refusal = refusal
        if self._refusal is not None:
            raise self._refusal
        return used.get(voter_key, _UNUSED)

    def _guess(self, paper: BallotPaper, code: str) -> None:
        guess = guess_code(paper.poll_id, self._network)
        if not _is_known(paper, code):
            guess.wrong()
            raise Refusal(Code.CODE_INVALID)
        guess.right()
        self._is_known = True


def polls_that_know(papers: Sequence[BallotPaper], code: str, network: str) -> list[BallotPaper]:
    """Return those of some polls that know a code; raises `too_many` as a `Lookup` does.

    What is right at one of them is no guess at the others. Else it is one guess at each of them.
    """
    guesses = [guess_code(paper.poll_id, network) for paper in papers]
    found = [paper for paper in papers if _is_known(paper, code)]
    for guess in guesses:
        if found:
            guess.right()
        else:
            guess.wrong()
    return found


def _is_known(paper: BallotPaper, code: str) -> bool:
    return bool(_find_known(paper.poll_id, [paper.code_hash(code)]))


# -- many at once ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Presented:
    """A code as a request has brought it to a poll."""

    poll_id: uuid.UUID
    code_hash: bytes
    voter_key: bytes
    network: str  # that the request comes from


def find_many(presented: Collection[Presented]) -> dict[Presented, Found]:
    """Look up codes that have come at the same time: by two queries a poll, whatever they are.

    Left out are those that a `Lookup` would refuse, which counts the guess and says why: unknown
    ones, and all of them where too many unknown ones have come.
    """
    found, polls = {}, defaultdict(list)
    for one in presented:
        polls[one.poll_id].append(one)
    for poll_id, of_poll in polls.items():
        used = _find_used(poll_id, [one.voter_key for one in of_poll])
        known = _find_known(poll_id, [one.code_hash for one in of_poll])
        # After they were tried, as of one alone.
        room = with_room({one.network: guess_code(poll_id, one.network) for one in of_poll})
        for one in of_poll:
            if one.code_hash in known and one.network in room:
                found[one] = used.get(one.voter_key, _UNUSED)
    return found


def _find_known(poll_id: uuid.UUID, code_hashes: Sequence[bytes]) -> set[bytes]:
    rows = VotingCode.objects.filter(poll=poll_id, code_hash__in=code_hashes)
    return {bytes(code_hash) for code_hash in rows.values_list("code_hash", flat=True)}


def _find_used(poll_id: uuid.UUID, voter_keys: Sequence[bytes]) -> dict[bytes, Found]:
    rows = Participation.objects.filter(poll=poll_id, voter_key__in=voter_keys)
    return {
        bytes(voter_key): Found(is_used=True, key_hash=None if key is None else bytes(key))
        for voter_key, key in rows.values_list("voter_key", "first_key_hash")
    }
