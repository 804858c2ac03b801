"""The shapes that go over the wire: read strictly, and shown in the API's documentation."""

from typing import Any

from rest_framework import serializers

from accounts.models import MAX_TOKEN_NAME
from polls.api.fields import Flag, Moment, Number, StrictSerializer, Text, Word
from polls.enums import OWNER, SCHEDULED, Identity, Kind, Role, Secrecy, Status, Visibility


class RegistrationInput(StrictSerializer):
    """A new account."""

    username = Text()
    password = Text(trim_whitespace=False)
    email = Text(required=False)


class Registered(serializers.Serializer[Any]):
    """The account that was made."""

    username = serializers.CharField()


class TokenInput(StrictSerializer):
    """Credentials for a token, and what to call it."""

    username = Text()
    password = Text(trim_whitespace=False)
    name = Text(required=False, default="", max_length=MAX_TOKEN_NAME)


class Token(serializers.Serializer[Any]):
    """A token as it is listed: without its secret."""

    id = serializers.UUIDField()
    name = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()


class IssuedToken(serializers.Serializer[Any]):
    """A new token; its secret is shown this once."""

    id = serializers.UUIDField()
    token = serializers.CharField()
    expires_at = serializers.DateTimeField()


class OptionInput(StrictSerializer):
    """One of a poll's answers."""

    text = Text()


class PollChanges(StrictSerializer):
    """The fields of a definition, each as it may be changed."""

    title = Text(help_text="1 to 200 characters")
    description = Text()
    kind = Word(choices=Kind.choices)
    options = OptionInput(many=True, help_text="2 to 100, different from each other")
    min_selections = Number()
    max_selections = Number(help_text="default: 1 for single, else the number of options")
    identity = Word(choices=Identity.choices)
    network_cap = Number(allow_null=True)
    secrecy = Word(choices=Secrecy.choices)
    results_visibility = Word(choices=Visibility.choices)
    opens_at = Moment(allow_null=True)
    closes_at = Moment(allow_null=True)
    allow_change = Flag()
    embed_origins = serializers.ListField(child=Text())

    def get_fields(self) -> dict[str, Any]:
        """Return the fields, none of which need be there."""
        fields = super().get_fields()
        for field in fields.values():
            field.required = False
        return fields

    def changes(self) -> dict[str, Any]:
        """Return the validated fields as the domain takes them."""
        changes = dict(self.validated_data)
        if "options" in changes:
            changes["options"] = [option["text"] for option in changes["options"]]
        return changes


class PollInput(PollChanges):
    """A new poll: only title and options are needed."""

    status = Word(choices=[Status.DRAFT.value, Status.OPEN.value], default=Status.OPEN.value)

    def get_fields(self) -> dict[str, Any]:
        """Return the fields, of which two must be there."""
        fields = super().get_fields()
        for name in ("title", "options"):
            fields[name].required = True
        return fields


class Option(serializers.Serializer[Any]):
    """An option as it reads."""

    id = serializers.UUIDField()
    text = serializers.CharField()
    position = serializers.IntegerField()


class Links(serializers.Serializer[Any]):
    """Where to go from a poll; relative paths."""

    self = serializers.CharField()
    vote = serializers.CharField()
    results = serializers.CharField()
    live = serializers.CharField()
    page = serializers.CharField()


class Poll(serializers.Serializer[Any]):
    """A poll as it reads. `seq` and `ballots` are null for whoever may not see results."""

    id = serializers.UUIDField()
    join_code = serializers.CharField()
    owner = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    kind = serializers.ChoiceField(choices=Kind.choices)
    options = Option(many=True)
    min_selections = serializers.IntegerField()
    max_selections = serializers.IntegerField()
    identity = serializers.ChoiceField(choices=Identity.choices)
    network_cap = serializers.IntegerField(allow_null=True)
    secrecy = serializers.ChoiceField(choices=Secrecy.choices)
    results_visibility = serializers.ChoiceField(choices=Visibility.choices)
    status = serializers.ChoiceField(choices=[*Status.values, SCHEDULED])
    opens_at = serializers.DateTimeField(allow_null=True)
    closes_at = serializers.DateTimeField(allow_null=True)
    allow_change = serializers.BooleanField()
    embed_origins = serializers.ListField(child=serializers.CharField())
    created_at = serializers.DateTimeField()
    opened_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    seq = serializers.IntegerField(allow_null=True)
    ballots = serializers.IntegerField(allow_null=True)
    role = serializers.CharField(
        allow_null=True,
        help_text=f"the caller's: {OWNER}, {' or '.join(Role.values)}, null for anybody else",
    )
    links = Links()


