"""Limits by rate: atomic, shared by processes, and bounded while Redis is away."""

import hashlib
import itertools
import os
import socket
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from redis import Redis

from devtools import servers
from devtools.servers import free_port
from polls.domain import rate_limits
from polls.domain.rate_limits import Guess, Keeper, Rate, guess_code, guess_password
from polls.errors import Code, Refusal
from tests.polls.stacks import on_postgres_alone
from tests.polls.threads import together

LOGIN = Rate.FAILED_LOGINS_OF_ACCOUNT
SOURCE = "203.0.113.9"


def redis_url() -> str | None:
    return os.environ.get("REDIS_URL") or None


@pytest.fixture
def figures(settings: Any) -> dict[str, tuple[int, int]]:
    """The limits, which a test may change."""
    settings.RATE_LIMITS = dict(settings.RATE_LIMITS)
    found: dict[str, tuple[int, int]] = settings.RATE_LIMITS
    return found


@pytest.fixture
def own_redis() -> Iterator[servers.RedisServer]:
    """A Redis that nobody else uses."""
    server = servers.RedisServer()
    yield server
    server.kill()


def is_told(*, right: bool = False, poll_id: uuid.UUID, source: str = SOURCE) -> bool:
    """Guess a code; return whether one learns if it was right."""
    try:
        guess = guess_code(poll_id, source)
        time.sleep(0.005)  # looking it up takes a while
        if right:
            guess.right()
        else:
            guess.wrong()
    except Refusal:
        return False
    return True


# -- counting at once --------------------------------------------------------------------------


def allowed_of_200(keeper: Keeper) -> int:
    return together(200, lambda _: keeper.count(LOGIN, "alice")).count(0.0)


def test_200_at_once_are_no_more_than_the_limit() -> None:
    assert allowed_of_200(Keeper(redis_url())) == 10


def test_counter_that_is_read_and_written_back_lets_more_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: what a cache offers, as many a library counts."""

    def read_and_write_back(windows: Any, item: Any, key: str) -> float:
        del windows
        had = cache.get(key, 0)
        if had >= item.amount:
            return 1.0
        time.sleep(0.001)
        cache.set(key, had + 1)
        return 0.0

    monkeypatch.setattr(rate_limits, "_count", read_and_write_back)
    keepers = itertools.cycle([Keeper(None) for _ in range(8)])  # one alone has a lock
    allowed = together(200, lambda _: next(keepers).count(LOGIN, "alice")).count(0.0)
    assert allowed > 10


def test_keys_of_a_process_share_no_room(figures: dict[str, tuple[int, int]]) -> None:
    figures[LOGIN] = (1, 60)
    keeper = Keeper(redis_url())
    names = [f"user-{number % 20}" for number in range(200)]
    allowed = together(200, lambda place: keeper.count(LOGIN, names[place])).count(0.0)
    assert allowed == 20


@on_postgres_alone
def test_two_processes_count_together() -> None:
    keepers = [Keeper(redis_url()), Keeper(redis_url())]
    allowed = together(200, lambda place: keepers[place % 2].count(LOGIN, "alice")).count(0.0)
    assert allowed == 10


def test_window_moves_and_the_wait_is_told_to_the_second(
    figures: dict[str, tuple[int, int]],
) -> None:
    figures[LOGIN] = (2, 3)
    told = []
    began = time.monotonic()
    for _ in range(2):
        rate_limits.count((LOGIN, "alice"))
        time.sleep(1)
    # Two are counted, of which the first leaves after 3 s and the second after 4 s.
    while time.monotonic() < began + 3.9:
        try:
            rate_limits.count((LOGIN, "alice"))
            told.append("counted")
        except Refusal as refusal:
            told.append(refusal.headers["Retry-After"])
            time.sleep(int(refusal.headers["Retry-After"]))
    assert told[:3] == ["1", "counted", "1"]


def test_wait_that_is_told_is_enough(figures: dict[str, tuple[int, int]]) -> None:
    figures[LOGIN] = (1, 2)
    rate_limits.count((LOGIN, "alice"))
    with pytest.raises(Refusal) as caught:
        rate_limits.count((LOGIN, "alice"))
    assert caught.value.headers["Retry-After"] == "2"
    time.sleep(1)
    with pytest.raises(Refusal) as caught:
        rate_limits.count((LOGIN, "alice"))
    assert caught.value.headers["Retry-After"] == "1"
    time.sleep(1)
    rate_limits.count((LOGIN, "alice"))


# -- guessing ----------------------------------------------------------------------------------


def test_check_18_200_parallel_guesses_at_codes_tell_no_more_than_the_limit(
    figures: dict[str, tuple[int, int]],
) -> None:
    figures[Rate.FAILED_CODES_FROM_SOURCE] = (20, 60)
    poll_id = uuid.uuid4()
    assert together(200, lambda _: is_told(poll_id=poll_id)).count(True) == 20
    assert not is_told(poll_id=poll_id, right=True)


def test_check_18_guesses_from_many_sources_tell_no_more_than_the_limit_of_the_poll(
    figures: dict[str, tuple[int, int]],
) -> None:
    figures[Rate.FAILED_CODES_OF_POLL] = (20, 60)
    poll_id = uuid.uuid4()
    told = together(200, lambda place: is_told(poll_id=poll_id, source=f"10.0.0.{place}"))
    assert told.count(True) == 20
    assert not is_told(poll_id=poll_id, right=True, source="10.0.1.1")
    assert is_told(poll_id=uuid.uuid4(), right=True, source="10.0.1.1")


def test_guess_that_is_only_looked_at_first_tells_more_than_the_limit(
    figures: dict[str, tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without the count that decides, all who come at once are told."""
    figures[Rate.FAILED_CODES_FROM_SOURCE] = (20, 60)

    def count_and_tell(self: Guess) -> None:
        for rate, whose in self._counted:
            rate_limits.keeper().count(rate, whose)

    monkeypatch.setattr(Guess, "wrong", count_and_tell)
    poll_id = uuid.uuid4()
    assert together(200, lambda _: is_told(poll_id=poll_id)).count(True) > 20


