"""The cache in Redis, and what stands in for it while Redis does not answer."""

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

T = TypeVar("T")
_LEFT_ALONE_SECONDS = 5.0


class SteadyRedisCache(RedisCache):
    """Redis, or this process's memory for as long as Redis does not answer.

    What is kept here are the counts of attempts to log in. Nobody must be locked out because Redis
    is gone, and nobody may guess without end: each process then counts by itself.
    """

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._own = LocMemCache("while Redis is away", params)
        self._alone_until = 0.0

    def _ask(self, redis: Callable[[], T], own: Callable[[], T]) -> T:
        """Return Redis's answer, else this process's own, and then leave Redis alone a while."""
        if time.monotonic() >= self._alone_until:
            try:
                return redis()
            except RedisError as error:
                logger.warning("The cache does not answer, memory stands in: %s", error)
                self._alone_until = time.monotonic() + _LEFT_ALONE_SECONDS
        return own()

    def add(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> bool:  # noqa: ANN401 - Django's
        """Set a value where there is none, and return whether there was none."""
        return self._ask(
            lambda: super(SteadyRedisCache, self).add(key, value, *args, **kwargs),
            lambda: self._own.add(key, value, *args, **kwargs),
        )

    def get(self, key: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the same
        """Return a value, or the default."""
        return self._ask(
            lambda: super(SteadyRedisCache, self).get(key, *args, **kwargs),
            lambda: self._own.get(key, *args, **kwargs),
        )

    def set(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the same
        """Set a value."""
        self._ask(
            lambda: super(SteadyRedisCache, self).set(key, value, *args, **kwargs),
            lambda: self._own.set(key, value, *args, **kwargs),
        )

    def delete(self, key: Any, *args: Any, **kwargs: Any) -> bool:  # noqa: ANN401 - the same
        """Delete a value and return whether there was one."""
        return self._ask(
            lambda: super(SteadyRedisCache, self).delete(key, *args, **kwargs),
            lambda: self._own.delete(key, *args, **kwargs),
        )
