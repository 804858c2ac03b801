"""The tables of polls and events. Every hot key starts with the poll, so it can be split by that.

Django has no composite foreign keys: those between ballots, selections, options and tallies are
written by hand in migration 0002, an event's in 0003, and tests/polls/test_constraints.py reads
them back from both databases. Foreign keys that Django would add to the hot tables but that hold no
promise are left out (`db_constraint=False`); docs/decisions/0003-constraints.md says which and why.
"""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from polls.enums import SCHEDULED, Identity, Kind, Role, Secrecy, Status, Visibility


def _one_of(field: str, values: type[models.TextChoices]) -> models.CheckConstraint:
    """Return the constraint that a column holds a word of its vocabulary."""
    return models.CheckConstraint(
        condition=Q(**{f"{field}__in": values.values}), name=f"poll_{field}_known"
    )


def status_as_read(status: str, opened_at: datetime | None) -> str:
    """Return the status that goes over the wire: an open poll that has not opened is scheduled."""
    return SCHEDULED if status == Status.OPEN and opened_at is None else str(status)


# What is open and whose time to open or close has come, by the database's clock.
_DUE = Q(status=Status.OPEN) & (Q(closes_at__lte=Now()) | Q(opened_at=None, opens_at__lte=Now()))
IS_DUE = Coalesce(_DUE, Value(False), output_field=models.BooleanField())  # noqa: FBT003 - SQL's


class PollQuerySet(models.QuerySet["Poll"]):
    """Filters that more than one caller needs."""

    def standing(self) -> "PollQuerySet":
        """Return the polls that nobody has deleted."""
        return self.filter(deleted_at=None)

    def due(self) -> "PollQuerySet":
        """Open polls whose opening or closing time has come, by the database's clock."""
        return self.standing().filter(_DUE)


