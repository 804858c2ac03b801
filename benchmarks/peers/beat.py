"""When the peers in Python send: so many frames, evenly, once they are told to by a client."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable

FRAME = os.environ.get("FRAME", "")  # a count of our own, SEQ where its number goes
FIRST = 101  # so that every frame is as long as the others


async def beat(job: str, tell: Callable[[str], Awaitable[None]]) -> None:
    """Call `tell` with one text after the other, as the job (JSON: frames, interval) says."""
    asked = json.loads(job)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(asked["frames"]):
        await asyncio.sleep(max(0.0, began + number * asked["interval"] - loop.time()))
        await tell(FRAME.replace("SEQ", str(FIRST + number)))
