"""How poll locks compare: `python -m benchmarks.closing`.

Four processes flush batches for one poll as fast as they can, first with each kind of lock alone,
then with both. Measured for each: votes a second, and how long a close waits meanwhile.
docs/decisions/0004-poll-lock.md holds the figures and what was chosen.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from multiprocessing.synchronize import Event
from typing import Any

from benchmarks.election import say
from devtools import servers

PROCESSES = 4
BATCH = 50  # votes
LONGEST = 10.0  # seconds after which the load ends, for a close that would wait for ever
LOCKS = ("row lock", "advisory lock", "both")


def _pass_freely(poll_id: uuid.UUID) -> None:
    """Stand in no queue before a poll's row."""


def _only(lock: str) -> None:
    """Leave out the statement of the other lock, in this process."""
    from polls.domain import lifecycle  # noqa: PLC0415 - after django.setup()
    from polls.domain.statements import Postgres  # noqa: PLC0415 - the same

    later = Postgres._later  # noqa: SLF001 - this is what it is about
    left_out = {"row lock": "polls_turnstiles", "advisory lock": "polls_share"}.get(lock)

    def later_without(self: Any, name: str, *columns: object) -> None:  # noqa: ANN401 - Postgres
        if name != left_out:
            later(self, name, *columns)

    Postgres._later = later_without  # type: ignore[method-assign] # noqa: SLF001 - the same
    if lock == "row lock":
        lifecycle._wait_for_flushes = _pass_freely  # noqa: SLF001 - the same


def _set_up(database: str) -> None:
    os.environ["DATABASE_URL"] = database
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "polls_project.settings.base")
    import django  # noqa: PLC0415 - its settings come first

    django.setup()


def _vote(database: str, lock: str, poll_id: uuid.UUID, stop: Event, counted: Any) -> None:  # noqa: ANN401 - a shared value
    """Flush batches until told to stop."""
    _set_up(database)
    _only(lock)
    from polls.domain.ballot_box import write_batch  # noqa: PLC0415 - after django.setup()
    from polls.domain.ballot_paper import load_ballot_paper  # noqa: PLC0415 - the same
    from polls.domain.outcomes import Counted  # noqa: PLC0415 - the same
    from polls.domain.voting import Voter, make_cast  # noqa: PLC0415 - the same
    from polls.models import Poll  # noqa: PLC0415 - the same

    paper = load_ballot_paper(Poll.objects.get(id=poll_id))
    ballots = [paper.canonical([option]) for option in paper.options]
    while not stop.is_set():
        casts = [
            make_cast(paper, uuid.uuid4().hex, Voter(), ballots[place % len(ballots)])
            for place in range(BATCH)
        ]
        found = sum(isinstance(outcome, Counted) for outcome in write_batch(casts))
        with counted.get_lock():
            counted.value += found


def _close_under_load(
    database: str, lock: str, new_poll: Callable[[], uuid.UUID], seconds: float
) -> tuple[float, float]:
    """Return votes a second and how many seconds a close waited."""
    from polls.domain import lifecycle  # noqa: PLC0415 - after django.setup()

    poll_id = new_poll()
    context = multiprocessing.get_context("spawn")
    stop, counted = context.Event(), context.Value("q", 0)
    arguments = (database, lock, poll_id, stop, counted)
    voting = [context.Process(target=_vote, args=arguments) for _ in range(PROCESSES)]
    for process in voting:
        process.start()
    while counted.value < PROCESSES * BATCH * 4:
        time.sleep(0.01)
    began, before = time.monotonic(), counted.value
    time.sleep(seconds)
    rate = (counted.value - before) / (time.monotonic() - began)
    end_of_load = threading.Timer(LONGEST, stop.set)
    end_of_load.start()
    asked = time.monotonic()
    lifecycle.close_poll(poll_id)
    waited = time.monotonic() - asked
    end_of_load.cancel()
    stop.set()
    for process in voting:
        process.join()
    return rate, waited


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    chosen = parser.parse_args(arguments)
    database = servers.create_database(servers.postgres(), "polls_locks")
    _set_up(database)
    from django.conf import settings  # noqa: PLC0415 - after django.setup()
    from django.core.management import call_command  # noqa: PLC0415 - the same

    from accounts.models import User  # noqa: PLC0415 - the same
    from polls.domain import lifecycle  # noqa: PLC0415 - the same
    from polls.domain.definition import Definition  # noqa: PLC0415 - the same
    from polls.domain.polls import create_poll  # noqa: PLC0415 - the same

    call_command("migrate", verbosity=0)
    settings.RATE_LIMITS["polls_of_account"] = (10**6, 60)  # a clerk like no other
    owner = User.objects.create_user("clerk")

    def new_poll() -> uuid.UUID:
        definition = Definition(title="Lunch?", options=["Pizza", "Sushi", "Soup"])
        return create_poll(owner, definition, status="open").id

    wait_for_flushes = lifecycle._wait_for_flushes  # noqa: SLF001 - see _only
    rates: dict[str, list[float]] = {lock: [] for lock in LOCKS}
    waits: dict[str, list[float]] = {lock: [] for lock in LOCKS}
    for turn in range(chosen.rounds):
        for lock in (*LOCKS[turn % 3 :], *LOCKS[: turn % 3]):
            if lock == "row lock":
                lifecycle._wait_for_flushes = _pass_freely  # noqa: SLF001 - the same
            rate, waited = _close_under_load(database, lock, new_poll, chosen.seconds)
            lifecycle._wait_for_flushes = wait_for_flushes  # noqa: SLF001 - the same
            rates[lock].append(rate)
            waits[lock].append(waited)
            say(f"  {lock}: {rate:,.0f} votes/s, the close waited {waited * 1000:,.0f} ms")
    say("\n| lock | votes/s, median | a close waits, median | longest |\n|---|---|---|---|")
    for lock in LOCKS:
        middle = statistics.median(waits[lock]) * 1000
        say(
            f"| {lock} | {statistics.median(rates[lock]):,.0f} | {middle:,.0f} ms "
            f"| {max(waits[lock]) * 1000:,.0f} ms |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
