"""Overload: 503 with Retry-After, which the catalogue documents, and how a run takes it.

A machine with too much to do may not hash a password or commit a vote within the 4.5 s that a
request has, and says so. That is no fault as long as it is rare: the request is sent again as
Retry-After says, and counted. More than one in a thousand fails the run. A vote that is answered
`outcome_unknown` may have been counted, so nothing more can be held to the oracle: its scene ends.
"""

import asyncio

from fuzz.problems import code_of, summary
from fuzz.report import Report
from fuzz.wire import Answer, Line

CODES = ("overloaded", "unavailable", "outcome_unknown")
UNAVAILABLE, UNKNOWN = 503, "outcome_unknown"
_TRIES = 6
_LONGEST_WAIT = 5.0  # seconds


def is_overload(answer: Answer) -> bool:
    """Whether this is one of the documented answers of too much at a time."""
    retry_after = answer.header(b"retry-after") or b""
    return answer.status == UNAVAILABLE and code_of(answer) in CODES and retry_after.isdigit()


async def ask(
    line: Line, sent: bytes, method: str, report: Report | None, *, is_vote: bool = False
) -> Answer:
    """Send a request, again while the service is overloaded, and return the last answer."""
    answer = await line.ask(sent, method)
    for _ in range(_TRIES):
        if not is_overload(answer):
            break
        if report is not None:
            report.overloaded(summary(answer))
        if is_vote and code_of(answer) == UNKNOWN:
            break
        await asyncio.sleep(min(int(answer.header(b"retry-after") or b"1"), _LONGEST_WAIT))
        answer = await line.ask(sent, method)
    return answer
