"""How often something may be done, or guessed at, in a while: counted once for all processes.

The figures are `settings.RATE_LIMITS`. A window moves: ten in five minutes are never more than ten
in any five minutes. Voting asks nothing here, but for whoever votes by a code.
"""

import functools
import hashlib
import hmac
import logging
import math
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from enum import StrEnum
from typing import TypeVar

from django.conf import settings
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import ConnectionPool, RedisError

from accounts.models import caseless
from polls.errors import Code, Refusal

logger = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

_REDIS_SECONDS = 0.5
_LEFT_ALONE_SECONDS = 5.0
# What a process allows by itself while Redis does not answer.
_OWN_SHARE = 10
_MANY_KEYS = 1000


class Rate(StrEnum):
    """What is counted, and by whom: the names of `settings.RATE_LIMITS`."""

    LOGINS_FROM_SOURCE = "logins_from_source"
    FAILED_LOGINS_FROM_SOURCE = "failed_logins_from_source"
    FAILED_LOGINS_OF_ACCOUNT = "failed_logins_of_account"
    TOKENS_OF_ACCOUNT = "tokens_of_account"
    SIGN_UPS_FROM_SOURCE = "sign_ups_from_source"
    PASSWORD_CHANGES_OF_ACCOUNT = "password_changes_of_account"  # noqa: S105 - the same
    PASSWORD_RESETS_FROM_SOURCE = "password_resets_from_source"  # noqa: S105 - the same
    PASSWORD_RESETS_OF_ADDRESS = "password_resets_of_address"  # noqa: S105 - the same
    POLLS_OF_ACCOUNT = "polls_of_account"
    TICKETS_FROM_SOURCE = "tickets_from_source"
    UNKNOWN_NAMES_OF_ACCOUNT = "unknown_names_of_account"
    FAILED_CODES_FROM_SOURCE = "failed_codes_from_source"
    FAILED_CODES_OF_POLL = "failed_codes_of_poll"


Counted = tuple[Rate, str]  # what, and of whom


# -- what the service asks ---------------------------------------------------------------------


def count(*counted: Counted) -> None:
    """Count one more of each, or raise `too_many` by the first that has no room."""
    for rate, whose in counted:
        _refuse_for(keeper().count(rate, whose))


class Guess:
    """One guess at a secret, of which only the wrong ones count.

    It is tried first, and counted before anybody is told: a wrong one where there is room for
    it, a right one where there still is. So whatever many do at once, no more of them learn whether
    they were right than if they had come one after another, and honest ones use nothing up.
    """

    def __init__(self, *counted: Counted, is_cheap: bool = False) -> None:
        """Raise `too_many` where there is no room, unless to try it costs no more than to ask."""
        self._counted = counted
        if not is_cheap:
            self._require_room()

    def wrong(self) -> None:
        """Count it; raises `too_many`, as a right one would, where others have been faster."""
        count(*self._counted)

    def right(self) -> None:
        """Raise `too_many`, as a wrong one would, where others have been faster."""
        self._require_room()

    def wait(self, ask: Callable[[Rate, str], float]) -> float:
        """Return for how many seconds there is no room, as `ask` tells it of each count."""
        # The longest wait of all: before that, the next guess would be refused as well.
        return max(ask(rate, whose) for rate, whose in self._counted)

    def _require_room(self) -> None:
        _refuse_for(self.wait(keeper().wait))


def with_room(guesses: Mapping[K, Guess]) -> set[K]:
    """Return whose `right` would be told so now; what many of them count is asked for once."""
    ask = functools.cache(keeper().wait)
    return {name for name, guess in guesses.items() if guess.wait(ask) == 0}


def guess_password(username: str, source: str | None = None) -> Guess:
    """Return a guess at an account's password, whether there is such an account or not.

    `source` is the network that it comes from, None where that is not to be counted.
    """
    of_account = (Rate.FAILED_LOGINS_OF_ACCOUNT, caseless(username))
    if source is None:
        return Guess(of_account)
    return Guess(of_account, (Rate.FAILED_LOGINS_FROM_SOURCE, source))


def guess_name(user_id: int) -> Guess:
    """Return an account's guess at the name of another, where registering does not tell names."""
    return Guess((Rate.UNKNOWN_NAMES_OF_ACCOUNT, str(user_id)))


def guess_code(poll_id: uuid.UUID, source: str) -> Guess:
    """Return a guess at one of a poll's voting codes, from the network `source`."""
    of_poll = (Rate.FAILED_CODES_OF_POLL, str(poll_id))
    return Guess((Rate.FAILED_CODES_FROM_SOURCE, source), of_poll, is_cheap=True)


