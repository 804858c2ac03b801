"""Events: making, reading, changing and deleting them."""

import uuid
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from polls.api import examples, serializers
from polls.api.authentication import signed_in, viewer_of
from polls.api.base import View, created, no_content
from polls.api.paging import CURSOR, NewestFirst
from polls.api.representations import event_bodies, event_body
from polls.api.schema import operation
from polls.domain import agenda
from polls.domain.access import Viewer, access_event, access_event_for_owner
from polls.errors import Code
from polls.models import Event

_OWNERS = (Code.AUTHENTICATION_REQUIRED, Code.CSRF_FAILED, Code.NOT_FOUND)
_AN_EVENT: Any = ("The event", serializers.Event, examples.EVENT)


class EventsView(View):
    """The caller's events."""

    invalid_code = Code.INVALID_EVENT

    @operation(
        "List your events, newest first",
        tag="events",
        answers={
            200: (
                "A page of them",
                serializers.EventPage,
                {"results": [examples.EVENT], "next": None, "previous": None},
            )
        },
        parameters=[CURSOR],
        errors=[Code.AUTHENTICATION_REQUIRED],
        public=False,
    )
    def get(self, request: Request) -> Response:
        """List events by cursor."""
        owner = signed_in(request)
        pages = NewestFirst()
        events = Event.objects.filter(owner=owner).select_related("owner")
        page = pages.paginate_queryset(events, request, view=self) or []
        return pages.get_paginated_response(event_bodies(page, Viewer(owner.pk)))

    @operation(
        "Make an event",
        tag="events",
        body=serializers.EventInput,
        body_example=examples.NEW_EVENT,
        description="Only `title` is needed. `polls` are your own, in the order in which they are "
        "to be shown; a poll is in one event at most.",
        answers={201: _AN_EVENT},
        errors=[Code.AUTHENTICATION_REQUIRED, Code.CSRF_FAILED, Code.INVALID_EVENT],
        public=False,
    )
    def post(self, request: Request) -> Response:
        """Make an event."""
        owner = signed_in(request)
        given = self.read(request, serializers.EventInput).validated_data
        event = agenda.create_event(owner, **given)
        response = created(event_body(event, Viewer(owner.pk)))
        response.headers["Location"] = f"/api/v1/events/{event.id}/"
        return response


class EventView(View):
    """One event."""

    invalid_code = Code.INVALID_EVENT

    @operation(
        "Read an event",
        tag="events",
        description="Whoever is not the owner does not see drafts: they are not among `polls`, and "
        "`current` is null while it is one.",
        answers={200: _AN_EVENT},
        errors=[Code.AUTHENTICATION_REQUIRED, Code.NOT_FOUND],
    )
    def get(self, request: Request, event_id: uuid.UUID) -> Response:
        """Read an event."""
        viewer = viewer_of(request)
        return Response(event_body(access_event(event_id), viewer))

    @operation(
        "Change an event, or show another of its polls",
        tag="events",
        body=serializers.EventChanges,
        body_example={"current": None},
        description="`polls` replaces the whole order, and `current` must be one of them.",
        answers={200: _AN_EVENT},
        errors=[*_OWNERS, Code.INVALID_EVENT],
        public=False,
    )
    def patch(self, request: Request, event_id: uuid.UUID) -> Response:
        """Change title, order or what is shown."""
        viewer = viewer_of(request)
        event = access_event_for_owner(event_id, viewer)
        agenda.edit_event(event.id, self.read(request, serializers.EventChanges).validated_data)
        return Response(event_body(access_event(event_id), viewer))

    @operation(
        "Delete an event; its polls stay",
        tag="events",
        answers={204: ("It is gone", None, None)},
        errors=_OWNERS,
        public=False,
    )
    def delete(self, request: Request, event_id: uuid.UUID) -> Response:
        """Delete an event."""
        event = access_event_for_owner(event_id, viewer_of(request))
        self.no_body(request)
        agenda.delete_event(event.id)
        return no_content()
