"""Whether the process lives and whether it is ready, answered without a Django thread."""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.db import connection
from redis.asyncio import Redis

from polls.domain import deadline
from polls.errors import Code, Refusal
from polls.messages import problem_answer
from polls_project.sending import json_answer, send_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable

logger = logging.getLogger(__name__)

_DATABASE_SECONDS = 2.0
_REDIS_SECONDS = 0.5
_KEEP_SECONDS = 1.0  # an answer serves everybody who asks within this time


class Health:
    """`/livez` does no I/O; `/readyz` asks the database, and Redis for information."""

    def __init__(self) -> None:
        # A thread of its own: it must answer when all of Django's are busy.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._asking: asyncio.Task[tuple[bool, str]] | None = None
        self._answer = (False, "unknown")
        self._answered_at = -_KEEP_SECONDS

    async def __call__(self, scope: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        """Answer one request for /livez or /readyz."""
        if scope["method"] not in {"GET", "HEAD"}:
            refusal = Refusal(Code.METHOD_NOT_ALLOWED, headers={"Allow": "GET, HEAD"})
            await send_answer(scope, send, problem_answer(refusal, scope["path"]))
        elif scope["path"] == "/livez":
            await send_answer(scope, send, json_answer(200, {"status": "ok"}))
        else:
            database, redis = await self._ask()
            status = "ok" if redis in {"ok", "none"} else "degraded"
            body = {
                "status": status if database else "unavailable",
                "database": "ok" if database else "unavailable",
                "redis": redis,
            }
            await send_answer(scope, send, json_answer(200 if database else 503, body))

    async def _ask(self) -> tuple[bool, str]:
        if time.monotonic() - self._answered_at < _KEEP_SECONDS:
            return self._answer
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_both())
        return await asyncio.shield(self._asking)

    async def _ask_both(self) -> tuple[bool, str]:
        loop = asyncio.get_running_loop()
        try:
            database, redis = await asyncio.gather(
                loop.run_in_executor(self._thread, _ask_database), _ask_redis()
            )
            self._answer = database, redis
            self._answered_at = time.monotonic()
            return self._answer
        finally:
            self._asking = None


def _ask_database() -> bool:
    try:
        with deadline.until(deadline.now_plus(_DATABASE_SECONDS)):
            connection.close_if_unusable_or_obsolete()
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM polls_poll LIMIT 1")
    except Exception as error:  # noqa: BLE001 - whatever ails it, it is not ready
        logger.warning("The database does not answer: %s", error)
        connection.close()
        return False
    return True


async def _ask_redis() -> str:
    if not settings.REDIS_URLS:
        return "none"
    try:
        async with asyncio.timeout(_REDIS_SECONDS):
            for url in settings.REDIS_URLS:
                async with Redis.from_url(url) as redis:
                    await cast("Awaitable[bool]", redis.ping())
    except Exception as error:  # noqa: BLE001 - whatever ails it, votes and dashboards go on
        logger.warning("Redis does not answer: %r", error)
        return "unavailable"
    return "ok"
