"""Child processes that end with their parent, however that ends, and a parent that ends tidily."""

import ctypes
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def signal_when_parent_ends(number: int) -> Callable[[], None]:
    """Return a `preexec_fn` after which Linux sends the child a signal when its parent has gone.

    Elsewhere it does nothing, and only a parent that ends by itself takes its children along.
    """
    if sys.platform != "linux":
        return lambda: None
    system = ctypes.CDLL(None)
    return lambda: system.prctl(_PR_SET_PDEATHSIG, number)


def exit_on_sigterm(status: int = 128 + signal.SIGTERM) -> None:
    """Leave by way of every `finally` when told to end: servers end, databases are dropped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(status))
