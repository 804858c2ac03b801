"""Swagger UI, ReDoc and the schema."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import RedirectView
from drf_yasg import openapi
from drf_yasg.renderers import SwaggerJSONRenderer, SwaggerYAMLRenderer
from drf_yasg.views import get_schema_view

from polls.api.parsers import AlwaysJSON
from polls.api.schema import PollsSchemaGenerator

_DESCRIPTION = """
Polls with live results. A vote that is answered 201 is committed and counted once.

- **Vote**: `POST /api/v1/voters/` for a token, then `POST /api/v1/polls/{id}/votes/` with it as
  `X-Voter-Token` and a random `Idempotency-Key`, which makes retries safe.
- **Watch**: open a WebSocket at `/ws/polls/{id}/`; [/docs/protocol](/docs/protocol) tells its
  frames.
- **Organise**: register, exchange the password for a token, send it as `Authorization: Bearer …`.

Errors are `application/problem+json`; each `code` is explained at [/docs/errors](/docs/errors).
"""


class _ByFormat(AlwaysJSON):
    """The pages fetch the schema from their own path, as `?format=openapi`."""

    def select_renderer(
        self,
        request: Any,  # noqa: ANN401 - DRF's signature
        renderers: Any,  # noqa: ANN401 - the same
        format_suffix: str | None = None,
    ) -> tuple[Any, str]:
        """Return the renderer of that format, else the first."""
        del format_suffix
        wanted = request.query_params.get("format")
        renderer = next((r for r in renderers if r.format == wanted), renderers[0])
        return renderer, renderer.media_type


class _SchemaView(
    get_schema_view(  # type: ignore[misc] # drf-yasg is untyped
        openapi.Info(title="Polls", default_version="v1", description=_DESCRIPTION),
        public=True,
        generator_class=PollsSchemaGenerator,
        authentication_classes=(),
        permission_classes=(),
    )
):
    content_negotiation_class = _ByFormat
    http_method_names = ["get", "head"]


# The two pages write styles at run time, and ReDoc works in a blob; no inline script runs.
_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; worker-src blob:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


class _JsonView(_SchemaView):
    renderer_classes = (SwaggerJSONRenderer,)


class _YamlView(_SchemaView):
    renderer_classes = (SwaggerYAMLRenderer,)


def _page(name: str) -> Callable[[HttpRequest], HttpResponse]:
    view = _SchemaView.with_ui(name)

    @csrf_exempt  # nothing is written, so another method is refused as such
    def page(request: HttpRequest) -> HttpResponse:
        response: HttpResponse = view(request)
        response.headers["Content-Security-Policy"] = _POLICY
        return response

    return page


urlpatterns = [
    path("swagger/", _page("swagger")),
    path("redoc/", _page("redoc")),
    path("swagger.json", _JsonView.as_view()),
    path("swagger.yaml", _YamlView.as_view()),
    path("swagger", RedirectView.as_view(url="/swagger/")),
    path("redoc", RedirectView.as_view(url="/redoc/")),
]
