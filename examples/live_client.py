"""Follow a poll live, and print its counts as they move, until it closes.

    python examples/live_client.py http://127.0.0.1:8000 <poll id>

A dashboard needs no more than `follow`, and that `websockets`. The protocol: docs/protocol.md.
"""

import asyncio
import json
import random
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from urllib.request import urlopen

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

Frame = dict[str, Any]
State = dict[str, Any]  # what to show: the count, or the status alone where results are hidden

BASE_SECONDS = 0.5
CAP_SECONDS = 15.0
SILENCE_SECONDS = 35.0  # the server breaks a silence of 25 s by a heartbeat
LASTING = {1000, 1002, 1007, 1008, 1009, 4400, 4401, 4403, 4404}  # coming back mends nothing
PASSING = {"too_many", "unavailable"}
_COUNT = ("poll", "status", "seq", "ballots", "options")
_STATUS = ("poll", "status", "opens_at", "closes_at")
_OVER, _FORBIDDEN = 1000, 403  # RFC 6455: nothing more to come; HTTP: an origin not taken


class RefusedError(Exception):
    """The server will not have us: its close code, or the HTTP status of the handshake, and why."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code


def apply(state: State | None, frame: Frame) -> State | None:
    """Return what to show after a frame. Frames are absolute: lost or doubled ones do no harm."""
    match frame["type"]:
        case "tally" if state is not None and state.get("seq", 0) >= frame["seq"]:
            return state
        case "snapshot" | "tally" | "closed":
            return {name: frame[name] for name in _COUNT}
        case "status":
            return {name: frame[name] for name in _STATUS}
        case "error":
            return state if frame["code"] in PASSING else None
        case _:  # hello, heartbeat and pong change nothing, nor do types that are yet to come
            return state


def delay(failures: int, chance: float | None = None) -> float:
    """Return how many seconds to wait after so many failures; the whole of it is chance (0 to 1).

    By this full jitter thousands who lost the same server do not come back in the same instant.
    """
    chance = random.random() if chance is None else chance  # noqa: S311 - nothing to guess
    return chance * min(CAP_SECONDS, BASE_SECONDS * 2.0 ** min(failures, 32))


def _address(url: str, state: State | None) -> str:
    """Return the socket's address, from which a state is resumed."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if state is not None and "seq" in state:
        query["since"] = str(state["seq"])
    scheme = parts.scheme.replace("http", "ws")
    return urlunsplit(parts._replace(scheme=scheme, query=urlencode(query)))


async def _frames(url: str, ticket: str | None, silence: float) -> AsyncGenerator[Frame, None]:
    """Yield the frames of one connection, until it ends or is silent for too long."""
    async with connect(url, open_timeout=silence, close_timeout=1, ping_interval=None) as socket:
        if ticket is not None:
            await socket.send(json.dumps({"type": "auth", "ticket": ticket}))
        while True:
            async with asyncio.timeout(silence):
                text = await socket.recv()
            yield json.loads(text)


def _code_of(problem: Exception) -> int:
    """Return the close code, the HTTP status of the handshake, or 1006 where there is neither."""
    if isinstance(problem, InvalidStatus):
        return problem.response.status_code
    if isinstance(problem, ConnectionClosed) and problem.rcvd is not None:
        return problem.rcvd.code
    return 1006


async def follow(
    url: str,
    *,
    ticket: Callable[[], Awaitable[str]] | None = None,
    silence: float = SILENCE_SECONDS,
) -> AsyncGenerator[State | None, None]:
    """Yield each new state of the poll at a socket's address, and end when the poll closes.

    `ticket` fetches a live ticket, anew for each connection. Raises `RefusedError` where coming
    back would not help; whatever else happens, it comes back.
    """
    state: State | None = None
    failures, why = 0, "refused"
    while True:
        try:
            fresh = None if ticket is None else await asyncio.wait_for(ticket(), silence)
            async with aclosing(_frames(_address(url, state), fresh, silence)) as frames:
                async for frame in frames:
                    if frame["type"] == "error":
                        why = frame["detail"]
                    else:
                        failures = 0
                    before, state = state, apply(state, frame)
                    if state is not before:
                        yield state
                    if frame["type"] == "closed":
                        return
        except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError) as problem:
            code = _code_of(problem)
            if code == _OVER:
                return
            if code in LASTING or code == _FORBIDDEN:
                raise RefusedError(code, why) from None
        await asyncio.sleep(delay(failures))
        failures += 1


async def main(base: str, poll_id: str) -> None:
    """Print the counts of a poll as they move."""
    with urlopen(f"{base}/api/v1/polls/{poll_id}/") as answer:  # noqa: ASYNC210, S310 - as given, once
        texts = {option["id"]: option["text"] for option in json.load(answer)["options"]}
    async with aclosing(follow(f"{base}/ws/polls/{poll_id}/")) as states:
        async for state in states:
            if state is not None:
                counts = [f"{texts[option['id']]} {option['votes']}" for option in state["options"]]
                print(state["status"], state["seq"], "·", ", ".join(counts), flush=True)


if __name__ == "__main__":
    try:
        _, address, poll = sys.argv
        asyncio.run(main(address, poll))
    except (RefusedError, OSError, ValueError, KeyboardInterrupt) as end:
        sys.exit(f"{end}\n{__doc__}" if isinstance(end, ValueError) else str(end))