def test_honest_guesses_use_nothing_up(figures: dict[str, tuple[int, int]]) -> None:
    figures[Rate.FAILED_CODES_FROM_SOURCE] = (1, 60)
    poll_id = uuid.uuid4()
    assert all(together(100, lambda _: is_told(poll_id=poll_id, right=True)))
    assert is_told(poll_id=poll_id)
    assert not is_told(poll_id=poll_id, right=True)


def test_right_guess_that_comes_too_late_is_answered_like_a_wrong_one(
    figures: dict[str, tuple[int, int]],
) -> None:
    figures[LOGIN] = (1, 60)
    wrong, late_wrong, late_right = (guess_password("alice") for _ in range(3))
    wrong.wrong()
    answers = []
    for late in (late_wrong.wrong, late_right.right):
        with pytest.raises(Refusal) as caught:
            late()
        assert caught.value.code == Code.TOO_MANY
        answers.append((caught.value.problem("/"), caught.value.headers))
    assert answers[0] == answers[1]


def test_refused_guess_is_told_the_longest_wait(figures: dict[str, tuple[int, int]]) -> None:
    figures[LOGIN] = (1, 300)
    figures[Rate.FAILED_LOGINS_FROM_SOURCE] = (1, 60)
    guess_password("alice", SOURCE).wrong()
    with pytest.raises(Refusal) as caught:
        guess_password("alice", SOURCE)
    assert caught.value.headers == {"Retry-After": "300"}


@pytest.mark.parametrize("name", ["ALICE", "\uff41lice", "alice"])
def test_account_is_one_in_whatever_letters(figures: dict[str, tuple[int, int]], name: str) -> None:
    figures[LOGIN] = (1, 60)
    guess_password("Alice").wrong()
    with pytest.raises(Refusal):
        guess_password(name)


# -- without Redis -----------------------------------------------------------------------------


def allowed(keeper: Keeper, rate: Rate, tries: int = 200) -> int:
    return [keeper.count(rate, "whoever") for _ in range(tries)].count(0.0)


