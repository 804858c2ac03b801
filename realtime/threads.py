"""Database work for the event loop, in a few threads that keep their connections."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import connection

from polls.domain import deadline

P = ParamSpec("P")
T = TypeVar("T")

_pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="realtime")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run database work in a thread, within a request's time from now."""
    until = deadline.now_plus()

    def run() -> T:
        with deadline.until(until):
            connection.close_if_unusable_or_obsolete()
            try:
                return work(*args, **kwargs)
            finally:
                connection.close_if_unusable_or_obsolete()

    return await asyncio.get_running_loop().run_in_executor(_pool, run)
