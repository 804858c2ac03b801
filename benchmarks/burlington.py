"""`make demo`: the 2009 mayoral election of Burlington, Vermont, on the running service.

8,980 voters cast the published first choices over real HTTP in random order, some of them twice,
while 200 dashboards listen. In the end the tally, its recount, every dashboard and the published
figures must be the same; otherwise the exit status is 1 and each difference is named.

It starts a service of its own on PostgreSQL and Redis with two processes and a database that ends
with it, or uses the service at POLLS_URL.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence

import aiohttp

from benchmarks.election import DemoFailedError, Election, say
from benchmarks.outcome import Outcome, delays, differences
from devtools import servers
from devtools.children import exit_on_sigterm
from devtools.errors import ServerMissingError
from devtools.service import Service, ServiceFailedError

# First choices as they were published. The spoilt ballots marked more than one candidate as first.
PUBLISHED = {
    "Kurt Wright": 2951,
    "Bob Kiss": 2585,
    "Andy Montroll": 2063,
    "Dan Smith": 1306,
    "Write-in": 36,
    "James Simpson": 35,
}
SPOILT = 4
DASHBOARDS = 200
DEMO_SECONDS = 600
SEED = 2009
_SHOWN = 20  # differences; more of them say no more


def figures(voters: int) -> dict[str, int]:
    """Return the published figures, or their proportions for fewer voters."""
    published = sum(PUBLISHED.values()) + SPOILT
    if voters >= published:
        return PUBLISHED
    return {name: max(1, votes * voters // published) for name, votes in PUBLISHED.items()}


@contextlib.contextmanager
def service() -> Iterator[str]:
    """Give the URL of the service at POLLS_URL, or of one that is started for the demo."""
    given = os.environ.get("POLLS_URL", "").strip().rstrip("/")
    if given:
        yield given
        return
    database = servers.create_database(servers.postgres(), "polls_demo")
    with Service(DATABASE_URL=database, REDIS_URL=servers.redis_url(), WEB_WORKERS="2") as started:
        yield started.url


def report(outcome: Outcome, seconds: float) -> int:
    """Print what was seen, and return the exit status."""
    found = differences(outcome)
    rows = {
        "votes acknowledged": len(outcome.acknowledged),
        "retries answered with the first receipt": outcome.retries_answered,
        "second votes refused": outcome.doubles_refused,
        "spoilt ballots refused": outcome.spoilt_refused,
        "ballots sent again after a 503": outcome.sent_again,
    }
    say("")
    for name, number in rows.items():
        say(f"{number:>8,}  {name}")
    say("")
    full = sum(outcome.expected.values()) == sum(PUBLISHED.values())
    against = "published" if full else "expected"
    for option in outcome.results["options"]:
        tally = outcome.integrity["tally"].get(option["id"])
        recount = outcome.integrity["recount"].get(option["id"])
        expected = outcome.expected[option["id"]]
        say(
            f"{option['text']:<16} tally {tally:>5,}   recount {recount:>5,}   "
            f"{against} {expected:>5,}"
        )
    waited = delays(outcome)
    if waited:
        say("")
        say(
            "From an acknowledged vote to a frame that has it, on each dashboard: "
            f"median {statistics.median(waited) * 1000:.0f} ms, "
            f"longest {max(waited) * 1000:.0f} ms"
        )
    say(f"Voting and counting took {seconds:.1f} s.")
    for difference in found[:_SHOWN]:
        say(f"DIFFERENCE  {difference}")
    if found:
        say(f"{len(found)} differences.")
        return 1
    say(
        f"Tally = recount = {against} figures = the last frame of all "
        f"{len(outcome.dashboards)} dashboards."
    )
    return 0


async def hold(url: str, *, voters: int, dashboards: int) -> int:
    """Hold the election at a service and return the exit status."""
    say(f"The service: {url}")
    election = Election(url, figures(voters), spoilt=SPOILT, seed=SEED)
    begun = time.monotonic()
    async with asyncio.timeout(DEMO_SECONDS):
        await election.hold(dashboards)
    return report(election.outcome, time.monotonic() - begun)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit status."""
    parser = argparse.ArgumentParser(description="Burlington 2009 on the running service")
    parser.add_argument("--voters", type=int, default=sum(PUBLISHED.values()) + SPOILT)
    parser.add_argument("--dashboards", type=int, default=DASHBOARDS)
    chosen = parser.parse_args(arguments)
    exit_on_sigterm()
    try:
        with service() as url:
            return asyncio.run(hold(url, voters=chosen.voters, dashboards=chosen.dashboards))
    except TimeoutError:
        say(f"Not done within {DEMO_SECONDS} s.")
    except (aiohttp.ClientError, OSError) as error:
        say(f"The service cannot be talked to: {error!r}")
    except (DemoFailedError, ServerMissingError, ServiceFailedError) as error:
        say(str(error))
    except KeyboardInterrupt:
        say("Ended before it was done.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