class Poll(models.Model):
    """A question: its definition, its rules and where it stands."""

    # Set by whoever creates the row: migrations import nothing of the app.
    id = models.UUIDField(primary_key=True, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="polls", db_index=False
    )
    join_code = models.CharField(max_length=6, unique=True, editable=False)
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True, max_length=10_000)
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.SINGLE)
    min_selections = models.PositiveSmallIntegerField(default=1)
    max_selections = models.PositiveSmallIntegerField(default=1)
    identity = models.CharField(max_length=7, choices=Identity.choices, default=Identity.DEVICE)
    # How many voters one network may have; null is any number.
    network_cap = models.PositiveIntegerField(null=True, blank=True)
    secrecy = models.CharField(max_length=12, choices=Secrecy.choices, default=Secrecy.CONFIDENTIAL)
    results_visibility = models.CharField(
        max_length=11, choices=Visibility.choices, default=Visibility.ALWAYS
    )
    allow_change = models.BooleanField(default=False)
    embed_origins = models.JSONField(default=list, blank=True)
    status = models.CharField(max_length=6, choices=Status.choices, default=Status.OPEN)
    opens_at = models.DateTimeField(null=True, blank=True)
    closes_at = models.DateTimeField(null=True, blank=True)
    # Raised by every change of the definition; a ballot is only counted under the one it was
    # checked against.
    revision = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    opened_at = models.DateTimeField(null=True, editable=False)
    closed_at = models.DateTimeField(null=True, editable=False)
    # When the rows of a secret poll were put into an order that says nothing.
    shuffled_at = models.DateTimeField(null=True, editable=False)
    certified_at = models.DateTimeField(null=True, editable=False)
    # Since when nobody can tell whose vote was whose, for there is no PollKey any more.
    key_destroyed_at = models.DateTimeField(null=True, editable=False)
    deleted_at = models.DateTimeField(null=True, editable=False)

    objects = PollQuerySet.as_manager()

    class Meta:
        """Rules that no code path, the admin's included, can break."""

        indexes = [
            models.Index(fields=["owner", "-created_at", "-id"], name="poll_by_owner"),
            # The sweep asks every second in every process: these hold open polls only.
            models.Index(
                fields=["closes_at"], name="poll_to_close", condition=Q(status=Status.OPEN)
            ),
            models.Index(
                fields=["opens_at"],
                name="poll_to_open",
                condition=Q(status=Status.OPEN, opened_at=None),
            ),
            models.Index(
                fields=["closed_at"],
                name="poll_to_certify",
                condition=Q(status=Status.CLOSED, certified_at=None),
            ),
            models.Index(
                fields=["closed_at"],
                name="poll_key_to_destroy",
                condition=Q(certified_at__isnull=False, key_destroyed_at=None, deleted_at=None),
            ),
            models.Index(
                fields=["closed_at"],
                name="poll_to_expire",
                condition=Q(closed_at__isnull=False, deleted_at=None),
            ),
            models.Index(
                fields=["deleted_at"], name="poll_to_purge", condition=Q(deleted_at__isnull=False)
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(closes_at__gt=F("opens_at")) | Q(opens_at=None) | Q(closes_at=None),
                name="poll_closes_after_it_opens",
            ),
            models.CheckConstraint(condition=~Q(title=""), name="poll_has_a_title"),
            models.CheckConstraint(
                condition=Q(min_selections__gte=1, max_selections__gte=F("min_selections")),
                name="poll_selections_possible",
            ),
            models.CheckConstraint(
                condition=~Q(kind=Kind.SINGLE) | Q(max_selections=1), name="poll_single_is_one"
            ),
            models.CheckConstraint(
                condition=~Q(identity=Identity.OPEN)
                | Q(allow_change=False) & ~Q(results_visibility=Visibility.AFTER_VOTE),
                name="poll_open_identity_keeps_no_voter",
            ),
            models.CheckConstraint(
                condition=~Q(secrecy=Secrecy.SECRET) | Q(allow_change=False),
                name="poll_secret_cannot_change",
            ),
            models.CheckConstraint(
                condition=Q(network_cap=None) | Q(identity=Identity.DEVICE, network_cap__gte=1),
                name="poll_network_cap_is_of_devices",
            ),
            models.CheckConstraint(
                condition=Q(status=Status.CLOSED, closed_at__isnull=False)
                | ~Q(status=Status.CLOSED) & Q(closed_at=None),
                name="poll_closed_has_its_time",
            ),
            models.CheckConstraint(
                condition=~Q(status=Status.DRAFT) | Q(opened_at=None), name="poll_draft_unopened"
            ),
            models.CheckConstraint(
                condition=Q(certified_at=None) | Q(status=Status.CLOSED),
                name="poll_certified_is_closed",
            ),
            models.CheckConstraint(
                condition=Q(shuffled_at=None) | Q(status=Status.CLOSED, secrecy=Secrecy.SECRET),
                name="poll_shuffled_is_closed",
            ),
            models.CheckConstraint(
                condition=Q(certified_at=None)
                | Q(shuffled_at__isnull=False)
                | ~Q(secrecy=Secrecy.SECRET),
                name="poll_secret_is_shuffled_first",
            ),
            _one_of("kind", Kind),
            _one_of("identity", Identity),
            _one_of("secrecy", Secrecy),
            _one_of("results_visibility", Visibility),
            _one_of("status", Status),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def has_a_time(self) -> bool:
        """Whether it may open or close by itself; the database's clock says if it is due."""
        return self.status == Status.OPEN and (self.closes_at is not None or self.opened_at is None)

    @property
    def is_closed(self) -> bool:
        """Whether the count is final."""
        return self.status == Status.CLOSED

    @property
    def status_now(self) -> str:
        """The status as everybody reads it: draft, scheduled, open or closed."""
        return status_as_read(self.status, self.opened_at)


class Option(models.Model):
    """One of a poll's answers."""

    id = models.UUIDField(primary_key=True, editable=False)
    poll = models.ForeignKey(Poll, on_delete=models.CASCADE, related_name="options", db_index=False)
    text = models.CharField(max_length=200)
    # What polls.text.normalised() makes of it; NFKC can make a text 18 times as long.
    normalised_text = models.CharField(max_length=3600, editable=False)
    position = models.PositiveSmallIntegerField()

    class Meta:
        """Options of one poll look different; (poll, id) is what ballots refer to."""

        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["poll", "normalised_text"], name="option_text_unique"),
            models.UniqueConstraint(fields=["poll", "id"], name="option_of_its_poll"),
            models.UniqueConstraint(fields=["poll", "position"], name="option_position_unique"),
            models.CheckConstraint(condition=~Q(normalised_text=""), name="option_has_a_text"),
        ]

    def __str__(self) -> str:
        return self.text


