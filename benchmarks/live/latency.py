"""How long a vote takes to every dashboard, and how often a dashboard is told."""

from collections import defaultdict
from collections.abc import Sequence

from benchmarks.contenders import SERVER_CORE, wait_until_idle
from benchmarks.ground import RunFailedError
from benchmarks.live.book import Book, quantile
from benchmarks.live.receivers import Receivers, check_lasts
from benchmarks.live.site import Place, Site

SAMPLES = 1_000_000  # votes times dashboards that are looked at, at most
WITHIN = 60.0
_WARM_SECONDS = 2.0  # no longer than what is measured

Vote = tuple[float, float, int]  # when it was due, when it was answered, its seq
Arrivals = Sequence[Sequence[tuple[float, int]]]  # of each dashboard: when which seq came


def delays(votes: Sequence[Vote], arrivals: Arrivals) -> tuple[list[float], list[float]]:
    """Return how long each dashboard waited for each vote: since its answer, since it was due.

    In seconds, ordered, until the first count that holds the vote; 0 where that came before the
    answer. Where there are very many, every n-th vote is looked at. Raises RunFailedError where a
    dashboard never showed a vote.
    """
    step = 1 + len(votes) * len(arrivals) // SAMPLES
    chosen = sorted(votes, key=lambda vote: vote[2])[::step]
    by_seq: dict[int, list[Vote]] = defaultdict(list)
    for vote in chosen:
        by_seq[vote[2]].append(vote)
    answered: list[float] = []
    due: list[float] = []
    for counts in arrivals:
        coming = iter(counts)
        at, shown = 0.0, -1
        for seq, group in by_seq.items():
            while shown < seq:
                found = next(coming, None)
                if found is None:
                    raise RunFailedError(f"A dashboard that has {shown} never showed {seq}")
                at, shown = found
            answered += [max(0.0, at - vote[1]) for vote in group]
            due += [max(0.0, at - vote[0]) for vote in group]
    return sorted(answered), sorted(due)


def frames_a_second(votes: Sequence[Vote], arrivals: Arrivals) -> float:
    """Return how many counts a second the dashboard got that got the most, during the votes."""
    begin, end = min(vote[1] for vote in votes), max(vote[1] for vote in votes)
    most = max(sum(begin <= at <= end for at, _ in counts) for counts in arrivals)
    return most / (end - begin)


def _watch(
    site: Site, dashboards: int, rate: float, seconds: float
) -> tuple[list[Vote], list[list[tuple[float, int]]], float]:
    """Vote while so many watch; return the votes, what came of them, and the receivers' CPU."""
    with Receivers() as receivers:
        receivers.join("all", site.port, site.path, count=dashboards)
        wait_until_idle()
        receivers.mark(records=True)
        votes = site.vote(seconds, rate, warm=min(_WARM_SECONDS, seconds), notes=True).votes
        results = site.results()
        receivers.wait_for("all", WITHIN, seq=results["seq"])
        heard = receivers.report("all")
        check_lasts(heard, results)
        return votes, receivers.arrivals("all"), heard.cpu / heard.seconds


def run(place: Place, dashboards: int, rate: float, seconds: float, book: Book) -> None:
    """Measure with one process, and how often a dashboard is told with four."""
    with place.service(core=SERVER_CORE) as site:
        votes, arrivals, cpu = _watch(site, dashboards, rate, seconds)
    answered, due = delays(votes, arrivals)
    for name, found in (("answered", answered), ("due", due)):
        book.note(f"latency.{name}.p50", quantile(found, 0.5) * 1000)
        book.note(f"latency.{name}.p99", quantile(found, 0.99) * 1000)
    book.note("latency.rate", len(votes) / seconds)
    book.note("latency.receivers", cpu * 100)
    book.note("latency.frames", frames_a_second(votes, arrivals))
    if place.ground is None:
        book.skip("latency.frames_four", "skipped: several processes need PostgreSQL")
        return
    with place.service(core=None, WEB_WORKERS="4") as site:
        votes, arrivals, _ = _watch(site, dashboards, rate, seconds)
    book.note("latency.frames_four", frames_a_second(votes, arrivals))
