"""Polls of one definition with different votes, and everything that an outsider is told of each."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import requests
from websockets.exceptions import ConnectionClosed

from tests.live import Caller, Server
from tests.realtime.client import dashboard
from tests.security.doors import DOORS, Shows
from web.addresses import qr_picture

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
NO_TOKEN = "01980c5e-8f00-7000-8000-0000000000a1"
# A path to a poll of those doors that are patterns.
_OF_PATTERNS = {
    "/admin/…": "/admin/polls/poll/{poll_id}/change/",
    "/…/": "/p/{code}/results/",
}
# What differs from one answer to the next whatever it tells of.
_RANDOM = [
    (re.compile(r'(name="csrfmiddlewaretoken" value=")\w{64}"'), r'\1…"'),
    (re.compile(r'(name="key" value=")[\w-]{32}"'), r'\1…"'),
    (re.compile(r"(__Host-voter|voter|csrftoken|sessionid)=[\w-]+"), r"\1=…"),
    (re.compile(r"expires=[^;]+GMT"), "expires=…"),
    (re.compile(r'"(ticket|token|receipt)": ?"[\w-]+"'), r'"\1":"…"'),
    (re.compile(r'"expires_at": ?"[^"]+"'), '"expires_at":"…"'),
    (re.compile(r'<svg[^>]*class="qr".*?</svg>', re.DOTALL), "<svg…>"),
]
_DRAWN = re.compile(r"/p/\w+/(present|qr\.png|qr\.svg)/?$")  # with a picture of the code
_TIMES = ("created_at", "opened_at", "closed_at")
# Headers that tell when an answer was made; pages are stale at once, so they expire at that time.
_OF_THE_MOMENT = frozenset({"date", "expires", "x-request-id"})
_SOCKET_SECONDS = 4.5  # longer than a socket waits for a ticket


@dataclass(frozen=True)
class Twin:
    """A poll in an event of its own, and what of it is its very own."""

    server: Server
    poll: Mapping[str, Any]
    event: Mapping[str, Any]

    @property
    def times_are_of_one_length(self) -> bool:
        """Whether no time is a whole second's, which is written without a fraction."""
        told = [self.event["created_at"], *(self.poll[name] for name in _TIMES)]
        return all("." in moment for moment in told if moment)

    def masked(self, text: str) -> str:
        """Return a text with this poll's own ids, codes and times replaced by their names."""
        own = {
            self.poll["id"]: "{poll_id}",
            self.poll["id"].replace("-", ""): "{poll_hex}",
            self.poll["join_code"]: "{code}",
            self.event["id"]: "{event_id}",
            self.event["join_code"]: "{event_code}",
            **{option["id"]: f"{{option {n}}}" for n, option in enumerate(self.poll["options"])},
            **{self.poll[name]: f"{{{name}}}" for name in _TIMES if self.poll[name]},
            self.event["created_at"]: "{event created_at}",
        }
        for value, name in own.items():
            text = text.replace(value, name)
        for pattern, name in _RANDOM:
            text = pattern.sub(name, text)
        return text

    def path(self, route: str) -> str:
        """Return a door's path to this poll."""
        code = self.poll["join_code"]
        names = {"poll_id": self.poll["id"], "code": code, "join_code": code}
        names |= {"event_id": self.event["id"], "username": "nobody", "token_id": NO_TOKEN}
        return _OF_PATTERNS.get(route, route).format(**names)

    def sent_over(self, answer: requests.Response) -> tuple[Any, ...]:
        """Return all of an answer: status, headers and body."""
        headers = {
            name.lower(): self.masked(value)
            for name, value in answer.headers.items()
            if name.lower() not in _OF_THE_MOMENT
        }
        # A picture of the code is as long as the code makes it. HEAD tells no body to compare that
        # with; a GET at the same door does.
        drawn = answer.request.method == "HEAD" and bool(_DRAWN.search(str(answer.request.url)))
        if drawn or headers.get("content-length") == str(len(answer.content)):
            headers["content-length"] = "that of the body"
        kind = answer.headers.get("Content-Type", "")
        if kind.startswith("image/") and answer.content:
            form = "svg" if "svg" in kind else "png"
            address = f"{self.server.url}/p/{self.poll['join_code']}"
            return answer.status_code, headers, answer.content == qr_picture(address, form)
        return answer.status_code, headers, self.masked(answer.content.decode())


def make_twins(server: Server, owner: Caller, *, closed: bool = False, **fields: Any) -> list[Twin]:
    """Make a poll that nobody votes in and one with 37 votes, each shown in an event."""
    twins = []
    for votes in (0, 37):
        twin = _make_twin(server, owner, votes, closed=closed, **fields)
        while not twin.times_are_of_one_length:  # one in some hundreds, where there are no µs
            twin = _make_twin(server, owner, votes, closed=closed, **fields)
        twins.append(twin)
    return twins


