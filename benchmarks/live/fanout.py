"""What one frame costs a server: its CPU while so many sockets get ten counts a second.

What it uses for anything else is taken off: votes, pings, and what it does in the background.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from benchmarks.contenders import wait_until_idle
from benchmarks.ground import RunFailedError
from benchmarks.live.book import Book
from benchmarks.live.receivers import Heard, Receivers, check_lasts
from benchmarks.live.site import Place, cpu_of, make_poll
from benchmarks.live.ways import INTERVAL, VOTES_A_SECOND, WAYS, Server, Way

WITHIN = 300.0  # seconds for all frames to arrive: stock Channels falls behind
_WARM_SECONDS = 0.5
LEAST_FRAMES = 30_000  # a second that the receivers must be able to count
ENOUGH = 1_000  # sockets: with fewer, what they cost is mostly looking for nothing


def ways(chosen: list[str]) -> list[Way]:
    """Return those that were asked for, or all."""
    return [way for way in WAYS if not chosen or way.key in chosen]


def run(way: Way, place: Place, sockets: int, seconds: float, book: Book) -> None:
    """Start a server, send, check that everything has arrived, and note what it cost."""
    if (why := way.missing(place)) is not None:
        book.skip(f"fanout.{way.key}", why)
        return
    with way.start(place) as server, Receivers() as receivers:
        receivers.join(
            "all", server.port, server.path, count=sockets, dialect=way.dialect, within=WITHIN
        )
        wait_until_idle()
        _send(way, server, receivers, _WARM_SECONDS)
        quiet = _Used.by(server, _silence(server, seconds))
        used = _Used.by(server, lambda: _send(way, server, receivers, seconds))
        heard = receivers.report("all")
    _note(way, heard, (used, quiet), sockets, book)


@dataclass(frozen=True)
class _Used:
    """What a server used while something was done, in seconds."""

    cpu: float
    time: float

    @classmethod
    def by(cls, server: Server, work: Callable[[], object]) -> "_Used":
        began, before = time.monotonic(), cpu_of(server.pid)
        work()
        return cls(cpu_of(server.pid) - before, time.monotonic() - began)


def _silence(server: Server, seconds: float) -> Callable[[], object]:
    """Return how to let the sockets be: votes go on coming, to a poll that nobody watches."""
    if server.site is None:
        return partial(time.sleep, seconds)
    aside = replace(server.site, poll=make_poll(server.port))
    aside.vote(_WARM_SECONDS, VOTES_A_SECOND)
    return partial(aside.vote, seconds, VOTES_A_SECOND)


def _send(way: Way, server: Server, receivers: Receivers, seconds: float) -> None:
    """Have counts sent, and wait until every receiver has them all."""
    receivers.mark()
    frames = way.send(server, receivers, seconds)
    if frames is not None:
        receivers.wait_for("all", WITHIN, frames=frames)
        heard = receivers.report("all")
        if heard.most != frames or len(heard.lasts) != 1 or heard.lost:
            raise RunFailedError(f"{frames} counts were sent; the receivers have {heard}")
    elif server.site is not None:
        results = server.site.results()
        receivers.wait_for("all", WITHIN, seq=results["seq"])
        check_lasts(receivers.report("all"), results)


def _note(way: Way, heard: Heard, cpu: tuple[_Used, _Used], sockets: int, book: Book) -> None:
    """Note a run by what it used with counts and without."""
    if not heard.frames:
        raise RunFailedError("No frame came.")
    key, seconds = f"fanout.{way.key}", heard.seconds + INTERVAL
    used, quiet = cpu
    aside = quiet.cpu / quiet.time * used.time
    book.note(key, (used.cpu - aside) / heard.frames * 1e6)
    book.note(f"{key}.gross", used.cpu / heard.frames * 1e6)
    book.note(f"{key}.rate", heard.frames / sockets / seconds)
    book.note(f"{key}.core", used.cpu / seconds)
    book.note(f"{key}.bytes", heard.bytes / heard.frames)
    book.note(f"{key}.receivers", heard.cpu / seconds)


def measure_receivers(place: Place, sockets: int, seconds: float) -> str:
    """Return what the receivers can do; raise where they could be what a run measures."""
    (way,) = ways(["bare_uvicorn"])
    book = Book()
    run(way, place, sockets, seconds, book)
    rate = book.median(f"fanout.{way.key}.rate") or 0.0
    cpu = book.median(f"fanout.{way.key}.receivers") or 1.0
    possible = rate * sockets / max(cpu, 0.01)
    said = (
        f"The receivers take {rate * sockets:,.0f} frames a second off a bare loop with {cpu:.0%} "
        f"of their core, so they could take {possible:,.0f}."
    )
    if sockets >= ENOUGH and possible < LEAST_FRAMES:
        raise RunFailedError(f"{said} That is less than {LEAST_FRAMES:,}.")
    return said
