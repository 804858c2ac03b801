"""Identifiers: ascending ones for rows, short ones for people."""

import itertools
import os
import secrets
import threading
import time
import uuid

# Without 0/O, 1/I/L, 2/Z, 5/S, 8/B and U: read off a screen at the back of a hall, each is itself
# alone.
JOIN_CODE_ALPHABET = "3467ACDEFGHJKMNPQRTVWXY9"
JOIN_CODE_LENGTH = 6


class _Stamps:
    """Times of creation in 4096ths of a millisecond, each later than the one before."""

    def __init__(self) -> None:
        self._last = 0
        self._mutex = threading.Lock()

    def next(self) -> int:
        milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
        now = milliseconds << 12 | nanoseconds * 4096 // 1_000_000
        with self._mutex:
            self._last = max(now, self._last + 1)
            return self._last


_stamps = _Stamps()


def uuid7() -> uuid.UUID:
    """Return a UUID that sorts by its time of creation, in one process strictly.

    RFC 9562, section 5.7, with the fraction of the millisecond in its twelve next bits (section
    6.2, method 3).
    """
    stamp = _stamps.next()
    value = (stamp >> 12 & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64
    return uuid.UUID(int=value | 0x2 << 62 | secrets.randbits(62))


class _BallotIds:
    """Where the ids of a process's ballots begin, and how many there are."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        milliseconds = time.time_ns() // 1_000_000 & 0xFFFF_FFFF_FFFF
        drawn = secrets.token_hex(4)
        prefix = f"{milliseconds:012x}8{drawn[:3]}8{drawn[3:]}"
        self._state = prefix, itertools.count()

    def next(self) -> str:
        prefix, numbers = self._state
        return f"{prefix}{next(numbers):010x}"


_ballot_ids = _BallotIds()
# A child that counted on from its parent's number would give its ids anew.
os.register_at_fork(after_in_child=_ballot_ids.begin)


def new_ballot_id() -> str:
    """Return the 32 hex digits of a ballot's id: no other has it, and it knows nothing of a voter.

    The ids of one process ascend, so that ballots go to the end of each index where random ones
    would touch a page each. Their form is RFC 9562's for ids of one's own (section 5.8): when the
    process began, 32 random bits, and a number.
    """
    return _ballot_ids.next()


def new_join_code() -> str:
    """Return a random join code; the caller retries where the database knows it already."""
    return "".join(secrets.choice(JOIN_CODE_ALPHABET) for _ in range(JOIN_CODE_LENGTH))
