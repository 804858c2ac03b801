"""All paths that Django answers. WebSockets stand in realtime/routing.py."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("api/v1/", include("polls.api.urls")),
    path("admin/", admin.site.urls),
    path("", include("polls.api.docs")),
    path("", include("web.urls")),
]

handler400 = "web.errors.bad_request"
handler403 = "web.errors.permission_denied"
handler404 = "web.errors.not_found"
# allauth's name for whoever tries too often
handler429 = "web.errors.too_many"
handler500 = "web.errors.server_error"
