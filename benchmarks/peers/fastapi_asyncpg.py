"""FastAPI + asyncpg: the same vote as one statement, which asyncpg prepares by itself."""

import contextlib
import hashlib
import os
import secrets
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import asyncpg
from fastapi import FastAPI, Header, HTTPException

POOL = int(os.environ.get("POOL", "10"))
VOTE = (Path(__file__).parent / "vote.sql").read_text(encoding="utf-8")
_pool: Any = None


@contextlib.asynccontextmanager
async def _lifespan(_: Any) -> AsyncIterator[None]:  # noqa: ANN401 - the application
    global _pool
    async with asyncpg.create_pool(
        os.environ["DATABASE_URL"], min_size=POOL, max_size=POOL
    ) as _pool:
        yield


@dataclass
class Vote:
    """The body of a vote."""

    choices: list[uuid.UUID]


@dataclass
class Receipt:
    """The answer to a vote that is committed."""

    poll: uuid.UUID
    receipt: str
    seq: int


async def vote(
    poll: uuid.UUID,
    body: Vote,
    idempotency_key: Annotated[str, Header(min_length=16, max_length=255)],
) -> Receipt:
    """Count one vote."""
    if len(body.choices) != 1:
        raise HTTPException(400, "One option must be chosen.")
    option, key, receipt = body.choices[0], idempotency_key.encode(), secrets.token_bytes(16)
    row = await _pool.fetchrow(
        VOTE,
        poll,
        hashlib.sha256(b"open:" + key).digest(),
        uuid.uuid4(),
        hashlib.sha256(key).digest(),
        hashlib.sha256(option.bytes).digest(),
        receipt,
        option,
    )
    if row is None:
        raise HTTPException(409, "The vote is not counted.")
    return Receipt(poll, receipt.hex(), row["seq"])


app = FastAPI(lifespan=_lifespan, openapi_url=None)
app.add_api_route("/api/v1/polls/{poll}/votes/", vote, methods=["POST"], status_code=201)