def _of_poll() -> "models.ForeignKey[Poll, Poll]":
    """Return the leading column of a hot table: no constraint and no index of its own."""
    return models.ForeignKey(
        Poll,
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )


def _of_option() -> "models.ForeignKey[Option, Option]":
    """Return the column for an option of the poll; a composite key ties it to that."""
    return models.ForeignKey(
        Option,
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )


class Participation(models.Model):
    """That a voter took part. Its primary key is the one-vote rule.

    In secret polls all but the key is null. In others `ballot_id` is null once the vote has been
    withdrawn.
    """

    pk = models.CompositePrimaryKey("poll_id", "voter_key")
    poll = _of_poll()
    # 32 bytes: HMAC of the identity under the poll's own key
    voter_key = models.BinaryField(max_length=32)
    ballot_id = models.UUIDField(null=True)
    # SHA-256 of the first Idempotency-Key and of the canonical ballot that came with it
    first_key_hash = models.BinaryField(max_length=32, null=True)
    first_ballot_hash = models.BinaryField(max_length=32, null=True)
    # The same two of each change since, 64 bytes each, the latest last; null where none was made.
    change_hashes = models.BinaryField(null=True)
    # The second in whose bucket the ballot counts, where it may be changed.
    counted_at = models.DateTimeField(null=True)


class Ballot(models.Model):
    """One cast ballot. It knows no voter."""

    pk = models.CompositePrimaryKey("poll_id", "id")
    poll = _of_poll()
    id = models.UUIDField(editable=False)
    receipt = models.BinaryField(max_length=16)


class Selection(models.Model):
    """One mark on a ballot. Composite foreign keys tie it to its ballot and its poll's option."""

    pk = models.CompositePrimaryKey("poll_id", "ballot_id", "option_id")
    poll = _of_poll()
    ballot_id = models.UUIDField()
    option = _of_option()
    value = models.SmallIntegerField(null=True)

    class Meta:
        """The recount reads this index alone."""

        indexes = [
            models.Index(fields=["poll", "option"], include=["value"], name="selection_count")
        ]


class PollTally(models.Model):
    """How many ballots a poll has, and the version of everything that is said of it."""

    poll = models.OneToOneField(
        Poll, on_delete=models.CASCADE, primary_key=True, related_name="tally"
    )
    seq = models.PositiveBigIntegerField(default=1)
    ballots = models.PositiveBigIntegerField(default=0)


class Tally(models.Model):
    """How many ballots mark an option; moved once per flush, in the votes' own transaction."""

    pk = models.CompositePrimaryKey("poll_id", "option_id")
    poll = _of_poll()
    option = _of_option()
    votes = models.PositiveBigIntegerField(default=0)
    points = models.BigIntegerField(null=True)


class TallyBucket(models.Model):
    """How many ballots that mark an option were cast in one second."""

    pk = models.CompositePrimaryKey("poll_id", "at", "option_id")
    poll = _of_poll()
    at = models.DateTimeField()
    option = _of_option()
    votes = models.PositiveBigIntegerField(default=0)


class BallotBucket(models.Model):
    """How many ballots of a secret poll were cast in one second: few are not told apart."""

    pk = models.CompositePrimaryKey("poll_id", "at")
    poll = _of_poll()
    at = models.DateTimeField()
    ballots = models.PositiveBigIntegerField(default=0)


class NetworkCount(models.Model):
    """How many voters of a poll came from one network, of which its HMAC is kept."""

    pk = models.CompositePrimaryKey("poll_id", "network")
    poll = _of_poll()
    network = models.BinaryField(max_length=32)
    n = models.PositiveIntegerField()
    cap = models.PositiveIntegerField()

    class Meta:
        """The poll's cap stands in each row, for the database to hold it."""

        constraints = [
            models.CheckConstraint(condition=Q(n__lte=F("cap")), name="network_within_its_cap")
        ]


