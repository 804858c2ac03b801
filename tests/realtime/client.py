"""A dashboard: a client of one poll's socket, and the reducer that a client's state is made by."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from unittest.mock import ANY
from urllib.parse import urlsplit

import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from polls.errors import CATALOGUE
from tests.live import Caller, Server
from tests.realtime.protocol import Protocol, protocol_of

Frame = dict[str, Any]
State = dict[str, Any]

PATIENCE = 20.0  # seconds for what should come at once, on a machine with other things to do
NOBODY = 1006  # the code of a connection that ended without a close frame
_COUNTS = ("poll", "status", "seq", "ballots", "options")
_PASSING = {str(code) for code, entry in CATALOGUE.items() if entry.retry_after is not None}


def apply(state: State | None, frame: Frame) -> State | None:
    """Return what a client shows after a frame; None where it may show nothing.

    This is all that the protocol asks of a client: a snapshot replaces, a tally replaces what is
    older, `closed` is the last of them, a status carries no count, and an error that does not pass
    ends what may be shown.
    """
    match frame["type"]:
        case "snapshot" | "closed":
            return {name: frame[name] for name in _COUNTS}
        case "tally":
            if state is not None and state.get("seq", 0) >= frame["seq"]:
                return state
            return {name: frame[name] for name in _COUNTS}
        case "status":
            return {name: frame[name] for name in ("poll", "status", "opens_at", "closes_at")}
        case "error":
            return state if frame["code"] in _PASSING else None
        case _:  # hello, heartbeat and pong change nothing
            return state


def counts_of(results: Mapping[str, Any]) -> State:
    """Return what a dashboard shows when it shows these results (the body of `…/results/`)."""
    options = [{"id": option["id"], "votes": option["votes"]} for option in results["options"]]
    return {
        "poll": results["poll"],
        "status": results["status"],
        "seq": results["seq"],
        "ballots": results["ballots"],
        "options": options,
    }


def snapshot_of(results: Mapping[str, Any]) -> Frame:
    """Return the whole snapshot that tells of these results."""
    return {"type": "snapshot", **counts_of(results)}


def tally_of(results: Mapping[str, Any]) -> Frame:
    """Return the whole tally that tells of these results."""
    return {"type": "tally", **counts_of(results)}


def closed_of(results: Mapping[str, Any]) -> Frame:
    """Return the whole last frame that tells of these results."""
    return {"type": "closed", **counts_of(results), "final": True}


def status_of(poll: Mapping[str, Any]) -> Frame:
    """Return the whole status frame of a poll (the body of `GET /polls/{id}/`)."""
    return {
        "type": "status",
        "poll": poll["id"],
        "status": poll["status"],
        "opens_at": poll["opens_at"],
        "closes_at": poll["closes_at"],
    }


def event_of(caller: Caller, event: Mapping[str, Any]) -> Frame:
    """Return the whole event frame that tells of an event (as anybody but its owner reads it)."""
    polls = {poll["id"]: poll["links"]["self"] for poll in event["polls"]}
    current = event["current"]
    return {
        "type": "event",
        "event": event["id"],
        "seq": event["seq"],
        "title": event["title"],
        "current": current and question_of(caller.get(polls[current]).json()),
    }


def question_of(poll: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an event frame tells of the poll that is shown."""
    names = ("join_code", "title", "description", "kind", "min_selections", "max_selections")
    rules = ("network_cap", "secrecy", "allow_change")
    return {
        "poll": poll["id"],
        "revision": ANY,  # nothing but the event tells it
        **{name: poll[name] for name in (*names, "identity", *rules, "results_visibility")},
        "options": [{"id": option["id"], "text": option["text"]} for option in poll["options"]],
    }


