"""Database work for the event loop, in a few threads that keep their connections."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import connection

from polls.domain import deadline

P = ParamSpec("P")
T = TypeVar("T")

_IN_LINE_SECONDS = 15.0

_pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="realtime")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run database work in a thread, within a request's time from when a thread is free.

    It waits in line for as long as a hall of dashboards may take to come back.
    """
    latest = deadline.now_plus(_IN_LINE_SECONDS)

    def run() -> T:
        with deadline.until(min(latest, deadline.now_plus())):
            connection.close_if_unusable_or_obsolete()
            try:
                return work(*args, **kwargs)
            finally:
                connection.close_if_unusable_or_obsolete()

    return await asyncio.get_running_loop().run_in_executor(_pool, run)
