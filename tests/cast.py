"""People who use the service, in process: each is a client with their own identity."""

import json
import sqlite3
import uuid
from collections.abc import Sequence
from contextlib import closing
from itertools import chain
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg2
from django.apps import apps
from django.db.models import Model
from django.test import Client

from accounts.models import ApiToken, User
from polls.domain import voters
from polls.errors import CATALOGUE, Code
from tests.live import Server

PASSWORD = "correct horse battery staple"
NEW_POLL: dict[str, Any] = {"title": "Lunch?", "options": [{"text": "Pizza"}, {"text": "Sushi"}]}

Fault = tuple[str, str, str]  # field, code and sentence of one entry of a problem's `errors`


class Person:
    """A client of the API: an account with its token, a voter's device, or neither."""

    def __init__(self, user: User | None = None, *, device: bool = False) -> None:
        self.user = user
        self.http = Client(raise_request_exception=False)
        self.headers: dict[str, str] = {}
        if user is not None:
            self.row, token = ApiToken.issue(user)
            self.headers["Authorization"] = f"Bearer {token}"
        if device:
            self.headers["X-Voter-Token"] = voters.issue_voter_token()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        **headers: str,
    ) -> Any:
        """Make a request; header names are written with underscores (`Idempotency_Key=…`)."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes | str) or body is None else json.dumps(body)
        return self.http.generic(
            method,
            path,
            data if data is not None else b"",
            content_type=content_type,
            headers={**self.headers, **named},
        )

    def get(self, path: str, **headers: str) -> Any:
        """GET."""
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """POST."""
        return self.call("POST", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Any:
        """PATCH."""
        return self.call("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        """DELETE."""
        return self.call("DELETE", path, **headers)

    def make_poll(self, **fields: Any) -> dict[str, Any]:
        """Make a poll and return it as it reads."""
        response = self.post("/api/v1/polls/", {**NEW_POLL, **fields})
        assert response.status_code == 201, response.content
        found: dict[str, Any] = response.json()
        return found

    def make_event(self, *polls: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """Make an event of these polls and return it as it reads."""
        body = {"title": "An evening", "polls": [poll["id"] for poll in polls], **fields}
        response = self.post("/api/v1/events/", body)
        assert response.status_code == 201, response.content
        found: dict[str, Any] = response.json()
        return found

    def read_poll(self, poll: dict[str, Any]) -> dict[str, Any]:
        """Return a poll as it reads to this person now."""
        response = self.get(poll["links"]["self"])
        assert response.status_code == 200, response.content
        found: dict[str, Any] = response.json()
        return found

    def open(self, poll: dict[str, Any]) -> Any:
        """Open a poll."""
        return self.post(f"{poll['links']['self']}open/")

    def close(self, poll: dict[str, Any]) -> Any:
        """Close a poll."""
        return self.post(f"{poll['links']['self']}close/")

    def vote(self, poll: dict[str, Any], *places: int, **headers: str) -> Any:
        """Vote for the options at these places."""
        choices = [poll["options"][place]["id"] for place in places]
        return self.post(poll["links"]["vote"], {"choices": choices}, **headers)

    def replace_vote(self, poll: dict[str, Any], *places: int, **headers: str) -> Any:
        """Replace their vote by one for the options at these places."""
        choices = [poll["options"][place]["id"] for place in places]
        return self.call("PUT", poll["links"]["vote"], {"choices": choices}, **headers)

    def withdraw(self, poll: dict[str, Any], **headers: str) -> Any:
        """Withdraw their vote."""
        return self.delete(poll["links"]["vote"], **headers)

    def own_vote(self, poll: dict[str, Any], **headers: str) -> Any:
        """Return what they are told of their own vote."""
        answer = self.get(poll["links"]["vote"], **headers)
        assert answer.status_code == 200, answer.content
        return answer.json()


def sign_up(name: str) -> Person:
    """Return somebody with an account."""
    return Person(User.objects.create_user(name, password=PASSWORD))


def signed_in(name: str) -> Person:
    """Return somebody with an account who is signed in on the pages, by a session cookie."""
    person = Person()
    person.user = User.objects.create_user(name, password=PASSWORD)
    person.http.force_login(person.user)
    return person


def voter() -> Person:
    """Return somebody with a voter token."""
    return Person(device=True)


def votes_of(person: Person, poll: dict[str, Any]) -> list[int]:
    """Return how many votes each option has, as this person reads the results."""
    results = person.get(poll["links"]["results"]).json()
    return [option["votes"] for option in results["options"]]


def texts(*options: str) -> list[dict[str, str]]:
    """Return options as a new poll takes them."""
    return [{"text": text} for text in options]


def new_key() -> str:
    """Return a fresh Idempotency-Key."""
    return uuid.uuid4().hex


def problem(
    status: int, code: str, instance: str, detail: str = "", errors: Sequence[Fault] = ()
) -> dict[str, Any]:
    """Return the whole body of a problem; without a detail of its own it says the remedy."""
    entry = CATALOGUE[Code(code)]
    body = {
        "type": f"/docs/errors#{code}",
        "title": entry.title,
        "status": status,
        "code": code,
        "detail": detail or entry.remedy,
        "instance": instance,
    }
    if errors:
        names = ("field", "code", "detail")
        body["errors"] = [dict(zip(names, error, strict=True)) for error in errors]
    return body


def assert_problem(
    answer: Any, status: int, code: str, *, detail: str = "", errors: Sequence[Fault] = ()
) -> None:
    """Compare a whole answer, of Django's test client or of `requests`, with a problem."""
    if isinstance(answer.request, dict):
        path = quote(answer.request["PATH_INFO"].encode("latin-1"), safe="/%:@!$&'()*+,;=~")
    else:
        path = urlsplit(answer.request.url).path
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "no-store" in answer.headers["Cache-Control"]
    assert answer.json() == problem(status, code, path, detail, errors)


def _models() -> list[type[Model]]:
    found = (apps.get_app_config(name).get_models() for name in ("accounts", "polls"))
    return list(chain.from_iterable(found))


def standing_rows(model: type[Model]) -> str:
    """Return a model's table as a query reads it, less what belongs to deleted polls."""
    table = model._meta.db_table
    if table == "polls_poll":
        return f"{table} WHERE deleted_at IS NULL"
    if any(field.column == "poll_id" for field in model._meta.fields):
        return f"{table} WHERE poll_id IN (SELECT id FROM polls_poll WHERE deleted_at IS NULL)"
    return table


def stored_rows() -> dict[str, int]:
    """Return how many rows each table of ours holds."""
    return {model._meta.db_table: model._default_manager.count() for model in _models()}


def stored_rows_of(server: Server) -> dict[str, int]:
    """Return the same of a server's own database, read past the service.

    Without the rows of polls that an earlier test has deleted: they go while another looks.
    """
    counts = " UNION ALL ".join(
        f"SELECT '{model._meta.db_table}', COUNT(*) FROM {standing_rows(model)}"
        for model in _models()
    )
    url = server.environment.get("DATABASE_URL")
    connection: Any = (
        psycopg2.connect(url) if url else sqlite3.connect(f"{server.folder}/polls.sqlite3")
    )
    with closing(connection):
        cursor = connection.cursor()
        cursor.execute(counts)
        return dict(cursor.fetchall())
