"""All paths that Django answers. WebSockets stand in realtime/routing.py."""

from django.contrib import admin
from django.urls import include, path
from django.views.decorators.cache import never_cache

from web.errors import refusals_as_pages

urlpatterns = [
    path("api/v1/", include("polls.api.urls")),
    # The admin knows no refusals, and whoever guesses at a password there is told of one.
    path("admin/login/", never_cache(refusals_as_pages(admin.site.login))),
    path("admin/", admin.site.urls),
    path("", include("polls.api.docs")),
    path("", include("web.urls")),
]

handler400 = "web.errors.bad_request"
handler403 = "web.errors.permission_denied"
handler404 = "web.errors.not_found"
handler500 = "web.errors.server_error"
