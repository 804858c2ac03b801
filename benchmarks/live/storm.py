"""All are dropped at once and come back: how long it takes, and what the database is asked."""

import re
import uuid
from pathlib import Path

from benchmarks.contenders import wait_until_idle
from benchmarks.ground import Poll, connected
from benchmarks.live.book import Book, quantile
from benchmarks.live.receivers import Receivers, check_lasts
from benchmarks.live.site import serving
from devtools.postgres import PostgresServer

WITHIN = 120.0  # seconds for all to come back, beyond which there is no figure
_STATEMENT = re.compile(r"duration: [\d.]+ ms  (?:statement|execute [^:]*): ")


class LoggedPostgres(PostgresServer):
    """A server of our own that logs every statement."""

    def log_everything(self) -> None:
        """Begin."""
        with connected(self.url) as cursor:
            cursor.execute("ALTER SYSTEM SET log_min_duration_statement = 0")
            cursor.execute("SELECT pg_reload_conf()")

    def statements(self) -> list[str]:
        """Return what has been asked so far, by anybody: a text each, its lines in one."""
        return statements_of(self._log)


def statements_of(log: Path) -> list[str]:
    """Return the statements of a server's log; for a prepared one, what it was prepared as."""
    text = log.read_text(encoding="utf-8", errors="replace")
    found = []
    for entry in re.split(r"(?m)^(?=\d{4}-\d\d-\d\d )", text):
        if (match := _STATEMENT.search(entry)) is not None:
            found.append(" ".join(entry[match.end() :].split()))
        elif "DETAIL:  prepare: " in entry and found:
            found[-1] = " ".join(entry.partition("DETAIL:  prepare: ")[2].split())
    return found


def about(poll: Poll, statements: list[str]) -> list[str]:
    """Return those that name a poll: what a process asks each second anyway names none."""
    names = (str(poll.id), uuid.UUID(str(poll.id)).hex)
    return [statement for statement in statements if any(name in statement for name in names)]


def run(dashboards: int, book: Book) -> None:
    """Reset all connections, and count what the database is asked until the last is back."""
    server = LoggedPostgres()
    try:
        with serving({"DATABASE_URL": server.url}) as site, Receivers() as receivers:
            receivers.join("all", site.port, site.path, count=dashboards)
            wait_until_idle()
            server.log_everything()
            before = len(about(site.poll, server.statements()))
            back = receivers.drop("all", WITHIN)
            asked = len(about(site.poll, server.statements())) - before
            book.note("storm.back", back.seconds)
            book.note("storm.asked", asked)
            book.note("storm.queries", asked / back.seconds)
            book.note("storm.join_p99", quantile(sorted(back.took), 0.99) * 1000)
            site.vote(1.0, 20.0)
            results = site.results()
            receivers.wait_for("all", 60, seq=results["seq"])
            check_lasts(receivers.report("all"), results)
    finally:
        server.stop()
