"""One drawing of a page for all who open it for the first time.

When the code goes up on the screen, a hall opens the same page within a minute. Whoever has no
cookie yet is nobody in particular: their pages differ by three tokens alone. So the page is drawn
once a second for all of them, and the tokens are filled in for each. The poll's row has been read
for each of them: what a rule hides, or what is gone, is so at once; the count may be a second old.
"""

import secrets
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

KEEP_SECONDS = 1.0
# What stands in a drawing where each reader's own tokens go: nobody can write it into a poll.
KEY, CSRF = (f"{name}-{secrets.token_hex(16)}" for name in ("key", "csrf"))


@dataclass(slots=True)
class _Drawing:
    lock: threading.Lock = field(default_factory=threading.Lock)
    drawn_at: float = float("-inf")
    text: str = ""


class Drawings:
    """The latest drawings, each by what it depends on. Used by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._drawings: dict[Hashable, _Drawing] = {}

    def get(self, what: Hashable, draw: Callable[[], str]) -> str:
        """Return a drawing that is no older than a second, by drawing it where there is none.

        Those who come meanwhile wait for the one that draws.
        """
        with self._lock:
            drawing = self._drawings.get(what)
            if drawing is None:
                self._forget_the_old()
                drawing = self._drawings[what] = _Drawing()
        with drawing.lock:
            if time.monotonic() - drawing.drawn_at > KEEP_SECONDS:
                began = time.monotonic()
                drawing.text = draw()
                drawing.drawn_at = began
            return drawing.text

    def __len__(self) -> int:
        return len(self._drawings)

    def _forget_the_old(self) -> None:
        """Keep no more than what a second can draw: strangers choose what is asked for."""
        oldest = time.monotonic() - KEEP_SECONDS
        kept = self._drawings.items()
        self._drawings = {
            what: one for what, one in kept if one.lock.locked() or one.drawn_at > oldest
        }


def filled(text: str, *, key: str, csrf: str) -> str:
    """Return a drawing with a reader's own tokens."""
    return text.replace(KEY, key).replace(CSRF, csrf)


drawings = Drawings()
