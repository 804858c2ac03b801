"""Situations that two requests can meet alike: a poll, its voter, and what has happened so far."""

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.utils import timezone

from polls.domain import lifecycle
from polls.models import Poll
from tests.cast import Person, new_key, signed_in, texts, voter
from tests.polls import wire
from tests.polls.two_doors import FIRST, Text, fill

TITLE = "Lunch? \u2615 \u201cnow\u201d"  # the bodies hold more than ASCII


class Scene:
    """A poll and one of its voters; what has happened is told by the methods' names."""

    def __init__(self, alice: Person, fields: Mapping[str, Any], happened: str) -> None:
        self._alice = alice
        self.poll = alice.make_poll(
            **{"title": TITLE, "options": texts("Pizza", "S\u00fc\u00df", "Soup"), **fields}
        )
        self._voter = voter()
        token = self._voter.headers["X-Voter-Token"]
        self.names = {
            "poll": self.poll["id"],
            "POLL": self.poll["id"].upper(),
            "hex": uuid.UUID(self.poll["id"]).hex,
            "token": token,
            "forged": token[:-1] + ("A" if token[-1] != "A" else "Q"),
            "key": new_key(),
            "bearer": alice.headers["Authorization"].removeprefix("Bearer "),
        }
        for place, option in enumerate(self.poll["options"]):
            self.names[str(place)] = option["id"]
            self.names[f"OPTION{place}"] = option["id"].upper()
        for name in happened.split():
            getattr(self, name)()
        if "overdue" not in happened:  # whoever read it would close it
            self.name_etag()

    def name_etag(self) -> None:
        """Name the ETag of now, where there is something to read."""
        answer = self._alice.get(self.poll["links"]["results"])
        if answer.status_code == 200:
            self.names["etag"] = answer.headers["ETag"].strip('"')

    # -- what has happened ---------------------------------------------------------------------

    def warm(self) -> None:
        """Somebody else has voted just now, so that the ballot paper is known."""
        choices = [option["id"] for option in self.poll["options"]]
        body = {"choices": choices[: self.poll["min_selections"]]}
        device = voter().headers["X-Voter-Token"]
        answer = self._alice.post(self.poll["links"]["vote"], body, X_Voter_Token=device)
        assert answer.status_code == 201, answer.content

    def voted(self) -> None:
        """The voter has voted for the first option, with their key."""
        answer = self._voter.post(
            self.poll["links"]["vote"],
            fill(FIRST, self.names),
            Idempotency_Key=self.names["key"],
        )
        assert answer.status_code == 201, answer.content
        self.names["receipt"] = answer.json()["receipt"]

    def voted_without_key(self) -> None:
        """The voter has voted for the first option."""
        answer = self._voter.post(self.poll["links"]["vote"], fill(FIRST, self.names))
        assert answer.status_code == 201, answer.content

    def closed(self) -> None:
        """The poll is closed."""
        assert self._alice.close(self.poll).status_code == 200

    def certified(self) -> None:
        """Its recount agreed."""
        assert lifecycle.certify_poll(uuid.UUID(self.poll["id"]))

    def deleted(self) -> None:
        """The poll is deleted."""
        assert self._alice.delete(self.poll["links"]["self"]).status_code == 204

    def overdue(self) -> None:
        """Its time to close has come, and nobody has closed it yet."""
        past = timezone.now() - timedelta(minutes=1)
        Poll.objects.filter(id=self.poll["id"]).update(closes_at=past)

    def edited(self) -> None:
        """Its title is another now."""
        answer = self._alice.patch(self.poll["links"]["self"], {"title": "Supper?"})
        assert answer.status_code == 200, answer.content

    def other_poll(self) -> None:
        """There is another poll."""
        self.names["other"] = self._alice.make_poll()["options"][0]["id"]

    def session(self) -> None:
        """Somebody is signed in on the pages."""
        person = signed_in(f"user-{uuid.uuid4().hex[:12]}")
        self.names["session"] = person.http.cookies["sessionid"].value

    # -- the request ---------------------------------------------------------------------------

    def request(
        self,
        method: str,
        target: str,
        headers: tuple[Text, ...],
        body: Text | None,
        host: Text,
    ) -> bytes:
        """Return a request as bytes, with what its names stand for in their place."""
        lines = [fill(line, self.names) for line in headers]
        content = b"" if body is None else fill(body, self.names)
        if any(line.lower().startswith(b"transfer-encoding") for line in lines):
            content = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
        elif body is not None:
            lines.append(b"Content-Length: %d" % len(content))
        start = wire.head(method, fill(target, self.names), *lines)
        return start.replace(b"Host: 127.0.0.1", fill(host, self.names), 1) + content
