"""What the slices of `make fuzz` share: a server that they alone talk to, and its counts."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.audit_store import PostgresStore, SqliteStore, Sums
from devtools.servers import RedisServer
from fuzz.__main__ import complaints
from fuzz.scenes import BEHIND_PROXY
from tests.live import Server
from tests.stack import STACK


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Server]:
    """A server whose log must tell of no fault in the end, nor of what others say in a Redis."""
    with ExitStack() as stack:
        environment = dict(BEHIND_PROXY)
        if STACK == "servers":
            redis = RedisServer()
            stack.callback(redis.kill)
            environment["REDIS_URL"] = redis.url
        server = stack.enter_context(Server(**environment))
        yield server
    assert complaints(server.log.read_text()) == []


@pytest.fixture(scope="module")
def counts(fuzzed: Server) -> Callable[[str], Sums]:
    """What that server's database holds of a poll."""
    url = fuzzed.environment.get("DATABASE_URL")
    file = Path(fuzzed.folder) / "polls.sqlite3"
    return (PostgresStore(url) if url else SqliteStore(file)).sums
