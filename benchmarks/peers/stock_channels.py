"""Channels as its tutorial has it: a consumer a socket, one group, and a group_send per count."""

import asyncio
import json
import os
from typing import Any

import django
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter
from django.conf import settings

from benchmarks.peers.beat import beat

settings.configure(
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [os.environ["REDIS_URL"]], "prefix": f"stock-{os.getpid()}"},
        }
    }
)
django.setup()
_GROUP = "poll"


class Dashboard(AsyncJsonWebsocketConsumer):  # type: ignore[misc] # Channels is untyped
    """A dashboard of the one poll there is."""

    async def connect(self) -> None:
        """Join the group."""
        await self.channel_layer.group_add(_GROUP, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        """Leave it."""
        del code
        await self.channel_layer.group_discard(_GROUP, self.channel_name)

    async def receive_json(self, content: Any) -> None:  # noqa: ANN401 - JSON
        """Take a job."""
        self._beat = asyncio.create_task(beat(json.dumps(content), self._tell))

    async def _tell(self, text: str) -> None:
        await self.channel_layer.group_send(_GROUP, {"type": "tally", "count": json.loads(text)})

    async def tally(self, event: dict[str, Any]) -> None:
        """Send a count on."""
        await self.send_json(event["count"])

    @classmethod
    async def encode_json(cls, content: Any) -> str:  # noqa: ANN401 - the same
        """Return the text that the other peers send: without blanks."""
        return json.dumps(content, separators=(",", ":"))


app = ProtocolTypeRouter({"websocket": Dashboard.as_asgi()})
