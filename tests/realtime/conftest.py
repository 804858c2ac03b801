"""The live server of the suite, whose log is read after each module, and an organiser on it."""

from collections.abc import Iterator

import pytest
from django.test import override_settings

from realtime.runtime import runtime
from tests.live import Caller, Server
from tests.realtime.inside import TICK, Inside
from tests.realtime.servers import DaphneServer, assert_clean
from tests.stack import STACK

# On PostgreSQL and Redis `test_daphne.py` stands for all of Daphne (see also tests/stack.py).
KINDS = ["uvicorn"] if STACK == "servers" else ["uvicorn", "daphne"]


@pytest.fixture(scope="session")
def daphne() -> Iterator[Server]:
    """The other server that is supported."""
    with DaphneServer() as server:
        yield server


@pytest.fixture(scope="module", params=KINDS)
def live(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The suite's server, of each kind; a module in which it logs a fault fails."""
    server: Server = request.getfixturevalue(request.param)
    before = server.log.stat().st_size
    yield server
    assert_clean(server.log.read_bytes()[before:].decode())


@pytest.fixture(scope="module")
def organiser(live: Server) -> Caller:
    """Somebody with an account on the suite's server."""
    return live.sign_up()


@pytest.fixture
def inside(database: None) -> Iterator[Inside]:
    """The application in the test's own process; nothing of it may be left, or go unheard."""
    del database
    with override_settings(TICK_MS=int(TICK * 1000)):
        inside = Inside()
        yield inside
        inside.stop()
    assert inside.faults == []
    assert runtime.sockets == 0
    assert runtime.hub.watched == {}
    assert runtime.hub.shows.watched == {}
