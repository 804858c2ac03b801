"""Readers that never read, beside others that do."""

import threading
import time
from collections.abc import Callable

from benchmarks.contenders import wait_until_idle
from benchmarks.live.book import Book, quantile
from benchmarks.live.latency import WITHIN, delays
from benchmarks.live.receivers import Receivers, check_lasts
from benchmarks.live.site import Place, Site

OPTIONS = 100  # a long count fills what lies between a server and a reader within seconds
VOTES_A_SECOND = 200.0
_LONGEST_SECONDS = 60.0  # of a window; a stuck reader is given up within it
_LOOK_SECONDS = 0.5


class _Highest(threading.Thread):
    """Watches a figure, and keeps the highest."""

    def __init__(self, look: Callable[[], int]) -> None:
        super().__init__(daemon=True)
        self._look = look
        self._over = threading.Event()
        self.found = look()

    def run(self) -> None:
        """Look until told to stop."""
        while not self._over.wait(_LOOK_SECONDS):
            self.found = max(self.found, self._look())

    def stop(self) -> int:
        """Stop, and return it."""
        self._over.set()
        self.join()
        return max(self.found, self._look())


def _window(site: Site, receivers: Receivers, seconds: float) -> list[float]:
    """Vote, and return how long the healthy ones waited for what was answered."""
    receivers.mark(records=True)
    votes = site.vote(seconds, VOTES_A_SECOND, notes=True).votes
    results = site.results()
    receivers.wait_for("healthy", WITHIN, seq=results["seq"])
    check_lasts(receivers.report("healthy"), results)
    return delays(votes, receivers.arrivals("healthy"))[0]


def run(place: Place, readers: int, minutes: float, book: Book) -> None:
    """Alternate between windows with stuck readers and without."""
    pairs = max(1, round(minutes * 60 / _LONGEST_SECONDS / 2))
    seconds = minutes * 60 / pairs / 2
    found: dict[bool, list[float]] = {False: [], True: []}
    dropped = 0
    with place.service(options=OPTIONS) as site, Receivers() as receivers:
        receivers.join("healthy", site.port, site.path, count=readers)
        _window(site, receivers, min(seconds, 3.0))
        wait_until_idle()
        before = site.rss()
        highest = _Highest(site.rss)
        highest.start()
        for number in range(2 * pairs):
            stuck = number % 4 in {1, 2}  # without, with, with, without: neither is always first
            if stuck:
                receivers.join("stuck", site.port, site.path, count=readers, deaf=True)
            found[stuck] += _window(site, receivers, seconds)
            if stuck:
                # The system keeps what they have not read, and does not tell them of an end.
                dropped += 2 * readers - site.held()
                receivers.leave("stuck")
                time.sleep(min(1.0, seconds))  # their ends are not the next window's
        growth = highest.stop() - before
    with_them, without = (quantile(sorted(found[stuck]), 0.99) for stuck in (True, False))
    book.note("stuck.growth", growth / 2**20)
    book.note("stuck.p99", with_them * 1000)
    book.note("stuck.p99_without", without * 1000)
    book.note("stuck.ratio", with_them / without if without else 1.0)
    book.note("stuck.dropped", dropped / readers / pairs * 100)
