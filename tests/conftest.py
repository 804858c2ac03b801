"""The cast, and the servers they meet."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.test import TransactionTestCase

# Before they are imported: their asserts show both sides.
pytest.register_assert_rewrite("tests.cast", "tests.polls.limiting", "tests.polls.wire")

from polls.domain import rate_limits  # noqa: E402 - see above
from polls.domain.ballot_box import close_ballot_box  # noqa: E402 - the same
from polls.domain.database import tell_planner  # noqa: E402 - the same
from polls.domain.rate_limits import Rate  # noqa: E402 - the same
from polls.models import Selection  # noqa: E402 - the same
from tests.cast import Person, sign_up  # noqa: E402 - the same
from tests.live import Caller, Server  # noqa: E402 - the same
from tests.polls.doors import Stage  # noqa: E402 - the same
from tests.stack import LEFT_OUT, LONGEST  # noqa: E402 - the same

TESTS = Path(__file__).parent
collect_ignore = LEFT_OUT
WRITTEN_BY_MIGRATIONS = {"auth.Permission", "contenttypes.ContentType"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the modules that take longest first, each with its tests in their order."""
    places = {TESTS / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session")
def uvicorn() -> Iterator[Server]:
    """One real server for all tests that only talk to it over the wire."""
    with Server() as server:
        yield server


@pytest.fixture(scope="session")
def live(uvicorn: Server) -> Server:
    """The server that tests talk to; those of sockets are run on more than one kind."""
    return uvicorn


@pytest.fixture(scope="session", autouse=True)
def _quick_flush() -> Iterator[None]:
    """Empty the tables by DELETE after a test: Django truncates each, at ten times the cost."""

    def empty_tables(_: TransactionTestCase) -> None:
        connection.close_if_unusable_or_obsolete()  # a test may have cut it
        with transaction.atomic(), connection.cursor() as cursor:
            tell_planner(Selection, Selection.objects.count())
            for model in reversed(apps.get_models(include_auto_created=True)):
                if model._meta.label not in WRITTEN_BY_MIGRATIONS:
                    cursor.execute(f"DELETE FROM {model._meta.db_table}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty_tables)
        yield


@pytest.fixture(autouse=True)
def _no_attempts_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count attempts afresh: emptying Redis would take from whoever else is at it."""
    secret = os.urandom(32)
    monkeypatch.setattr(rate_limits, "_secret", lambda: secret)


@pytest.fixture
def only(settings: Any) -> Callable[..., None]:
    """Let something be done once a minute, or so often."""

    def limit(rate: Rate, times: int = 1) -> None:
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, rate: (times, 60)}

    return limit


@pytest.fixture
def database(transactional_db: None) -> Iterator[None]:
    """Committed rows, as the ballot box and other threads see them; emptied afterwards."""
    del transactional_db
    yield
    close_ballot_box()


@pytest.fixture
def alice(database: None) -> Person:  # noqa: ARG001 - the people of the cast are rows
    """An organiser: the owner of polls in most tests."""
    return sign_up("alice")


@pytest.fixture
def bob(database: None) -> Person:  # noqa: ARG001 - the same
    """Another organiser, who owns nothing of Alice's."""
    return sign_up("bob")


@pytest.fixture
def charlie(database: None) -> Person:  # noqa: ARG001 - their requests read rows
    """Somebody without an account."""
    return Person()


@pytest.fixture(scope="session")
def on_postgres() -> bool:
    """Whether the suite runs on PostgreSQL and Redis."""
    return os.environ["STACK"] == "servers"


@pytest.fixture(autouse=True)
def _no_leftovers(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Close the box before the database under it is emptied or dropped."""
    yield
    del request
    close_ballot_box()


@pytest.fixture(scope="session")
def made_stage(live: Server) -> Stage:
    """An organiser's poll on the real server."""
    organiser = live.sign_up()
    poll = organiser.make_poll(kind="multiple")
    token = organiser.get("/api/v1/auth/tokens/").json()[0]["id"]
    event = organiser.post("/api/v1/events/", {"title": "An evening"}).json()["id"]
    caller = Caller(live, {**organiser.headers, **live.voter().headers})
    member = f"member-{uuid.uuid4().hex[:12]}"
    live.sign_up(member)
    names = {"poll": poll["id"], "code": poll["join_code"], "token": token, "event": event}
    names["member"] = member
    return Stage(live, caller, names)


@pytest.fixture
def stage(made_stage: Stage) -> Iterator[Stage]:
    """The stage, held to be unchanged after each test."""
    before = made_stage.state()
    yield made_stage
    rows, poll = made_stage.state()
    # Rows of other tests' deleted polls and expired tickets may go meanwhile.
    assert {name: count for name, count in rows.items() if count > before[0][name]} == {}
    assert poll == before[1]
