"""The cache: Redis, or memory for as long as that does not answer."""

from typing import Any

import pytest
from django.core.cache import cache

from devtools.servers import free_port
from polls_project.cache import SteadyRedisCache


@pytest.fixture(params=["as it is", "Redis is away"])
def kept(request: pytest.FixtureRequest) -> Any:
    """The cache of this stack, and one whose Redis is not there."""
    if request.param == "as it is":
        cache.delete("history")
        return cache
    return SteadyRedisCache(f"redis://127.0.0.1:{free_port()}", {})


def test_values_are_kept_and_added_once(kept: Any) -> None:
    assert kept.get("history", "none") == "none"
    assert kept.add("history", [1.0], timeout=9)
    assert not kept.add("history", [2.0], timeout=9)
    assert kept.get("history") == [1.0]
    kept.set("history", [3.0], 9)
    assert kept.get("history") == [3.0]
    assert kept.delete("history")
    assert kept.get("history") is None


def test_redis_that_does_not_answer_is_left_alone_for_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    away = SteadyRedisCache(f"redis://127.0.0.1:{free_port()}", {})
    for _ in range(9):
        away.get("history")
    assert len(caplog.records) == 1
