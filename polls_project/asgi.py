"""One kind of process: what is hot is native, everything else is Django in threads."""

import gc
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "polls_project.settings.base")

from django.core.wsgi import get_wsgi_application

_django = get_wsgi_application()  # before the imports below, which need the apps

from django.conf import settings
from django.db.backends.signals import connection_created
from django.urls import get_resolver
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from polls.domain.deadline import bound_server_work
from polls.express import Express
from polls_project.cors import Cors
from polls_project.django_threads import DjangoThreads
from polls_project.gate import Gate
from polls_project.health import Health
from polls_project.own_files import OwnFiles
from realtime.routing import websockets
from realtime.runtime import runtime

connection_created.connect(bound_server_work)
# The views, which the first requests would import while all others wait for them.
get_resolver().reverse_dict  # noqa: B018 - made when it is asked for
# What is loaded by now stays: looking through it for garbage takes 15 ms, in the midst of votes.
gc.freeze()
# And the young are looked through after 10,000 new objects instead of 700: 4 µs less for a vote.
gc.set_threshold(10_000, 20, 20)
_gate = Gate(Express(), DjangoThreads(_django))
_health = Health()
_files = OwnFiles(settings.BASE_DIR / "web" / "static")


async def _route(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
    runtime.start()
    if scope["type"] == "websocket":
        await websockets(scope, receive, send)
    elif scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["path"] in {"/livez", "/readyz"}:
        await _health(scope, send)
    elif _files.knows(scope):
        await _files(scope, send)
    else:
        await _gate(scope, receive, send)


async def _lifespan(receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await runtime.stop()
    await _gate.close()
    await send({"type": "lifespan.shutdown.complete"})


application: Any = _route
if settings.CORS_ALLOWED_ORIGINS:
    application = Cors(
        application,
        allow_origins=settings.CORS_ALLOWED_ORIGINS,
        allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=[
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
            "If-None-Match",
            "X-Voter-Code",
            "X-Voter-Token",
        ],
        expose_headers=["ETag", "Idempotent-Replayed", "Location", "Retry-After", "X-Request-ID"],
        max_age=600,
    )
if settings.TRUSTED_PROXIES:
    application = ProxyHeadersMiddleware(application, trusted_hosts=settings.TRUSTED_PROXIES)
