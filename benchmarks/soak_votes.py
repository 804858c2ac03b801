"""The votes of a soak run: voters with tokens of their own, what each sends, and in which order."""

import base64
import hashlib
import heapq
import hmac
import json
import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.soak_client import Shot

SHARE_RETRIED = SHARE_DOUBLED = 0.05
SHARE_MALFORMED = 0.01
_SPREAD = 200  # a second request follows within so many others, so some of them race the first
_MALFORMED = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"choices": "all"}',
    b'{"choices": [1]}',
    b'{"choices": [], "choices": []}',
    b'{"votes": []}',
    b'{"choices": ["\x00"]}',
    b'{"choices": ["none of these"]}',
    b"\xff\xfe",
)


def _base64url(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def voter_tokens(secret_key: str, count: int) -> list[bytes]:
    """Return so many voter tokens as a service with this SECRET_KEY issues them."""
    key = hashlib.sha256(b"polls.voter-token:" + secret_key.encode()).digest()
    devices = [_base64url(secrets.token_bytes(16)) for _ in range(count)]
    return [device + _base64url(hmac.digest(key, device, "sha256")[:16]) for device in devices]


def request(port: int, method: str, path: str, body: bytes = b"", headers: bytes = b"") -> bytes:
    """Return a request as it goes over the wire; each of `headers` ends its own line."""
    return b"%b %b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%bContent-Length: %d\r\n\r\n%b" % (
        method.encode(),
        path.encode(),
        port,
        headers,
        len(body),
        body,
    )


class BallotPapers:
    """One poll's votes as bytes."""

    def __init__(self, port: int, poll: dict[str, Any]) -> None:
        self._poll = poll["id"].replace("-", "").encode()
        self.options = [option["id"] for option in poll["options"]]
        self._names = [option.replace("-", "").encode() for option in self.options]
        self._bodies = [json.dumps({"choices": [option]}).encode() for option in self.options]
        self._head = (
            f"POST {poll['links']['vote']} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            "Content-Type: application/json\r\nX-Voter-Token: "
        ).encode()

    def vote(self, token: bytes, key: bytes, place: int) -> Shot:
        """Return a vote for the option at this place."""
        return self._shot(token, key, self._names[place], self._bodies[place])

    def malformed(self, token: bytes, key: bytes, body: bytes) -> Shot:
        """Return a request that cannot be read as a vote."""
        return self._shot(token, key, b"-", body)

    def _shot(self, token: bytes, key: bytes, name: bytes, body: bytes) -> Shot:
        return Shot(
            b"%b %b %b %b" % (self._poll, token[:22], key, name),
            b"%b%b\r\nIdempotency-Key: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (self._head, token, key, len(body), body),
        )


@dataclass
class Votes:
    """All that is sent in one poll: a vote of each voter, some of them twice, some wrong."""

    papers: BallotPapers
    tokens: list[bytes]
    malformed: int  # of the voters
    retries: int = 0
    doubles: int = 0
    _later: list[tuple[int, int, Shot]] = field(default_factory=list)

    def shots(self) -> Iterator[Shot]:
        """Yield the requests in the order in which they are sent first."""
        draw = random.Random(2009)  # noqa: S311 - the same order each time
        papers, places = self.papers, len(self.papers.options)
        wrong = set(draw.sample(range(len(self.tokens)), self.malformed))
        for number, token in enumerate(self.tokens):
            while self._later and self._later[0][0] <= number:
                yield heapq.heappop(self._later)[2]
            key = b"soak-%011d-a" % number
            if number in wrong:
                # Its voter never votes, so that nothing of it may be stored.
                yield papers.malformed(token, key, draw.choice(_MALFORMED))
                continue
            place = draw.randrange(places)
            yield papers.vote(token, key, place)
            if draw.random() < SHARE_RETRIED:
                self.retries += 1
                self._follow(draw, number, papers.vote(token, key, place))
            if draw.random() < SHARE_DOUBLED:
                self.doubles += 1
                other = b"soak-%011d-b" % number
                self._follow(draw, number, papers.vote(token, other, (place + 1) % places))
        while self._later:
            yield heapq.heappop(self._later)[2]

    def _follow(self, draw: random.Random, number: int, shot: Shot) -> None:
        place = number + draw.randrange(1, _SPREAD)
        heapq.heappush(self._later, (place, self.retries + self.doubles, shot))
