"""The pages. Each stands as written; with a slash behind it, it redirects."""

from django.urls import include, path, re_path
from django.views.generic import RedirectView

from web import embed, poll_pages, views

_WRITTEN = (
    r"p/[^/]+(?:/(?:results|present|qr\.png|qr\.svg))?",
    r"embed/[^/]+|oembed",
    r"accounts/[^/]+(?:/[^/]+){0,3}",
    r"desk(?:/[^/]+){0,3}",
    r"docs/(?:errors|protocol)",
    r"(?:swagger|asyncapi)\.json|swagger\.yaml",
)

urlpatterns = [
    path("", views.home, name="home"),
    path("p/<str:join_code>", poll_pages.poll, name="poll"),
    path("p/<str:join_code>/results", poll_pages.results, name="results"),
    path("p/<str:join_code>/present", poll_pages.present, name="present"),
    path("p/<str:join_code>/qr.png", poll_pages.qr_image, {"form": "png"}, name="qr.png"),
    path("p/<str:join_code>/qr.svg", poll_pages.qr_image, {"form": "svg"}, name="qr.svg"),
    path("embed/<str:join_code>", embed.poll, name="embed"),
    path("oembed", embed.describe, name="oembed"),
    path("docs/errors", views.errors, name="errors"),
    path("docs/protocol", views.protocol, name="protocol"),
    path("asyncapi.json", views.asyncapi, name="asyncapi"),
    path("accounts/", include("web.accounts.urls")),
    path("desk", include("web.desk.urls")),
    re_path(
        rf"^(?P<page>{'|'.join(_WRITTEN)})/$",
        RedirectView.as_view(url="/%(page)s", permanent=False, query_string=True),
    ),
]
