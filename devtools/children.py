"""Child processes that end with their parent, however that ends."""

import ctypes
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
