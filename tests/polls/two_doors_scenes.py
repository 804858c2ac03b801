"""Situations that two requests can meet alike: a poll, its voter, and what has happened so far."""

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.utils import timezone

from polls.domain import lifecycle, retention
from polls.models import Poll
from tests.cast import Person, new_key, signed_in, texts, voter
from tests.polls import wire
from tests.polls.by_code import make_codes
from tests.polls.two_doors import FIRST, FIRST_BY_CODE, Text, fill

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
            "stranger": voter().headers["X-Voter-Token"],
            "key": new_key(),
            "other_key": new_key(),
            "bearer": alice.headers["Authorization"].removeprefix("Bearer "),
        }
        if self.poll["identity"] == "code":
            self._codes = make_codes(alice, self.poll, 3)
            self.names["code"], self.names["unused"], _ = self._codes
            self.names["typed"] = self.names["code"].replace("-", " ").lower()
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
        body: dict[str, Any] = {"choices": choices[: self.poll["min_selections"]]}
        if self.poll["identity"] == "code":
            body["code"] = self._codes[-1]
        device = voter().headers["X-Voter-Token"]
        answer = self._alice.post(self.poll["links"]["vote"], body, X_Voter_Token=device)
        assert answer.status_code == 201, answer.content

    def voted(self) -> None:
        """The voter has voted for the first option, with their key."""
        answer = self._voter.post(
            self.poll["links"]["vote"],
            self._first(),
            Idempotency_Key=self.names["key"],
        )
        assert answer.status_code == 201, answer.content
        self.names["receipt"] = answer.json()["receipt"]

    def voted_without_key(self) -> None:
        """The voter has voted for the first option."""
        answer = self._voter.post(self.poll["links"]["vote"], self._first())
        assert answer.status_code == 201, answer.content

    def _first(self) -> bytes:
        return fill(FIRST_BY_CODE if "code" in self.names else FIRST, self.names)

    def replaced(self) -> None:
        """The voter has replaced their vote by one for the second option, with another key."""
        self._replace(1, Idempotency_Key=self.names["other_key"])

    def replaced_since(self) -> None:
        """They have replaced it, perhaps again, by one for the third option."""
        self._replace(2)

    def _replace(self, place: int, **headers: str) -> None:
        body = {"choices": [self.names[str(place)]]}
        if "code" in self.names:
            body["code"] = self.names["code"]
        answer = self._voter.call("PUT", self.poll["links"]["vote"], body, **headers)
        assert answer.status_code == 200, answer.content
        self.names["receipt"] = answer.json()["receipt"]

    def withdrawn(self) -> None:
        """The voter has withdrawn their vote, with another key."""
        answer = self._withdraw(Idempotency_Key=self.names["other_key"])
        assert answer.status_code == 204, answer.content

    def withdrawn_since(self) -> None:
        """They have withdrawn it, without a key."""
        assert self._withdraw().status_code == 204

    def _withdraw(self, **headers: str) -> Any:
        if "code" in self.names:
            headers["X_Voter_Code"] = self.names["code"]
        return self._voter.withdraw(self.poll, **headers)

    def closed(self) -> None:
        """The poll is closed."""
        assert self._alice.close(self.poll).status_code == 200

    def certified(self) -> None:
        """Its recount agreed."""
        assert lifecycle.certify_poll(uuid.UUID(self.poll["id"]))

    def keyless(self) -> None:
        """Its key is destroyed."""
        retention.destroy_key(uuid.UUID(self.poll["id"]))

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