class Dashboard:
    """One open socket, at a path of the server whose protocol this is.

    Every frame that was read is as the protocol says, and is kept in `frames`.
    """

    def __init__(self, connection: ClientConnection, protocol: Protocol, path: str) -> None:
        self.connection = connection
        self._protocol = protocol
        self._path = path
        self.frames: list[Frame] = []

    def frame(self, seconds: float = PATIENCE) -> Frame:
        """Return the next frame; it must come within so many seconds."""
        text = self.connection.recv(timeout=max(0.0, seconds))
        assert isinstance(text, str), "frames are texts"
        frame: Frame = json.loads(text)
        self._protocol.check(self._path, frame)
        self.frames.append(frame)
        return frame

    def until(self, wanted: Callable[[Frame], bool], seconds: float = PATIENCE) -> Frame:
        """Read on and return the first frame that is wanted."""
        end = time.monotonic() + seconds
        while True:
            frame = self.frame(end - time.monotonic())
            if wanted(frame):
                return frame

    def until_type(self, kind: str, seconds: float = PATIENCE) -> Frame:
        """Read on and return the first frame of a type."""
        return self.until(lambda frame: frame["type"] == kind, seconds)

    def until_ballots(self, ballots: int, seconds: float = PATIENCE) -> Frame:
        """Read on and return the first frame that tells of so many ballots."""
        return self.until(lambda frame: frame.get("ballots") == ballots, seconds)

    def until_it_shows(self, wanted: State | None, seconds: float = PATIENCE) -> None:
        """Read on until the frames so far make a state; fail by showing what they made."""
        until = time.monotonic() + seconds
        while self.state() != wanted:
            try:
                self.frame(until - time.monotonic())
            except TimeoutError:
                break
        assert self.state() == wanted

    def until_results_open(self, results: Mapping[str, Any]) -> None:
        """Read on until the counts are these; they must begin with a snapshot.

        Who may see results can be known an instant before the newest count is, which then follows.
        """
        assert self.frame()["type"] == "snapshot"
        self.until_it_shows(counts_of(results))

    def end(self, seconds: float = PATIENCE) -> tuple[list[Frame], int]:
        """Read on to the end; return the frames that still came, and the close code."""
        came = len(self.frames)
        until = time.monotonic() + seconds
        try:
            while True:
                self.frame(until - time.monotonic())
        except ConnectionClosed as closed:
            code = NOBODY if closed.rcvd is None else closed.rcvd.code
            return self.frames[came:], code

    def silence(self, seconds: float) -> None:
        """Make sure that nothing comes for so long."""
        try:
            frame = self.frame(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"there should be nothing to say, but: {frame}")

    def say(self, frame: object) -> None:
        """Send an object as JSON."""
        self.say_raw(json.dumps(frame))

    def say_raw(self, message: str | bytes) -> None:
        """Send a text or a binary message as it is."""
        self.connection.send(message)

    def ping(self) -> None:
        """Send a ping and make sure that the pong is the next frame."""
        self.say({"type": "ping"})
        assert self.frame() == {"type": "pong"}

    def state(self) -> State | None:
        """Return what a client shows after all frames so far."""
        state: State | None = None
        for frame in self.frames:
            state = apply(state, frame)
        return state


@contextmanager
def dashboard(  # noqa: PLR0913 - the parts of a handshake
    server: Server,
    poll: Mapping[str, Any] | str,
    query: str = "",
    *,
    origin: str | None = None,
    host: str | None = None,
    headers: Mapping[str, str] | None = None,
    ticket: str | None = None,
) -> Iterator[Dashboard]:
    """Open the socket of a poll, or of a path; with a ticket it is the first frame sent.

    `host` is what the Host header says, where that is not where the connection goes.
    """
    path = poll if isinstance(poll, str) else poll["links"]["live"]
    protocol = protocol_of(server.url)
    with (
        socket.create_connection(("127.0.0.1", server.port)) as connection,
        connect(
            f"ws://{host or urlsplit(server.ws).netloc}{path}{query}",
            sock=connection,
            origin=None if origin is None else Origin(origin),
            additional_headers=headers,
            compression=None,
            ping_interval=None,  # what it says is what the test lets it say
            max_queue=None,  # a frame that nobody has asked for yet must not hold up the next
            proxy=None,
        ) as opened,
    ):
        assert isinstance(opened, ClientConnection)
        found = Dashboard(opened, protocol, path)
        if ticket is not None:
            found.say({"type": "auth", "ticket": ticket})
        yield found


def handshake_status(server: Server, poll: Mapping[str, Any] | str, **how: Any) -> int:
    """Return the HTTP status with which a handshake is answered: 101 where it is accepted."""
    try:
        with dashboard(server, poll, **how):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def first_frames(server: Server, poll: Mapping[str, Any] | str, **how: Any) -> list[Frame]:
    """Return what a new socket is told at once: one frame, or its refusal."""
    with dashboard(server, poll, **how) as opened:
        return [opened.frame()]


def ticket_for(caller: Caller, *polls: Mapping[str, Any]) -> str:
    """Return a ticket of the caller's for these polls."""
    answer = caller.post("/api/v1/live-tickets/", {"polls": [poll["id"] for poll in polls]})
    assert answer.status_code == 201, answer.text
    ticket: str = answer.json()["ticket"]
    return ticket


def results_of(caller: Caller, poll: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results as the caller reads them by REST."""
    answer = caller.get(poll["links"]["results"])
    assert answer.status_code == 200, answer.text
    results: dict[str, Any] = answer.json()
    return results


def error_of(poll: Mapping[str, Any], code: str, detail: str) -> Frame:
    """Return the whole error frame about a poll."""
    return {"type": "error", "code": code, "detail": detail, "poll": poll["id"]}


def vote_for(length: float | threading.Event, poll: Mapping[str, Any], server: Server) -> int:
    """Let eight callers vote as fast as they can; return how many votes were counted.

    The poll's identity is `open`. They vote for so many seconds, or until the event is set.
    """
    began = time.monotonic()
    body = {"choices": [poll["options"][0]["id"]]}
    url = server.url + poll["links"]["vote"]

    def over() -> bool:
        if isinstance(length, threading.Event):
            return length.is_set()
        return time.monotonic() - began > length

    def vote(_: int) -> int:
        counted = 0
        with requests.Session() as session:
            while not over():
                counted += session.post(url, json=body, timeout=30).status_code == 201
        return counted

    with ThreadPoolExecutor(8) as callers:
        return sum(callers.map(vote, range(8)))