def _make_twin(server: Server, owner: Caller, votes: int, *, closed: bool, **fields: Any) -> Twin:
    poll = owner.make_poll(**fields, embed_origins=["https://example.org"])
    event = owner.make_event(poll, current=poll["id"])
    for number in range(votes):
        assert server.voter().vote(poll, number % 3 // 2).status_code == 201
    if closed:
        assert owner.post(f"{poll['links']['self']}close/").status_code == 200
        until = time.monotonic() + 20
        while not owner.get(poll["links"]["results"]).json()["certified_at"]:
            assert time.monotonic() < until
            time.sleep(0.1)
    return Twin(server, owner.get(poll["links"]["self"]).json(), event)


Request = tuple[str, str, Any, dict[str, str]]  # method, path, body and headers


def _requests_to(twin: Twin, route: str, *, may_vote: bool) -> Iterator[Request]:
    """Return what an outsider asks at a door of this poll; nothing of it changes the poll."""
    path = twin.path(route)
    methods = METHODS if DOORS[route] in {Shows.OWNERS, Shows.STAFFS} else METHODS[:2]
    for method in methods:
        yield method, path, None, {}
    if route.endswith(("/results/", "/timeline/")):
        for etag in ("*", f'"{twin.poll["id"].replace("-", "")}-1-u"'):
            yield "GET", path, None, {"If-None-Match": etag}
    if route.endswith("/votes/"):
        first = {"choices": [twin.poll["options"][0]["id"]]}
        for method in ("POST", "PUT", "DELETE"):
            yield method, path, {"choices": []}, {}
            yield method, path, {"choices": ["x"], "code": "y"}, {}
        for method in ("PUT", "DELETE"):
            yield method, path, first if method == "PUT" else None, {}
        if may_vote:
            yield "POST", path, first, {}


def differing_doors(
    twins: list[Twin], people: Mapping[str, dict[str, str]], *, may_vote: bool
) -> dict[str, Any]:
    """Return by its route what first tells the twins apart at each door that does."""
    found: dict[str, Any] = {}
    with requests.Session() as session:
        session.trust_env = False
        for route in DOORS:
            for (who, headers), place in _each(people, twins[0], route, may_vote=may_vote):
                seen = []
                for twin in twins:
                    made = list(_requests_to(twin, route, may_vote=may_vote))
                    method, path, body, more = made[place]
                    session.cookies.clear()
                    answer = session.request(
                        method,
                        twin.server.url + path,
                        json=body,
                        headers={"Accept-Encoding": "identity", **headers, **more},
                        allow_redirects=False,
                        timeout=30,
                    )
                    seen.append(twin.sent_over(answer))
                if seen[0] != seen[1]:
                    found.setdefault(route, (who, made[place], *seen))
    return found


def _each(
    people: Mapping[str, dict[str, str]], twin: Twin, route: str, *, may_vote: bool
) -> Iterator[tuple[tuple[str, dict[str, str]], int]]:
    """Return everybody with the number of each request that they make at a door of one poll."""
    if "{" not in _OF_PATTERNS.get(
        route, route
    ):  # those that name a poll elsewhere are asked by the test
        return
    for person in people.items():
        for place in range(len(list(_requests_to(twin, route, may_vote=may_vote)))):
            yield person, place


# -- sockets -----------------------------------------------------------------------------------


def _frames_within(twin: Twin, path: str, query: str, said: Any) -> str:
    """Return all that a new socket is told for some seconds, its close code included."""
    with dashboard(twin.server, path, query) as socket:
        if said is not None:
            socket.say(said)
        code, until = None, time.monotonic() + _SOCKET_SECONDS
        try:
            while True:
                socket.frame(until - time.monotonic())
        except TimeoutError:
            pass
        except ConnectionClosed as closed:
            code = None if closed.rcvd is None else (closed.rcvd.code, closed.rcvd.reason)
        return twin.masked(json.dumps([socket.frames, code]))


def frames_of_each(twins: list[Twin]) -> list[dict[str, str]]:
    """Return what an outsider's sockets of each kind are told of each twin, all at once."""
    with ThreadPoolExecutor(len(twins)) as pool:
        return list(pool.map(_frames_of, twins))


def _frames_of(twin: Twin) -> dict[str, str]:
    poll_id, live = twin.poll["id"], twin.poll["links"]["live"]
    wanted = {
        "/ws/polls/{poll_id}/": (live, "", None),
        "?since=1": (live, "?since=1", None),
        "?since=38": (live, "?since=38", None),
        "?view=status": (live, "?view=status", None),
        "?view=status&since=38": (live, "?view=status&since=38", None),
        "/ws/": ("/ws/", "", {"type": "subscribe", "polls": [{"poll": poll_id}]}),
        "/ws/ status": (
            "/ws/",
            "",
            {"type": "subscribe", "polls": [{"poll": poll_id, "view": "status", "since": 38}]},
        ),
        "/ws/ unsubscribe": ("/ws/", "", {"type": "unsubscribe", "polls": [poll_id]}),
        "/ws/events/{event_id}/": (twin.event["links"]["live"], "", None),
        "of event, ?view=status": (twin.event["links"]["live"], "?view=status", None),
        "ping": (live, "?view=status", {"type": "ping"}),
        "false ticket": (live, "?view=status", {"type": "auth", "ticket": "x"}),
        "no frame": (live, "?view=status", {"type": "x"}),
    }
    with ThreadPoolExecutor(len(wanted)) as pool:
        found = {
            name: pool.submit(partial(_frames_within, twin, *how)) for name, how in wanted.items()
        }
        return {name: future.result() for name, future in found.items()}
