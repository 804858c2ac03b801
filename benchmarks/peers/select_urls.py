"""A Django view that does one SELECT by primary key, behind the service's gate and threads."""

import uuid

from django.http import HttpRequest, JsonResponse
from django.urls import include, path

from polls.models import PollTally


def select(_: HttpRequest, poll_id: uuid.UUID) -> JsonResponse:
    """Return one row."""
    row = PollTally.objects.get(pk=poll_id)
    return JsonResponse({"poll": str(row.poll_id), "seq": row.seq, "ballots": row.ballots})


urlpatterns = [
    path("select/<uuid:poll_id>/", select),
    path("", include("polls_project.urls")),
]
