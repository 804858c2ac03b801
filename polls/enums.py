"""The closed vocabularies of a poll, with the words that go over the wire."""

from django.db.models import TextChoices


class Kind(TextChoices):
    """How a ballot is marked."""

    SINGLE = "single"
    MULTIPLE = "multiple"
    APPROVAL = "approval"
    RANKED = "ranked"
    SCORE = "score"


class Identity(TextChoices):
    """What makes two votes the same voter's."""

    OPEN = "open"
    DEVICE = "device"
    CODE = "code"
    ACCOUNT = "account"


class Secrecy(TextChoices):
    """Whether the link between voter and ballot is kept."""

    CONFIDENTIAL = "confidential"
    SECRET = "secret"  # noqa: S105 - a word of the vocabulary


class Visibility(TextChoices):
    """Who may see results, and from when."""

    ALWAYS = "always"
    AFTER_VOTE = "after_vote"
    AFTER_CLOSE = "after_close"
    OWNER = "owner"


class Status(TextChoices):
    """Where a poll stands in the database."""

    DRAFT = "draft"
    OPEN = "open"
    CLOSED = "closed"


class Role(TextChoices):
    """What somebody may do with a poll that is another's."""

    ORGANISER = "organiser"
    VIEWER = "viewer"


# What the owner of a poll reads as; no row holds it.
OWNER = "owner"

# An open poll whose opening lies ahead reads as this; no row holds it.
SCHEDULED = "scheduled"

# What the contract names and the product does not offer yet, by field.
NOT_AVAILABLE: dict[str, tuple[object, ...]] = {
    "kind": (Kind.RANKED.value, Kind.SCORE.value),
}