class PollPage(serializers.Serializer[Any]):
    """One page of polls."""

    results = Poll(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class MemberInput(StrictSerializer):
    """What an account may do with a poll."""

    role = Word(choices=Role.choices)


class Member(serializers.Serializer[Any]):
    """Who may do what with a poll beside its owner."""

    username = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.choices)


class Members(serializers.Serializer[Any]):
    """A poll's members, in the order of their names."""

    results = Member(many=True)


class EventChanges(StrictSerializer):
    """The fields of an event, each as it may be changed."""

    title = Text(required=False, help_text="1 to 200 characters")
    polls = serializers.ListField(
        child=Text(), required=False, help_text="ids of your own polls, in order; 100 at most"
    )
    current = Text(required=False, allow_null=True, help_text="id of the one that is shown")


class EventInput(EventChanges):
    """A new event: only the title is needed."""

    title = Text(help_text="1 to 200 characters")


class PollOfEvent(serializers.Serializer[Any]):
    """A poll as its event names it."""

    id = serializers.UUIDField()
    join_code = serializers.CharField()
    title = serializers.CharField()
    status = serializers.ChoiceField(choices=[*Status.values, SCHEDULED])
    links = Links()


class EventLinks(serializers.Serializer[Any]):
    """Where to go from an event; relative paths."""

    self = serializers.CharField()
    live = serializers.CharField()
    page = serializers.CharField()


class Event(serializers.Serializer[Any]):
    """An event as it reads. Drafts are left out, and not current, for all but their owner."""

    id = serializers.UUIDField()
    join_code = serializers.CharField()
    owner = serializers.CharField()
    title = serializers.CharField()
    created_at = serializers.DateTimeField()
    seq = serializers.IntegerField(help_text="the version of title, order and current poll")
    current = serializers.UUIDField(allow_null=True, help_text="the poll that is shown now")
    polls = PollOfEvent(many=True)
    links = EventLinks()


class EventPage(serializers.Serializer[Any]):
    """One page of the caller's events."""

    results = Event(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class Joined(serializers.Serializer[Any]):
    """What a join code leads to: a poll or an event, as `type` says."""

    type = serializers.ChoiceField(choices=["poll", "event"])
    poll = Poll(required=False)
    event = Event(required=False)


class Profile(serializers.Serializer[Any]):
    """Who an account is."""

    username = serializers.CharField()
    email = serializers.CharField(allow_blank=True)
    first_name = serializers.CharField(allow_blank=True)
    last_name = serializers.CharField(allow_blank=True)
    date_joined = serializers.DateTimeField()
    last_login = serializers.DateTimeField(allow_null=True)


class Choice(serializers.Serializer[Any]):
    """An option that a ballot marks."""

    id = serializers.UUIDField()
    text = serializers.CharField()


class AccountVote(serializers.Serializer[Any]):
    """A vote that was cast with an account."""

    poll = serializers.UUIDField()
    title = serializers.CharField()
    secrecy = serializers.ChoiceField(choices=Secrecy.choices)
    receipt = serializers.CharField(
        allow_null=True,
        help_text="null where the poll keeps no link to the ballot, or it is withdrawn",
    )
    choices = Choice(many=True, help_text="none where there is no receipt")


class AccountRole(serializers.Serializer[Any]):
    """What an account may do with a poll of somebody else."""

    poll = serializers.UUIDField()
    title = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.choices)
    changed_at = serializers.DateTimeField()


class AccountData(serializers.Serializer[Any]):
    """All that the service holds about an account."""

    profile = Profile()
    tokens = Token(many=True)
    polls = Poll(many=True)
    events = Event(many=True)
    roles = AccountRole(many=True)
    votes = AccountVote(many=True, help_text="by the polls' ids")
    next = serializers.CharField(
        allow_null=True, help_text="where the votes go on, if they are not all here"
    )


class ErasureInput(StrictSerializer):
    """The password, once more, of whoever erases their account."""

    password = Text(trim_whitespace=False)


class VoterToken(serializers.Serializer[Any]):
    """A voter's token."""

    token = serializers.CharField()


