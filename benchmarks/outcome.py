"""What an election on the running service came to, and whether it is what it must be."""

import time
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp


@dataclass
class Dashboard:
    """One listening WebSocket: when it was told which seq, and the last count it was told."""

    port: int
    heard: list[tuple[float, int]] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)
    ended: str = ""

    async def listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Take frames until the socket ends."""
        async for message in socket:
            frame = message.json()
            if frame["type"] in {"snapshot", "tally"}:
                self.heard.append((time.monotonic(), frame["seq"]))
                self.last = frame
            elif frame["type"] != "heartbeat":
                self.ended = str(frame)
        self.ended = self.ended or f"closed with {socket.close_code}"


@dataclass
class Outcome:
    """All that was asked for and seen."""

    expected: dict[str, int] = field(default_factory=dict)  # votes by option id
    spoilt: int = 0
    retries: int = 0
    doubles: int = 0
    acknowledged: list[tuple[float, int]] = field(default_factory=list)  # when, and its seq
    receipts: set[str] = field(default_factory=set)
    retries_answered: int = 0
    doubles_refused: int = 0
    spoilt_refused: int = 0
    sent_again: int = 0  # after a 503, with the same key
    unexpected: Counter[str] = field(default_factory=Counter)
    integrity: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    dashboards: list[Dashboard] = field(default_factory=list)


def differences(outcome: Outcome) -> list[str]:
    """Return what does not hold, each with both sides; empty where all is well."""
    found = [f"{what}: {count} times" for what, count in sorted(outcome.unexpected.items())]

    def compare(what: str, seen: object, expected: object) -> None:
        if seen != expected:
            found.append(f"{what}: {seen}, expected {expected}")

    ballots = sum(outcome.expected.values())
    results, integrity = outcome.results, outcome.integrity
    shown = {option["id"]: option["votes"] for option in results.get("options", [])}
    compare("votes acknowledged", len(outcome.acknowledged), ballots)
    compare("different receipts", len(outcome.receipts), ballots)
    compare("retries answered with the first receipt", outcome.retries_answered, outcome.retries)
    compare("second votes refused", outcome.doubles_refused, outcome.doubles)
    compare("spoilt ballots refused", outcome.spoilt_refused, outcome.spoilt)
    compare("tally", integrity.get("tally"), outcome.expected)
    compare("recount", integrity.get("recount"), outcome.expected)
    if not integrity.get("equal"):
        found.append("the service says that tally and recount differ")
    compare("results", shown, outcome.expected)
    compare("ballots in the results", results.get("ballots"), ballots)
    compare("seq of the results", results.get("seq"), integrity.get("seq"))
    last = {
        "poll": results.get("poll"),
        "status": "open",
        "seq": results.get("seq"),
        "ballots": ballots,
        "options": [{"id": option, "votes": votes} for option, votes in outcome.expected.items()],
    }
    for number, dashboard in enumerate(outcome.dashboards, 1):
        frame = {name: value for name, value in dashboard.last.items() if name != "type"}
        compare(f"end of dashboard {number}", dashboard.ended or "none", "none")
        compare(f"last frame of dashboard {number}", frame, last)
    return found


def delays(outcome: Outcome) -> list[float]:
    """Return the seconds from each acknowledged vote to each dashboard's first frame with it."""
    found = []
    for dashboard in outcome.dashboards:
        seqs = [seq for _, seq in dashboard.heard]
        for at, seq in outcome.acknowledged:
            place = bisect_left(seqs, seq)
            if place < len(seqs):
                found.append(max(0.0, dashboard.heard[place][0] - at))
    return found