def test_while_redis_is_away_a_tenth_is_allowed_by_each_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    away = Keeper(f"redis://127.0.0.1:{free_port()}")
    assert allowed(away, Rate.FAILED_LOGINS_OF_ACCOUNT) == 1
    assert allowed(away, Rate.FAILED_LOGINS_FROM_SOURCE) == 10
    assert away.wait(Rate.FAILED_LOGINS_OF_ACCOUNT, "whoever") > 0
    assert away.wait(Rate.FAILED_LOGINS_OF_ACCOUNT, "somebody else") == 0
    # It is left alone meanwhile, not asked 400 times.
    assert len(caplog.records) == 1


def test_limit_below_ten_leaves_one_while_redis_is_away(
    figures: dict[str, tuple[int, int]],
) -> None:
    figures[LOGIN] = (3, 60)
    assert allowed(Keeper(f"redis://127.0.0.1:{free_port()}"), LOGIN) == 1


def test_200_at_once_are_no_more_than_the_small_limit_while_redis_is_away() -> None:
    assert allowed_of_200(Keeper(f"redis://127.0.0.1:{free_port()}")) == 1


def test_redis_that_never_answers_holds_nobody_up_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        keeper = Keeper(f"redis://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        assert keeper.count(LOGIN, "alice") == 0
        first = time.monotonic() - began
        assert keeper.count(LOGIN, "alice") > 0
        second = time.monotonic() - began - first
    assert 0.4 < first < 2
    assert second < 0.2


@on_postgres_alone
def test_redis_that_comes_back_empty_counts_again(own_redis: servers.RedisServer) -> None:
    keeper = Keeper(own_redis.url)
    assert allowed(keeper, LOGIN) == 10
    own_redis.kill()
    assert allowed(keeper, LOGIN) == 1
    own_redis.start()
    assert allowed(keeper, LOGIN) == 0  # it is left alone for a while
    keeper._alone_until = 0.0
    assert allowed(keeper, LOGIN) == 10
    with Redis.from_url(own_redis.url) as redis:
        assert redis.dbsize() == 1
        redis.flushall()
        redis.script_flush()
    assert allowed(keeper, LOGIN) == 10


# -- what is kept ------------------------------------------------------------------------------


def kept_by(keeper: Keeper, url: str | None) -> str:
    """Return all that is kept of attempts, wherever it is."""
    found = list(keeper._memory.events)
    if url is not None:
        with Redis.from_url(url, decode_responses=True) as redis:
            for key in redis.scan_iter():
                found += [key, *redis.lrange(key, 0, -1)]
    return "\n".join(found)


@pytest.mark.parametrize("stand_in", [False, True])
def test_check_44_keys_hold_no_address_name_or_id_in_clear(
    on_postgres: bool,  # noqa: FBT001 - a fixture
    request: pytest.FixtureRequest,
    stand_in: bool,  # noqa: FBT001 - the same
) -> None:
    in_redis = on_postgres and not stand_in
    url = request.getfixturevalue("own_redis").url if in_redis else None
    keeper = Keeper(url)
    secrets = [SOURCE, "2001:db8:1:2::/64", "alice", "alice@example.org", uuid.uuid4().hex]
    for secret in secrets:
        for rate in Rate:
            keeper.count(rate, secret)
    kept = kept_by(keeper, url)
    assert kept.count(LOGIN) == len(secrets)
    for secret in secrets:
        assert secret not in kept
        # Nor so that whoever tries all addresses finds it.
        for name in (secret, *(f"{rate}:{secret}" for rate in Rate)):
            assert hashlib.sha256(name.encode()).hexdigest()[:32] not in kept


def test_keys_depend_on_the_secret_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = rate_limits._key(LOGIN, "alice")
    monkeypatch.setattr(rate_limits, "_secret", lambda: b"another")
    assert rate_limits._key(LOGIN, "alice") != before


def test_every_rate_has_its_figures(settings: Any) -> None:
    assert set(settings.RATE_LIMITS) == {str(rate) for rate in Rate}


def test_what_is_over_is_forgotten(
    figures: dict[str, tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "_MANY_KEYS", 100)
    figures[LOGIN] = (1, 1)
    keeper = Keeper(None)
    for number in range(1000):
        keeper.count(LOGIN, str(number))
    assert len(keeper._memory.events) == 1000
    time.sleep(1.1)
    for number in range(1100):
        keeper.count(LOGIN, f"later {number}")
    assert len(keeper._memory.events) <= 1100 + 10
