"""The paths of WebSockets."""

from channels.routing import URLRouter
from django.urls import path, re_path

from realtime.consumers import ManyPollsSocket, PollSocket, UnknownPath

websockets = URLRouter(
    [
        path("ws/polls/<uuid:poll_id>/", PollSocket.as_asgi()),
        path("ws/", ManyPollsSocket.as_asgi()),
        re_path(r"", UnknownPath.as_asgi()),
    ]
)
