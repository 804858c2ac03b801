"""Guessing at real servers: many at once, at every door, at two processes, and without Redis."""

import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import requests

from devtools import servers
from tests.live import Caller, Server, new_database
from tests.polls.stacks import on_postgres_alone
from tests.polls.threads import together
from tests.realtime.servers import OwnServer

PASSWORD = "correct horse battery staple"  # of Server.sign_up()
TOKENS, LOGIN, ADMIN = "/api/v1/auth/tokens/", "/accounts/login", "/admin/login/"
LIMIT = 10


_START = """
import runpy
import django
django.setup()
from django.conf import settings
from polls.domain import rate_limits
from tests.live_settings import QuickHasher
{changes}
runpy.run_module("polls_project.serve", run_name="__main__", alter_sys=True)
"""


class Hasty(OwnServer):
    """A server that takes a while to hash a password, and has 200 guesses fit into a request's."""

    changes = "QuickHasher.iterations = 20_000"

    def command(self) -> list[str]:
        """Change what is said, then run the module as ever."""
        return [sys.executable, "-c", _START.format(changes=self.changes)]


class Careless(Hasty):
    """One that looks at the count first and does not ask it again: the control."""

    changes = """
QuickHasher.iterations = 100_000
def count_and_tell(self):
    for rate, whose in self._counted:
        rate_limits.keeper().count(rate, whose)
rate_limits.Guess.wrong = count_and_tell
"""


class Strict(Hasty):
    """One that lets two logins fail from one source."""

    changes = 'settings.RATE_LIMITS["failed_logins_from_source"] = (2, 60)'


@contextmanager
def serving(
    kind: type[Server], *, processes: int = 1, **environment: str
) -> Iterator[list[Server]]:
    """Run servers of one service: they share key, database and Redis."""
    shared = {"SECRET_KEY": os.urandom(16).hex(), **environment}
    if processes > 1:
        shared["DATABASE_URL"] = new_database()
    with ExitStack() as stack:
        yield [stack.enter_context(kind(**shared)) for _ in range(processes)]


def guess_at_api(server: Server, name: str, password: str = "wrong") -> requests.Response:
    return Caller(server).post(TOKENS, {"username": name, "password": password})


def guess_at_page(
    server: Server, path: str, field: str, name: str, password: str = "wrong"
) -> requests.Response:
    with requests.Session() as browser:
        browser.headers["Accept"] = "text/html"
        page = browser.get(server.url + path, timeout=30)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        assert token is not None
        form = {"csrfmiddlewaretoken": token[1], field: name, "password": password}
        return browser.post(server.url + path, form, allow_redirects=False, timeout=60)


def guess(service: list[Server], place: int, name: str, password: str = "wrong") -> str:
    """Guess at one of three doors of one of the processes; return what one learns."""
    server = service[place % len(service)]
    if place % 3 == 0:
        answer, wrong = guess_at_page(server, LOGIN, "login", name, password), 400
    elif place % 3 == 1:
        answer, wrong = guess_at_page(server, ADMIN, "username", name, password), 200
    else:
        answer, wrong = guess_at_api(server, name, password), 401
    if answer.status_code == 429:
        assert 1 <= int(answer.headers["Retry-After"]) <= 300
        assert "no-store" in answer.headers["Cache-Control"]
        return "too many"
    if answer.status_code == 503:
        return "unanswered"
    assert answer.status_code in {wrong, 201, 302}, answer.text
    return "wrong" if answer.status_code == wrong else "right"


def spellings(place: int) -> str:
    return ("alice", "ALICE", "Alice")[place % 3]


def test_200_parallel_guesses_at_all_doors_tell_no_more_than_the_limit() -> None:
    with serving(Hasty) as service:
        service[0].sign_up("alice")
        service[0].sign_up("bob")
        told = Counter(together(200, lambda place: guess(service, place, spellings(place))))
        assert told == {"wrong": LIMIT, "too many": 200 - LIMIT}
        # Then nobody learns whether a guess is right, at whichever door; others log in.
        for place in range(3):
            assert guess(service, place, "alice", PASSWORD) == "too many"
            assert guess(service, place, "bob", PASSWORD) == ("wrong" if place == 1 else "right")


def test_server_that_does_not_count_before_it_tells_tells_more() -> None:
    """The control of the test before."""
    with serving(Careless) as service:
        service[0].sign_up("alice")
        told = Counter(together(50, lambda _: guess(service, 2, "alice")))
        assert told["wrong"] > LIMIT


@on_postgres_alone
def test_200_parallel_guesses_at_two_processes_tell_no_more_than_the_limit() -> None:
    with serving(Hasty, processes=2) as service:
        service[0].sign_up("alice")
        told = Counter(together(200, lambda place: guess(service, place, "alice")))
        assert told == {"wrong": LIMIT, "too many": 200 - LIMIT}


@on_postgres_alone
def test_while_redis_is_dead_few_guesses_are_told_and_voting_stays_open() -> None:
    redis = servers.RedisServer()
    try:
        with serving(Hasty, REDIS_URL=redis.url) as service:
            server = service[0]
            owner = server.sign_up("alice")
            server.sign_up("bob")
            poll = owner.make_poll()
            redis.kill()
            told = Counter(together(60, lambda place: guess(service, place, "alice")))
            assert told == {"wrong": 1, "too many": 59}
            # Whoever knows their password is let in, and everybody may vote, as often as they like.
            assert guess(service, 2, "bob", PASSWORD) == "right"
            voters = [server.voter() for _ in range(50)]
            votes = together(50, lambda place: voters[place].vote(poll, 0).status_code)
            assert set(votes) == {201}
            assert owner.get(poll["links"]["results"]).json()["ballots"] == 50
            # Polls are made, and people sign up.
            owner.make_poll()
            server.sign_up()
    finally:
        redis.kill()


@pytest.mark.parametrize(
    ("proxy", "told"),
    [("", [401, 401, 429, 429, 429, 429]), ("127.0.0.1", [401, 401, 401, 401, 429, 429])],
    ids=["no proxy", "a trusted one"],
)
def test_check_21_source_is_what_a_trusted_proxy_names_and_nobody_else(
    proxy: str, told: list[int]
) -> None:
    with serving(Strict, TRUSTED_PROXIES=proxy) as service:
        statuses = []
        for place in range(6):
            body = {"username": f"nobody-{place}", "password": "wrong"}
            # Whatever the client has put before what the proxy says, it is not believed.
            hops = f"198.51.100.{place}, 203.0.113.{place % 2}"
            answer = Caller(service[0]).post(TOKENS, body, X_Forwarded_For=hops)
            statuses.append(answer.status_code)
    assert statuses == told
