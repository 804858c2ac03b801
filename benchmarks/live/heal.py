"""Disturbances of Redis: how long until every dashboard shows the database's count again."""

import contextlib
import random
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.contenders import SECRET_KEY
from benchmarks.ground import Ground
from benchmarks.live.book import Book
from benchmarks.live.faults import Fault, Link, at_least, flushed, frozen, killed, proxied
from benchmarks.live.receivers import Receivers, check_lasts
from benchmarks.live.site import Site, make_poll
from devtools.servers import RedisServer
from devtools.service import Service
from devtools.tcp_proxy import Mode, TcpProxy

VOTES_A_SECOND = 400.0
WITHIN = 60.0
FROZEN_SECONDS = 10.0
_JOINS = 50  # one after the other
# Drawn, so that no moment between two comparisons with the database is favoured.
_PAUSE = 5 / 3  # of the time of the votes, at most
_random = random.Random()  # noqa: S311 - no secret


@dataclass
class Scene:
    """Two processes, and the Redis between them."""

    sites: list[Site]
    link: Link


DISTURBANCES: dict[str, tuple[str, Fault]] = {
    "none": ("undisturbed", lambda _: contextlib.nullcontext()),
    "killed": ("Redis is killed", killed),
    "flushed": ("Redis is flushed, and its subscribers dropped", flushed),
    "frozen": (f"Redis is frozen for {FROZEN_SECONDS:g} s", at_least(FROZEN_SECONDS, frozen)),
    "partition": ("nothing passes between the processes and Redis", proxied(Mode.FREEZE)),
    "cut": ("every connection to Redis is reset", proxied(Mode.CUT)),
    "half_open": ("connections to Redis stand, its end is gone", proxied(Mode.HALF_OPEN)),
}


@contextlib.contextmanager
def _scene(ground: Ground) -> Iterator[Scene]:
    """Give two processes of one web worker each, left to the scheduler."""
    server = RedisServer()
    try:
        with ExitStack() as stack:
            database = stack.enter_context(ground.database())
            proxy = stack.enter_context(TcpProxy(server.port))
            url = f"redis://127.0.0.1:{proxy.port}"
            environment = {"DATABASE_URL": database, "REDIS_URL": url, "SECRET_KEY": SECRET_KEY}
            services = [stack.enter_context(Service(**environment)) for _ in range(2)]
            poll = make_poll(services[0].port)
            yield Scene([Site(one.port, one.pid, poll) for one in services], Link(server, proxy))
    finally:
        server.kill()


def _heal(scene: Scene, receivers: Receivers, seconds: float) -> float:
    """Vote at the first process, and return how long after it the last dashboard was right.

    What the other's dashboards show comes by way of Redis, or by comparing.
    """
    votes = scene.sites[0].vote(seconds, VOTES_A_SECOND, notes=True).votes
    ended = max(answered for _, answered, _ in votes)
    results = scene.sites[0].results()
    longest = 0.0
    for place in range(len(scene.sites)):
        at = receivers.wait_for(f"process {place}", WITHIN, seq=results["seq"])
        check_lasts(receivers.report(f"process {place}"), results)
        longest = max(longest, at - ended)
    return longest


def _join_ms(scene: Scene, receivers: Receivers, count: int) -> float:
    """Return the median time to join, one socket after the other."""
    site = scene.sites[1]
    joined = receivers.join("late", site.port, site.path, count=count, at_once=1, within=WITHIN)
    receivers.leave("late")
    return statistics.median(joined.took) * 1000


def run(ground: Ground, dashboards: int, seconds: float, chosen: list[str], book: Book) -> None:
    """Go through the disturbances: votes meanwhile, and votes once it is over."""
    joins = min(_JOINS, dashboards)
    with _scene(ground) as scene, Receivers() as receivers:
        for place, site in enumerate(scene.sites):
            receivers.join(f"process {place}", site.port, site.path, count=dashboards)
        for key, (_, disturb) in DISTURBANCES.items():
            if chosen and key not in chosen:
                continue
            if key == "killed":
                book.note("heal.join", _join_ms(scene, receivers, joins))
            with disturb(scene.link):
                time.sleep(_random.uniform(0, seconds * _PAUSE))
                book.note(f"heal.{key}", _heal(scene, receivers, seconds))
                if key == "killed":
                    book.note("heal.join_dead", _join_ms(scene, receivers, joins))
            book.note(f"heal.{key}.over", _heal(scene, receivers, min(seconds, 1.0)))
    times = [book.found.get(f"heal.{key}{over}") for key in DISTURBANCES for over in ("", ".over")]
    book.note("heal.longest", max(found[-1] for found in times if found))
