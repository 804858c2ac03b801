"""Identifiers: time-ordered ones for rows, short ones for people."""

import secrets
import time
import uuid

# Without 0/O, 1/I/L, 2/Z, 5/S, 8/B, U/V: read aloud across a hall, each is itself alone.
JOIN_CODE_ALPHABET = "3467ACDEFGHJKMNPQRTVWXY9"
JOIN_CODE_LENGTH = 6


def uuid7() -> uuid.UUID:
    """Return a UUID that sorts by its millisecond of creation (RFC 9562, section 5.7)."""
    stamp = time.time_ns() // 1_000_000
    value = (stamp & 0xFFFF_FFFF_FFFF) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76  # version 7
    value = value & ~(0x3 << 62) | 0x2 << 62  # the RFC's variant
    return uuid.UUID(int=value)


def new_join_code() -> str:
    """Return a random join code; the caller retries where the database knows it already."""
    return "".join(secrets.choice(JOIN_CODE_ALPHABET) for _ in range(JOIN_CODE_LENGTH))
