"""The stock Django way: a DRF view, the ORM in one transaction, and a group_send per vote.

Served by Daphne through Django's own ASGI handler. Counters move by F(), so nothing is selected
for update; the ORM knows no shared lock, which leaves this peer less to do than the others.
"""

import hashlib
import secrets
import uuid
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import IntegrityError, transaction
from django.db.models import F
from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from polls.models import (
    Ballot,
    Option,
    Participation,
    Poll,
    PollTally,
    Selection,
    Tally,
    TallyBucket,
)


class VoteSerializer(serializers.Serializer[Any]):
    """The body of a vote."""

    choices = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=1)


class VoteView(APIView):
    """Votes, one transaction each."""

    def post(self, request: Request, poll_id: uuid.UUID) -> Response:
        """Count one vote."""
        serializer = VoteSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        key = request.headers["Idempotency-Key"].encode()
        receipt = secrets.token_bytes(16)
        try:
            seq = _count(poll_id, serializer.validated_data["choices"][0], key, receipt)
        except IntegrityError:
            return Response({"code": "already_voted"}, status=409)
        if seq is None:
            return Response({"code": "poll_closed"}, status=409)
        layer = get_channel_layer()
        message = {"type": "tally", "poll": str(poll_id), "seq": seq}
        async_to_sync(layer.group_send)(f"poll_{poll_id.hex}", message)
        body = {"poll": str(poll_id), "receipt": receipt.hex(), "seq": seq}
        return Response(body, status=201)


def _count(poll_id: uuid.UUID, option_id: uuid.UUID, key: bytes, receipt: bytes) -> int | None:
    """Write the vote and return the poll's new seq, None where it takes no votes."""
    now = timezone.now()
    with transaction.atomic():
        poll = Poll.objects.get(pk=poll_id)
        if poll.status != "open" or (poll.closes_at and poll.closes_at <= now):
            return None
        option = Option.objects.get(pk=option_id, poll=poll)
        ballot_id = uuid.uuid4()
        Participation.objects.create(
            poll=poll,
            voter_key=hashlib.sha256(b"open:" + key).digest(),
            ballot_id=ballot_id,
            first_key_hash=hashlib.sha256(key).digest(),
            first_ballot_hash=hashlib.sha256(option_id.bytes).digest(),
        )
        Ballot.objects.create(poll=poll, id=ballot_id, receipt=receipt)
        Selection.objects.create(poll=poll, ballot_id=ballot_id, option=option)
        tally = PollTally.objects.filter(poll=poll)
        tally.update(seq=F("seq") + 1, ballots=F("ballots") + 1)
        Tally.objects.filter(poll=poll, option=option).update(votes=F("votes") + 1)
        at = now.replace(microsecond=0)
        TallyBucket.objects.get_or_create(poll=poll, option=option, at=at)
        TallyBucket.objects.filter(poll=poll, option=option, at=at).update(votes=F("votes") + 1)
        return tally.values_list("seq", flat=True).get()


urlpatterns = [path("api/v1/polls/<uuid:poll_id>/votes/", VoteView.as_view())]
