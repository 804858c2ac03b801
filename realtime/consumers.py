"""The consumers: sockets of one poll and of many, and what is at any other path."""

import asyncio
import uuid
from typing import Any

from channels.consumer import AsyncConsumer
from django.conf import settings

from polls.domain import tickets
from polls.errors import Code, Refusal
from realtime import frames, handshake
from realtime.admission import Asker
from realtime.client_frames import ClientFrame, Subscribe, Unsubscribe, Wanted, read_query
from realtime.frames import Close, Frame
from realtime.lines import Send
from realtime.sockets import Socket
from realtime.subscription import Subscription


class PollSocket(Socket):
    """`/ws/polls/{id}/`: one subscription, and the socket ends with it."""

    _subscription: Subscription | None = None

    @property
    def _poll_id(self) -> uuid.UUID:
        poll_id: uuid.UUID = self.scope["url_route"]["kwargs"]["poll_id"]
        return poll_id

    async def begin(self, query_string: bytes) -> None:
        """Subscribe to the poll of the path."""
        since, wants_status = read_query(query_string)
        self._subscription = Subscription(
            self, self._poll_id, self.asker, since=since, wants_status=wants_status
        )
        self._subscription.watch()
        await self._subscription.join()

    def ticket_came(self) -> None:
        """Let the poll wait for what the ticket says."""
        if self._subscription is not None:
            self._subscription.ticket_came()

    async def authenticate(self, ticket: tickets.Ticket) -> None:
        """Ask anew for the ticket's voter, or for the cookie's where it is for other polls."""
        if self._subscription is None:
            return
        if self._poll_id in ticket.polls:
            await self._subscription.speak_for(_asker_of(ticket))
        else:
            await self._subscription.go_without()

    def heartbeat(self) -> Frame:
        """Return a heartbeat that tells the seq to whoever may know it."""
        return frames.heartbeat(None if self._subscription is None else self._subscription.seq)

    def subscriptions(self) -> list[Subscription]:
        """Return the one there is."""
        return [] if self._subscription is None else [self._subscription]

    async def end_with(self, refusal: Refusal, poll_id: uuid.UUID | None = None) -> None:
        """Say why, naming the poll, then close."""
        await super().end_with(refusal, poll_id or self._poll_id)

    async def refuse(self, subscription: Subscription, refusal: Refusal) -> None:
        """Say why and close (the subscription's call)."""
        await self.end_with(refusal, subscription.poll_id)

    async def finish(self, subscription: Subscription) -> None:
        """Close after the last frame (the subscription's call)."""
        del subscription
        await self._end(Close.NORMAL)


class SeveralPolls(Socket):
    """A socket that outlives each of its subscriptions: one poll's end, or refusal, is its own."""

    def __init__(self) -> None:
        super().__init__()
        self._polls: dict[uuid.UUID, Subscription] = {}
        self._named: dict[uuid.UUID, Asker] = {}  # by tickets: who asks for which poll

    def subscribe(self, wanted: Wanted) -> Subscription | None:
        """Return a new subscription, in the place of one there was to the same poll."""
        self.drop(wanted.poll_id)
        if len(self._polls) >= settings.MAX_SOCKET_POLLS:
            detail = f"A socket has {settings.MAX_SOCKET_POLLS} polls at most."
            self.outbox.post(wanted.poll_id, frames.error(Code.TOO_MANY, detail, wanted.poll_id))
            return None
        subscription = Subscription(
            self,
            wanted.poll_id,
            self._named.get(wanted.poll_id, self.asker),
            since=wanted.since,
            wants_status=wanted.wants_status,
        )
        self._polls[wanted.poll_id] = subscription
        subscription.watch()
        return subscription

    def drop(self, poll_id: uuid.UUID) -> None:
        """Follow a poll no longer, and say nothing more of it."""
        subscription = self._polls.pop(poll_id, None)
        if subscription is not None:
            subscription.leave()
            self.outbox.forget(poll_id)

    def ticket_came(self) -> None:
        """Let the polls wait for what the ticket says: it may be for any of them."""
        for subscription in self._polls.values():
            subscription.ticket_came()

    async def authenticate(self, ticket: tickets.Ticket) -> None:
        """Ask anew for the polls that the ticket names; the others wait for another."""
        asker = _asker_of(ticket)
        for poll_id in ticket.polls:
            self._named.pop(poll_id, None)
            self._named[poll_id] = asker
        while len(self._named) > settings.MAX_SOCKET_POLLS:
            del self._named[next(iter(self._named))]  # the oldest; its subscription has its own
        standing = list(self._polls.values())
        await asyncio.gather(
            *(one.speak_for(asker) for one in standing if one.poll_id in ticket.polls)
        )
        for subscription in standing:
            subscription.wait_again()

    def heartbeat(self) -> Frame:
        """Return a heartbeat; one seq would say nothing of many polls."""
        return frames.heartbeat(None)

    def subscriptions(self) -> list[Subscription]:
        """Return all there are."""
        return list(self._polls.values())

    async def refuse(self, subscription: Subscription, refusal: Refusal) -> None:
        """Say why and drop the one poll (the subscription's call)."""
        await self.finish(subscription)
        poll_id = subscription.poll_id
        # In the place of the poll's last frame, and for another to take if it is wanted again.
        self.outbox.post(poll_id, frames.error(refusal.code, refusal.detail, poll_id))

    async def finish(self, subscription: Subscription) -> None:
        """Drop the one poll, whose last frame may still wait (the subscription's call)."""
        if self._polls.get(subscription.poll_id) is subscription:
            del self._polls[subscription.poll_id]
        subscription.leave()


class ManyPollsSocket(SeveralPolls):
    """`/ws/`: subscriptions come and go, and the socket stays."""

    of_many = True

    async def begin(self, query_string: bytes) -> None:
        """Wait for the client to say what it wants."""
        if query_string:
            raise Refusal(Code.MALFORMED, "Here `since` and `view` stand in a `subscribe`.")

    async def hear(self, frame: ClientFrame) -> None:
        """Subscribe or unsubscribe; the next frame is read when the polls have been."""
        if isinstance(frame, Subscribe):
            joining = [self.subscribe(wanted) for wanted in frame.polls]
            await asyncio.gather(*(one.join() for one in joining if one is not None))
        elif isinstance(frame, Unsubscribe):
            for poll_id in frame.polls:
                self.drop(poll_id)


def _asker_of(ticket: tickets.Ticket) -> Asker:
    return Asker(ticket.viewer, ticket.token_id, ticket.session_key)


class UnknownPath(AsyncConsumer):  # type: ignore[misc] # the same
    """A path that no socket answers on: refused as an unknown poll."""

    channel_layer_alias = None

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:  # noqa: ANN401 - ASGI
        """Accept, say so and close, for a refusal before accepting carries no code."""
        await receive()
        if handshake.judge_origin(scope) is not handshake.Origin.REFUSED:
            await send({"type": "websocket.accept"})
            await send(frames.error(Code.NOT_FOUND).message)
        await send({"type": "websocket.close", "code": Close.after(Code.NOT_FOUND)})