def _refuse_for(seconds: float) -> None:
    if seconds > 0:
        # The first whole second at which there is room: at the very moment there is none yet.
        retry_after = max(1, math.floor(seconds) + 1)
        raise Refusal(Code.TOO_MANY, headers={"Retry-After": str(retry_after)})


# -- where it is counted -----------------------------------------------------------------------


class Keeper:
    """Keeps the counts: in Redis for all processes, else in this process's memory.

    While Redis does not answer each process counts by itself, up to a tenth of each limit: nobody
    is locked out, and nobody may guess without end. Redis is then left alone for five seconds.
    """

    def __init__(self, redis_url: str | None) -> None:
        self._shared = None if redis_url is None else _in_redis(redis_url)
        self._lock = threading.RLock()
        self._memory = _memory(self._lock)
        self._own = MovingWindowRateLimiter(self._memory)
        self._alone_until = 0.0
        self._many_keys = _MANY_KEYS

    def count(self, rate: Rate, whose: str) -> float:
        """Count one more if there is room; return for how many seconds there is none, or 0."""
        return self._ask(rate, whose, _count)

    def wait(self, rate: Rate, whose: str) -> float:
        """Return for how many seconds there is no room, 0 if there is; nothing is counted."""
        return self._ask(rate, whose, _wait)

    def _ask(
        self,
        rate: Rate,
        whose: str,
        work: Callable[[MovingWindowRateLimiter, RateLimitItem, str], T],
    ) -> T:
        times, seconds = settings.RATE_LIMITS[rate]
        key = _key(rate, whose)
        if self._shared is not None:
            if time.monotonic() >= self._alone_until:
                try:
                    return work(self._shared, RateLimitItemPerSecond(times, seconds, rate), key)
                except RedisError as error:
                    logger.warning("Redis does not count attempts, memory stands in: %s", error)
                    self._alone_until = time.monotonic() + _LEFT_ALONE_SECONDS
            times = max(1, times // _OWN_SHARE)
        with self._lock:
            self._forget()
            return work(self._own, RateLimitItemPerSecond(times, seconds, rate), key)

    def _forget(self) -> None:
        """Drop what is over: the library keeps an empty list for every key that it ever had."""
        windows = self._memory.events
        if len(windows) < self._many_keys:
            return
        now = time.time()
        for key in [key for key, hits in windows.items() if not hits or hits[0].expiry < now]:
            self._memory.clear(key)
        self._many_keys = max(_MANY_KEYS, 2 * len(windows))


@functools.cache
def keeper() -> Keeper:
    """Return this process's keeper."""
    return Keeper(settings.REDIS_URLS[0] if settings.REDIS_URLS else None)


def _count(windows: MovingWindowRateLimiter, item: RateLimitItem, key: str) -> float:
    if windows.hit(item, key):
        return 0.0
    # There may be room by now, but there was none for this one.
    return max(_wait(windows, item, key), 0.001)


def _wait(windows: MovingWindowRateLimiter, item: RateLimitItem, key: str) -> float:
    found = windows.get_window_stats(item, key)
    if found.remaining > 0:
        return 0.0
    return max(found.reset_time - time.time(), 0.001)


def _in_redis(url: str) -> MovingWindowRateLimiter:
    # Neither tried again nor waited for: a fallback is at hand.
    pool = ConnectionPool.from_url(
        url,
        socket_timeout=_REDIS_SECONDS,
        socket_connect_timeout=_REDIS_SECONDS,
        **settings.REDIS_KEEPALIVE,
    )
    return MovingWindowRateLimiter(
        RedisStorage("redis://", connection_pool=pool, key_prefix="polls:rate")
    )


def _memory(lock: threading.RLock) -> MemoryStorage:
    storage = MemoryStorage()
    # It makes a lock for each key as that comes, and two threads may be given different ones.
    storage.locks = defaultdict(lambda: lock)
    return storage


@functools.cache
def _secret() -> bytes:
    return hashlib.sha256(b"polls.rate-limits:" + str(settings.SECRET_KEY).encode()).digest()


def _key(rate: Rate, whose: str) -> str:
    """Return the name of a count: it tells nobody whose it is."""
    text = f"{rate}:{whose}".encode(errors="surrogatepass")
    return hmac.digest(_secret(), text, "sha256")[:16].hex()
