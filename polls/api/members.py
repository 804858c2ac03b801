"""Members of a poll, and the polls of which the caller is one."""

import uuid
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from polls.api import examples, serializers
from polls.api.authentication import signed_in, viewer_of
from polls.api.base import View, created, no_content
from polls.api.paging import CURSOR, NewestFirst
from polls.api.representations import shared_poll_bodies
from polls.api.schema import operation
from polls.domain import lifecycle, members
from polls.domain.access import (
    Viewer,
    access_poll_for_member,
    access_poll_for_owner,
    polls_shared_with,
)
from polls.errors import Code
from polls.models import Member

_OWNERS = (Code.AUTHENTICATION_REQUIRED, Code.CSRF_FAILED, Code.NOT_FOUND)
_A_MEMBER: Any = ("The member", serializers.Member, examples.MEMBER)


class SharedPollsView(View):
    """The polls of others in which the caller has a role."""

    @operation(
        "List the polls that others share with you, newest first",
        tag="members",
        description="Those of which you are an organiser or a viewer; a viewer finds no drafts.",
        answers={
            200: (
                "A page of them",
                serializers.PollPage,
                {
                    "results": [{**examples.POLL, "role": "organiser"}],
                    "next": None,
                    "previous": None,
                },
            )
        },
        parameters=[CURSOR],
        errors=[Code.AUTHENTICATION_REQUIRED],
        public=False,
    )
    def get(self, request: Request) -> Response:
        """List polls by cursor."""
        member = Viewer(signed_in(request).pk)
        lifecycle.settle_due_polls(member_id=member.user_id)
        pages = NewestFirst()
        polls = polls_shared_with(member).select_related("owner", "tally")
        page = pages.paginate_queryset(polls.prefetch_related("options"), request, view=self) or []
        return pages.get_paginated_response(shared_poll_bodies(page, member))


class MembersView(View):
    """A poll's members."""

    @operation(
        "List a poll's members",
        tag="members",
        description="For the owner and the members.",
        answers={200: ("Them", serializers.Members, {"results": [examples.MEMBER]})},
        errors=[Code.AUTHENTICATION_REQUIRED, Code.NOT_FOUND],
        public=False,
    )
    def get(self, request: Request, poll_id: uuid.UUID) -> Response:
        """List members in the order of their names."""
        poll = access_poll_for_member(poll_id, viewer_of(request))
        return Response({"results": [_member_body(one) for one in members.members_of(poll.id)]})


class MemberView(View):
    """One member of a poll."""

    invalid_code = Code.INVALID_MEMBER

    @operation(
        "Make somebody a member, or give a member another role",
        tag="members",
        body=serializers.MemberInput,
        body_example={"role": "organiser"},
        description="For the owner. An `organiser` may do whatever the owner may with this poll, "
        "but delete it and change its members; a `viewer` may see its results whatever its rule. "
        "Where nobody may register, names that nobody has are limited.",
        answers={200: _A_MEMBER, 201: _A_MEMBER},
        errors=[*_OWNERS, Code.INVALID_MEMBER, Code.TOO_MANY],
        public=False,
    )
    def put(self, request: Request, poll_id: uuid.UUID, username: str) -> Response:
        """Give an account a role."""
        poll = access_poll_for_owner(poll_id, viewer_of(request))
        role = self.read(request, serializers.MemberInput).validated_data["role"]
        member, new = members.set_member(poll.id, poll.owner_id, username, role)
        body = _member_body(member)
        return created(body) if new else Response(body)

    @operation(
        "Take somebody's role away, or leave a poll",
        tag="members",
        description="For the owner, and for the member themself. It counts at once, on open "
        "sockets too.",
        answers={204: ("They have no role any more", None, None)},
        errors=_OWNERS,
        public=False,
    )
    def delete(self, request: Request, poll_id: uuid.UUID, username: str) -> Response:
        """Take a role away."""
        caller = Viewer(signed_in(request).pk)
        poll = access_poll_for_member(poll_id, caller)
        if not members.is_called(signed_in(request).pk, username):
            access_poll_for_owner(poll_id, caller)
        self.no_body(request)
        members.remove_member(poll.id, username)
        return no_content()


def _member_body(member: Member) -> dict[str, str]:
    return {"username": member.user.username, "role": member.role}
