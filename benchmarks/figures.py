"""What the runs came to: medians, ratios with their floors and aims, and RESULTS.md."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.load import Report
from devtools.node import node
from devtools.service import ROOT

RESULTS = ROOT / "benchmarks" / "RESULTS.md"

Runs = Mapping[str, Sequence[Report]]


def rate(runs: Runs, *keys: str) -> float | None:
    """Return the median of answers a second, of several contenders that of the best."""
    found = [median(report.rate for report in runs[key]) for key in keys if runs.get(key)]
    return max(found, default=None)


def _ratio(above: Sequence[str], below: Sequence[str]) -> Callable[[Runs], float | None]:
    def compute(runs: Runs) -> float | None:
        over, under = rate(runs, *above), rate(runs, *below)
        return over / under if over is not None and under else None

    return compute


def _p99(runs: Runs) -> float | None:
    return median(report.p99 for report in runs["half"]) if runs.get("half") else None


@dataclass(frozen=True)
class Bar:
    """A figure that is promised: its floor must hold, its aim is what we work for."""

    title: str
    value: Callable[[Runs], float | None]
    floor: float
    aim: float
    unit: str = "x"
    below: bool = False  # whether less is better

    def row(self, runs: Runs) -> str:
        """Return it as a line of the table."""
        value = self.value(runs)
        sign = "≤ " if self.below else "≥ "
        shown, held = "not run", ""
        if value is not None:
            shown = f"{value:.2f}{self.unit}"
            held = (
                "pass" if (value <= self.floor if self.below else value >= self.floor) else "FAIL"
            )
        floor, aim = (f"{sign}{limit:g}{self.unit}" for limit in (self.floor, self.aim))
        return f"| {self.title} | {shown} | {floor} | {aim} | {held} |"


_FASTIFY = ("fastify_1", "fastify_4", "fastify_10", "fastify_transaction")
_PGBENCH = ("pgbench_1", "pgbench_8", "pgbench_32")
_BARE = ("bare_4", "bare_10")
BARS = [
    Bar(
        "express door : Fastify + pg, same work, best pool", _ratio(["express"], _FASTIFY), 2.5, 3.5
    ),
    Bar(
        "express door : pgbench, same work one at a time, best count of clients",
        _ratio(["express"], _PGBENCH),
        2.5,
        3.5,
    ),
    Bar(
        "express door, whole vote : Fastify + pg, a bare INSERT, best pool",
        _ratio(["express"], _BARE),
        0.8,
        1.5,
    ),
    Bar("express door : stock Django", _ratio(["express"], ["stock"]), 30, 80),
    Bar(
        "embedded (SQLite) : Fastify + pg, same work, best pool", _ratio(["sqlite"], _FASTIFY), 2, 3
    ),
    Bar(
        "`identity: device` with a network cap : without",
        _ratio(["capped"], ["device"]),
        0.85,
        0.95,
    ),
    Bar("1,000 polls : one poll", _ratio(["spread"], ["express"]), 0.5, 0.8),
    Bar("four processes: one poll : four polls", _ratio(["four_one"], ["four_four"]), 0.8, 0.95),
    Bar("p99 of a vote at half of the saturating load", _p99, 25, 10, " ms", below=True),
    Bar("DRF door : stock Django's DRF view", _ratio(["drf"], ["stock"]), 8, 12),
    Bar("`GET results/` : one SELECT by primary key", _ratio(["results"], ["select"]), 0.8, 1),
    Bar(
        "time of `results/`, 10,000,000 votes : 10,000",
        _ratio(["results_small"], ["results_large"]),
        1.1,
        1,
        below=True,
    ),
]


def tables(runs: Runs, titles: Mapping[str, str], skipped: Mapping[str, str]) -> str:
    """Return both tables as Markdown."""
    lines = ["| | a second, median | lowest, highest | p50 | p99 | load generator |"]
    lines.append("|---|---:|---:|---:|---:|---:|")
    for key, title in titles.items():
        if key in skipped:
            lines.append(f"| {title} | {skipped[key]} | | | | |")
        if not runs.get(key):
            continue
        rates = [report.rate for report in runs[key]]
        cells = [title, f"{median(rates):,.0f}", f"{min(rates):,.0f}, {max(rates):,.0f}"]
        if key.startswith("pgbench"):
            cells += ["", "", ""]
        else:
            p50, p99, cpu = (
                median(getattr(report, name) for report in runs[key])
                for name in ("p50", "p99", "cpu")
            )
            cells += [f"{p50:.1f} ms", f"{p99:.1f} ms", f"{cpu:.0%} of a core"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| ratio of medians | | floor | aim | floor held |", "|---|---:|---:|---:|---|"]
    lines += [bar.row(runs) for bar in BARS]
    return "\n".join(lines)


# -- where and when ----------------------------------------------------------------------------


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    except OSError:
        return "unknown"
    return done.stdout.strip()


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    found = re.search(r"model name\s*:\s*(.+)", text)
    return found[1] if found else platform.machine()


def provenance(module: str, postgres: str) -> str:
    """Return machine, versions, commit and command in one paragraph."""
    dirty = " with changes" if _said("git", "status", "--porcelain", "--", "*.py") else ""
    command = " ".join([f"python -m {module}", *sys.argv[1:]])
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {os.cpu_count()} cores, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"PostgreSQL {postgres}, node {_said(node(), '--version')}, "
        f"commit {_said('git', 'rev-parse', '--short', 'HEAD')}{dirty}, `{command}`."
    )


def write(section: str, command: str) -> None:
    """Put a command's section in the place of its last one; the rest of the file stays."""
    begin, end = f"<!-- {command}: begin -->", f"<!-- {command}: end -->"
    marked = f"{begin}\n{section.strip()}\n{end}"
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else "# Results\n"
    if begin in text and end in text:
        before, _, rest = text.partition(begin)
        text = before + marked + rest.partition(end)[2]
    else:
        text = f"{text.rstrip()}\n\n{marked}\n"
    RESULTS.write_text(text, encoding="utf-8")