class PollKey(models.Model):
    """The bytes behind voter keys and receipts; apart, so that they can be destroyed."""

    poll = models.OneToOneField(
        Poll, on_delete=models.CASCADE, primary_key=True, related_name="key"
    )
    key = models.BinaryField(max_length=32)
    # What codes are known by: a reset gives the poll another key, and its codes stay good.
    code_key = models.BinaryField(max_length=32, null=True)


class VotingCode(models.Model):
    """A code that lets one person vote in a poll, as its HMAC."""

    pk = models.CompositePrimaryKey("poll_id", "code_hash")
    poll = models.ForeignKey(Poll, on_delete=models.CASCADE, related_name="+", db_index=False)
    code_hash = models.BinaryField(max_length=32)


class LiveTicket(models.Model):
    """Leave to open one WebSocket as somebody; used up by its DELETE."""

    ticket_hash = models.BinaryField(max_length=32, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True)
    # By what the user was signed in when it was drawn: the ticket counts no longer than that.
    token = models.ForeignKey("accounts.ApiToken", on_delete=models.CASCADE, null=True)
    session_key = models.CharField(max_length=40, blank=True)
    device = models.CharField(max_length=64, blank=True)
    polls = models.JSONField()
    # The voter keys of whoever came with a code, in hex, by the id of the poll. The database's own
    # default is for processes of the version before, while both run.
    code_voters = models.JSONField(default=dict, db_default={})
    expires_at = models.DateTimeField(db_index=True)


class JoinCode(models.Model):
    """A code that has been given out. Whatever takes one inserts it here: none means two things.

    It stays when its poll or event is gone: whoever still has the old code must not end up
    somewhere else.
    """

    code = models.CharField(max_length=6, primary_key=True)


class Event(models.Model):
    """An evening: polls in order, the one that is shown now, and one code to join by."""

    id = models.UUIDField(primary_key=True, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="events", db_index=False
    )
    # A foreign key by hand: it has been claimed as a JoinCode.
    join_code = models.CharField(max_length=6, unique=True, editable=False)
    title = models.CharField(max_length=200)
    # A foreign key by hand: it is one of this event's.
    current = models.ForeignKey(
        Poll,
        on_delete=models.DO_NOTHING,
        related_name="+",
        null=True,
        db_index=False,
        db_constraint=False,
    )
    # The version of title, order and current poll, as everybody but the owner reads them.
    seq = models.PositiveBigIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        """Lists go by their owner."""

        indexes = [models.Index(fields=["owner", "-created_at", "-id"], name="event_by_owner")]
        constraints = [models.CheckConstraint(condition=~Q(title=""), name="event_has_a_title")]

    def __str__(self) -> str:
        return self.title


class EventPoll(models.Model):
    """A poll's place in an event. Its primary key is the rule that no poll is in two of them."""

    poll = models.OneToOneField(
        Poll, on_delete=models.CASCADE, primary_key=True, related_name="event_place"
    )
    event = models.ForeignKey(
        Event, on_delete=models.CASCADE, related_name="places", db_index=False
    )
    position = models.PositiveSmallIntegerField()

    class Meta:
        """Positions may have gaps; (event, poll) is what an event's current poll refers to."""

        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["event", "position"], name="event_position_unique"),
            models.UniqueConstraint(fields=["event", "poll"], name="event_poll_of_its_event"),
        ]


class Member(models.Model):
    """What somebody may do with a poll that is not theirs. The owner is none."""

    pk = models.CompositePrimaryKey("poll_id", "user_id")
    poll = models.ForeignKey(Poll, on_delete=models.CASCADE, related_name="members", db_index=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=9, choices=Role.choices)
    # By the database's clock. With the number of members it tells whether any of them has changed.
    changed_at = models.DateTimeField(editable=False)

    class Meta:
        """Those of an account are found by the index of its foreign key."""

        constraints = [
            models.CheckConstraint(condition=Q(role__in=Role.values), name="member_role_known"),
        ]
