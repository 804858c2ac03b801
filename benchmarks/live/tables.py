"""The tables: what a frame costs by each way, and every figure beside its floor and its aim."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.live.book import Book
from benchmarks.live.heal import DISTURBANCES
from benchmarks.live.ways import WAYS

TICK_MS = 100.0  # the service's own, by default


@dataclass(frozen=True)
class Figure:
    """A figure, where less is better; with a floor it is promised, its aim is what we work for."""

    title: str
    value: Callable[[Book], float | None]
    unit: str
    floor: float | None = None
    aim: float | None = None
    key: str = ""  # under which it may have been skipped

    def row(self, book: Book) -> str | None:
        """Return it as a line of the table; None where its part was not run."""
        value = self.value(book)
        if value is None:
            why = book.skipped.get(self.key)
            return f"| {self.title} | {why} | | | |" if why is not None else None
        limits = [
            "" if limit is None else f"≤ {limit:.3g}{self.unit}" for limit in (self.floor, self.aim)
        ]
        held = "" if self.floor is None else "pass" if value <= self.floor else "FAIL"
        shown = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - digits
        return f"| {self.title} | {shown}{self.unit} | {' | '.join(limits)} | {held} |"


def _ratio(title: str, above: str, below: str, floor: float, aim: float) -> Figure:
    """Return the figure of a frame's cost beside another way's."""
    above, below = f"fanout.{above}", f"fanout.{below}"
    return Figure(title, lambda book: book.ratio(above, below), "x", floor, aim, below)


def _median(
    title: str, key: str, unit: str, floor: float | None = None, aim: float | None = None
) -> Figure:
    return Figure(title, lambda book: book.median(key), unit, floor, aim, key)


def _highest(title: str, key: str, aim: float) -> Figure:
    """Return the figure of the longest healing, for each must be short."""
    return Figure(title, lambda book: book.highest(key), " s", 6, aim, key)


_COST = "CPU a frame: this service : "
FIGURES = [
    _ratio(f"{_COST}stock Channels", "ours", "stock", 1 / 15, 1 / 25),
    _ratio(f"{_COST}Node `ws`", "ours", "ws", 1.25, 0.95),
    _ratio(f"{_COST}Socket.IO", "ours", "socketio", 1.0, 0.75),
    _ratio(f"{_COST}nats-server", "ours", "nats", 0.8, 0.6),
    _ratio(f"{_COST}a bare loop, Uvicorn", "ours", "bare_uvicorn", 0.75, 0.6),
    _ratio(f"{_COST}a bare loop, both on Daphne", "ours_daphne", "bare_daphne", 1.2, 1.05),
    _median("votes a second while latency was measured", "latency.rate", ""),
    _median(
        "answer of a vote → its count, p50", "latency.answered.p50", " ms", TICK_MS / 2 + 20, 60
    ),
    _median(
        "answer of a vote → its count, p99",
        "latency.answered.p99",
        " ms",
        TICK_MS + 100,
        TICK_MS + 30,
    ),
    _median("vote was due → its count, p50", "latency.due.p50", " ms"),
    _median("vote was due → its count, p99", "latency.due.p99", " ms"),
    # Ten, and what a window's ends can add to it.
    _median("counts a second, the dashboard with the most", "latency.frames", "", 10.5, 10),
    _median("the same with four processes", "latency.frames_four", "", 10.5, 10),
    _median("receivers meanwhile, of their core", "latency.receivers", " %"),
    _median("memory of an idle dashboard", "idle.kb", " KB", 35, 25),
    _median("all idle dashboards have joined after", "idle.join", " s"),
    _median("CPU of a join", "idle.join_cpu", " µs"),
    _median("CPU while all are idle, of a core", "idle.cpu", " %"),
    _median("growth of memory beside stuck readers", "stuck.growth", " MB", 50, 25),
    _median("p99 of the healthy with stuck readers : without", "stuck.ratio", "x", 1.1, 1.0),
    _median("p99 of the healthy without stuck readers", "stuck.p99_without", " ms"),
    _median("stuck readers that the service had let go of in the end", "stuck.dropped", " %"),
    *(
        figure
        for key, (title, _) in DISTURBANCES.items()
        for figure in (
            _highest(f"votes end → all right, {title}", f"heal.{key}", 5.5),
            _highest(f"the same once that is over ({key})", f"heal.{key}.over", 1),
        )
    ),
    _median("time to join with Redis", "heal.join", " ms"),
    Figure(
        "time to join with Redis dead : with it",
        partial(Book.ratio, above="heal.join_dead", below="heal.join"),
        "x",
        1.5,
        1.1,
        "heal.join",
    ),
    _median("all are back after a storm", "storm.back", " s", 30, 15),
    _median("statements a second about the poll meanwhile", "storm.queries", "", 2, 1),
    _median("statements about the poll in all", "storm.asked", ""),
    _median("time to join meanwhile, p99", "storm.join_p99", " ms"),
]


def _costs(book: Book) -> list[str]:
    lines = ["| one count to every socket | CPU a frame, median | lowest, highest | a second |"]
    lines[0] += " all it used | of its core | bytes | receivers |"
    lines.append("|---|---:|---:|---:|---:|---:|---:|---:|")
    for way in WAYS:
        key = f"fanout.{way.key}"
        if key in book.skipped:
            lines.append(f"| {way.title} | {book.skipped[key]} | | | | | | |")
        if (cost := book.median(key)) is None:
            continue
        found = book.found[key]
        rate, core, size, receivers = (
            book.median(f"{key}.{name}") or 0.0 for name in ("rate", "core", "bytes", "receivers")
        )
        cells = [way.title, f"{cost:.1f} µs", f"{min(found):.1f}, {max(found):.1f}"]
        gross = book.median(f"{key}.gross") or 0.0
        cells += [
            f"{rate:.1f}",
            f"{gross:.1f} µs",
            f"{core:.0%}",
            f"{size:.0f}",
            f"{receivers:.0%} of a core",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""] if len(lines) > 2 else []  # noqa: PLR2004 - more than its head


def tables(book: Book) -> str:
    """Return all that was run as Markdown."""
    rows = [row for figure in FIGURES if (row := figure.row(book)) is not None]
    head = ["| | | floor | aim | floor held |", "|---|---:|---:|---:|---|"]
    return "\n".join(_costs(book) + (head + rows if rows else []))
