"""The paths of WebSockets."""

from channels.routing import URLRouter
from django.urls import path, re_path

from realtime.consumers import ManyPollsSocket, PollSocket, UnknownPath
from realtime.event_socket import EventSocket

websockets = URLRouter(
    [
        path("ws/polls/<uuid:poll_id>/", PollSocket.as_asgi()),
        path("ws/events/<uuid:event_id>/", EventSocket.as_asgi()),
        path("ws/", ManyPollsSocket.as_asgi()),
        re_path(r"", UnknownPath.as_asgi()),
    ]
)
