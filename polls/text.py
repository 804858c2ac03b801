"""Texts: those that people type, normalised for telling them apart, and times on the wire."""

import unicodedata
from datetime import datetime

# What shows nothing though its category is not Cf: Unicode's other default-ignorable characters
# (fillers, variation selectors, tags, the unassigned among them) and the blank Braille cell.
_INVISIBLE = frozenset(
    chr(code)
    for first, last in (
        (0x034F, 0x034F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x2065, 0x2065),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFFA0, 0xFFA0),
        (0xFFF0, 0xFFF8),
        (0xE0000, 0xE0FFF),
    )
    for code in range(first, last + 1)
)


def _visible(character: str) -> bool:
    # Unassigned characters (Cn) count as visible: this Python may not know the newest emoji.
    return unicodedata.category(character) not in {"Cf", "Cc", "Co"} and (
        character not in _INVISIBLE
    )


def normalised(text: str) -> str:
    """Return what two texts that look alike have in common.

    NFKC, case folding, removal of invisible characters, and white space as one blank each. Empty
    where there is nothing to see.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    seen = "".join(c if _visible(c) else " " if c in "\t\n\r" else "" for c in folded)
    return " ".join(unicodedata.normalize("NFKC", seen).split())


def turns_letters(text: str) -> bool:
    """Whether a text holds an override of direction, by which letters show in another order.

    With it `seY` reads as `Yes`: two options look the same that nothing else has in common.
    Languages need none: embeddings, isolates and marks, which leave letters in their order, stay.
    """
    return "\u202d" in text or "\u202e" in text


def rfc3339(moment: datetime | None) -> str | None:
    """Return a time in UTC as it goes over the wire (RFC 3339), None for none."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
