"""The socket of an event: it follows whichever of its polls is shown."""

import uuid

from polls.domain import tickets
from polls.domain.now_showing import Showing
from polls.errors import Code, Refusal
from realtime.client_frames import Wanted, read_view
from realtime.consumers import SeveralPolls
from realtime.frames import Frame
from realtime.runtime import runtime


class EventSocket(SeveralPolls):
    """`/ws/events/{id}/`: what the event shows, and then that poll as on a subscription to it.

    What becomes of one poll does not end it: the next one may be shown any time.
    """

    _wants_status = False
    _shown: uuid.UUID | None = None  # whose frames these are, if there are any

    @property
    def _event_id(self) -> uuid.UUID:
        event_id: uuid.UUID = self.scope["url_route"]["kwargs"]["event_id"]
        return event_id

    async def begin(self, query_string: bytes) -> None:
        """Follow the event of the path."""
        self._wants_status = read_view(query_string)
        runtime.hub.shows.join(self._event_id, self)

    def part(self) -> None:
        """Hear no more of the event, nor of its poll."""
        runtime.hub.shows.leave(self._event_id, self)
        super().part()

    async def authenticate(self, ticket: tickets.Ticket) -> None:
        """Ask anew where the ticket is for the poll that is shown, even if it was refused before.

        Else it is kept until one of its polls is shown.
        """
        await super().authenticate(ticket)
        if self._shown in ticket.polls and not self.subscriptions():
            self._follow()

    def show(self, showing: Showing, frame: Frame) -> None:
        """Tell what the event shows now; the frames of another poll end before (Shows' call)."""
        before, self._shown = self._shown, showing.poll_id
        if before is not None and before != self._shown:
            self.drop(before)
            self.outbox.forget(before)  # an error, perhaps, whose subscription has ended
        self.outbox.post(self._event_id, frame)
        if before != self._shown:
            self._follow()

    def _follow(self) -> None:
        if self._shown is not None:
            subscription = self.subscribe(Wanted(self._shown, wants_status=self._wants_status))
            if subscription is not None:
                self.spawn(subscription.join())

    def gone(self) -> None:
        """End: there is no such event, or no longer (Shows' call)."""
        self.spawn(self.end_with(Refusal(Code.NOT_FOUND)))

    def unavailable(self) -> None:
        """End: the database does not answer (Shows' call)."""
        self.spawn(self.end_with(Refusal(Code.UNAVAILABLE)))
