"""A bare loop over every socket's `send`: the least that an ASGI application can do.

Run on Uvicorn and on Daphne, neither of which has a cheaper way to send a text.
"""

import asyncio
from typing import Any

from benchmarks.peers.beat import beat

_sends: set[Any] = set()
_beats: set[asyncio.Task[None]] = set()


async def _tell(text: str) -> None:
    message = {"type": "websocket.send", "text": text}
    for send in list(_sends):
        await send(message)


async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
    """Serve one socket; whatever it says is a job."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    _sends.add(send)
    try:
        while (message := await receive())["type"] == "websocket.receive":
            task = asyncio.create_task(beat(message["text"], _tell))
            _beats.add(task)
            task.add_done_callback(_beats.discard)
    finally:
        _sends.discard(send)