class VoteInput(serializers.Serializer[Any]):
    """A ballot: `choices` for single, multiple and approval polls.

    It documents what `vote_input.parse_vote` reads.
    """

    choices = serializers.ListField(child=serializers.UUIDField())
    code = serializers.CharField(required=False, help_text="where the poll's identity is `code`")


class OptionResult(serializers.Serializer[Any]):
    """One option's count."""

    id = serializers.UUIDField()
    text = serializers.CharField()
    votes = serializers.IntegerField(help_text="ballots that mark the option")
    points = serializers.IntegerField(allow_null=True, help_text="sum of scores; score polls only")
    share = serializers.FloatField(help_text="votes / ballots; 0 with none")


class Results(serializers.Serializer[Any]):
    """A poll's count."""

    poll = serializers.UUIDField()
    title = serializers.CharField()
    kind = serializers.CharField()
    status = serializers.CharField()
    seq = serializers.IntegerField()
    ballots = serializers.IntegerField()
    final = serializers.BooleanField()
    certified_at = serializers.DateTimeField(allow_null=True)
    options = OptionResult(many=True)


class Bucket(serializers.Serializer[Any]):
    """The ballots that were cast in a span of time."""

    at = serializers.DateTimeField(help_text="its beginning")
    votes = serializers.DictField(
        child=serializers.IntegerField(), help_text="ballots that mark each option, by its id"
    )


class Timeline(serializers.Serializer[Any]):
    """A poll's votes over time."""

    bucket_seconds = serializers.IntegerField(help_text="how wide each bucket is")
    buckets = Bucket(many=True, help_text="without those that have no ballot")


class VoteReceipt(serializers.Serializer[Any]):
    """A vote that is committed and counted."""

    poll = serializers.UUIDField()
    receipt = serializers.CharField()
    seq = serializers.IntegerField(allow_null=True)
    results = Results(required=False)
    withdrawn = serializers.BooleanField(
        required=False, help_text="of a late retry: the vote was withdrawn since"
    )
    replaced = serializers.BooleanField(
        required=False, help_text="of a late retry: the receipt is of the ballot that stands now"
    )


class OwnVote(serializers.Serializer[Any]):
    """What a voter is told of their own vote."""

    voted = serializers.BooleanField()
    receipt = serializers.CharField(required=False)
    choices = serializers.ListField(child=serializers.UUIDField(), required=False)
    withdrawn = serializers.BooleanField(required=False, help_text="there was a vote")


class Integrity(serializers.Serializer[Any]):
    """The kept tally beside the recount, both of one snapshot."""

    equal = serializers.BooleanField()
    seq = serializers.IntegerField()
    tally = serializers.DictField(child=serializers.IntegerField())
    recount = serializers.DictField(child=serializers.IntegerField())


class CodesInput(StrictSerializer):
    """How many voting codes to make."""

    count = Number()


class NewCodes(serializers.Serializer[Any]):
    """Codes that were made; nothing shows them again."""

    codes = serializers.ListField(child=serializers.CharField())


class TicketInput(StrictSerializer):
    """The polls that a ticket is good for."""

    polls = serializers.ListField(child=Text())


class Ticket(serializers.Serializer[Any]):
    """Leave to open one WebSocket."""

    ticket = serializers.CharField()
    expires_at = serializers.DateTimeField()


class Values(serializers.DictField):
    """Lists of values of any type, by the name of their field."""

    class Meta:
        """OpenAPI has no word for any type: it is a schema without one."""

        swagger_schema_fields = {"additional_properties": {"type": "array", "items": {}}}


class AllowedRate(serializers.Serializer[Any]):
    """How often something may be done in any so many seconds."""

    times = serializers.IntegerField()
    seconds = serializers.IntegerField()


class Limits(serializers.Serializer[Any]):
    """Every limit that a client can run into."""

    limits = serializers.DictField(child=serializers.IntegerField())
    rates = serializers.DictField(child=AllowedRate())
    not_available = Values()


class FieldProblem(serializers.Serializer[Any]):
    """One field at fault."""

    # As it was sent, so it may be empty.
    field = serializers.CharField(allow_blank=True)
    code = serializers.CharField()
    detail = serializers.CharField()


class Problem(serializers.Serializer[Any]):
    """An error (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    instance = serializers.CharField()
    errors = FieldProblem(many=True, required=False)  # type: ignore[assignment] # a field
