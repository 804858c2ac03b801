"""What the runs came to, by name: numbers of several rounds, and what was skipped."""

from collections import defaultdict
from statistics import median


class Book:
    """Numbers by key."""

    def __init__(self) -> None:
        self.found: dict[str, list[float]] = defaultdict(list)
        self.skipped: dict[str, str] = {}
        self.failures: list[str] = []

    def note(self, key: str, value: float) -> None:
        """Add what one run came to."""
        self.found[key].append(value)

    def skip(self, key: str, why: str) -> None:
        """Note that something cannot be run here."""
        self.skipped[key] = why

    def median(self, key: str) -> float | None:
        """Return the median of all runs, None where there was none."""
        return median(self.found[key]) if self.found.get(key) else None

    def highest(self, key: str) -> float | None:
        """Return the highest of all runs, None where there was none."""
        return max(self.found.get(key, []), default=None)

    def ratio(self, above: str, below: str) -> float | None:
        """Return the ratio of two medians."""
        over, under = self.median(above), self.median(below)
        return over / under if over is not None and under else None


def quantile(ordered: list[float], share: float) -> float:
    """Return the number below which this share of an ordered list lies; 0 of an empty one."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
