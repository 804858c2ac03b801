"""What a dashboard costs that nobody votes for: memory, joining, heartbeats and pings."""

import time

from benchmarks.contenders import wait_until_idle
from benchmarks.live.book import Book
from benchmarks.live.receivers import Receivers, check_lasts
from benchmarks.live.site import Place

_WARM_VOTES = (1.0, 20.0)  # seconds, a second


def run(place: Place, dashboards: int, seconds: float, book: Book) -> None:
    """Join, wait, and look at the process before and after.

    Before are a fiftieth of them that came and left, and some votes. Python's collector cannot be
    asked to run from outside; what it would give back counts, as it does for whoever runs this.
    """
    with place.service() as site, Receivers() as receivers:
        receivers.join("warm", site.port, site.path, count=max(10, dashboards // 50))
        site.vote(*_WARM_VOTES)
        receivers.leave("warm")
        wait_until_idle()
        before, used = site.rss(), site.cpu()
        joined = receivers.join("all", site.port, site.path, count=dashboards, within=600)
        wait_until_idle()
        book.note("idle.join", joined.seconds)
        book.note("idle.join_cpu", (site.cpu() - used) / dashboards * 1e6)
        used, began = site.cpu(), time.perf_counter()
        time.sleep(seconds)
        book.note("idle.cpu", (site.cpu() - used) / (time.perf_counter() - began) * 100)
        book.note("idle.kb", (site.rss() - before) / dashboards / 1024)
        site.vote(*_WARM_VOTES)
        results = site.results()
        receivers.wait_for("all", 60, seq=results["seq"])
        check_lasts(receivers.report("all"), results)
