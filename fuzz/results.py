"""What a run came to, as a section of RESULTS.md."""

from collections.abc import Sequence
from contextlib import closing

import psycopg2

from benchmarks.figures import provenance
from devtools import servers
from fuzz.report import Report

_SHOWN = 6  # of the answers, those that came most often


def section(reports: Sequence[Report], seed: int) -> str:
    """Return what was sent, what was answered and that nothing was found."""
    lines = [
        "## `make fuzz`: Fuzzing",
        "",
        provenance("fuzz", _postgres()),
        f"Seed {seed}. Inputs are those that were sent and answered, or ended by the server.",
        "",
        "| part | inputs | a second | most common answers | found |",
        "|---|---:|---:|---|---|",
    ]
    for report in reports:
        common = ", ".join(
            f"{number:,} x {what}" for what, number in report.answers.most_common(_SHOWN)
        )
        rate = report.inputs / max(report.seconds, 0.001)
        found = "; ".join(report.found) or "nothing"
        lines.append(f"| {report.name} | {report.inputs:,} | {rate:,.0f} | {common} | {found} |")
    total = sum(report.inputs for report in reports)
    overloads = sum(report.overloads.total() for report in reports)
    seconds = sum(report.seconds for report in reports)
    held = (
        f"{total:,} inputs in {seconds / 60:.0f} minutes. No answer was the server's own fault,"
        " none accepted what the contract refuses; both doors gave the same bytes; what was"
        " acknowledged equals tally, recount, ballots and participations in every poll."
    )
    busy = (
        f"{overloads:,} answers were 503 with Retry-After, as documented of an overloaded service;"
        " such requests are sent again, and more than one in a thousand inputs fail the run."
    )
    lines += ["", held, busy]
    return "\n".join(lines)


def _postgres() -> str:
    """Return the version of the PostgreSQL server of a run."""
    with closing(psycopg2.connect(servers.postgres())) as connection:
        return str(connection.info.parameter_status("server_version"))
