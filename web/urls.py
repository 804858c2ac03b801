"""The pages. Each stands as written; with a slash behind it, it redirects."""

from django.urls import path, re_path
from django.views.generic import RedirectView

from web import views

urlpatterns = [
    path("", views.home, name="home"),
    path("p/<str:join_code>", views.poll, name="poll"),
    path("docs/errors", views.errors, name="errors"),
    path("docs/protocol", views.protocol, name="protocol"),
    path("asyncapi.json", views.asyncapi, name="asyncapi"),
    re_path(
        r"^(?P<page>p/[^/]+|docs/errors|docs/protocol|(?:swagger|asyncapi)\.json|swagger\.yaml)/$",
        RedirectView.as_view(url="/%(page)s", permanent=False),
    ),
]
