"""What an organiser may say of a poll, and what cannot be."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from polls.domain.database import clock
from polls.enums import NOT_AVAILABLE, Identity, Kind, Secrecy, Visibility
from polls.errors import Code, FieldError, Refusal
from polls.text import normalised, turns_letters

MIN_OPTIONS, MAX_OPTIONS = 2, 100
MAX_TITLE, MAX_OPTION_TEXT, MAX_DESCRIPTION = 200, 200, 10_000
MAX_EMBED_ORIGINS = 20
MAX_NETWORK_CAP = 1_000_000


@dataclass(frozen=True, slots=True)
class Definition:
    """All that an organiser says of a poll; the defaults are the contract's."""

    title: str
    options: Sequence[str]
    description: str = ""
    kind: str = Kind.SINGLE
    min_selections: int = 1
    # None: one for `single`, the number of options for every other kind
    max_selections: int | None = None
    identity: str = Identity.DEVICE
    network_cap: int | None = None
    secrecy: str = Secrecy.CONFIDENTIAL
    results_visibility: str = Visibility.ALWAYS
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    allow_change: bool = False
    embed_origins: Sequence[str] = field(default_factory=list)

    @property
    def most_selections(self) -> int:
        """How many options a ballot may mark."""
        if self.max_selections is not None:
            return self.max_selections
        return 1 if self.kind == Kind.SINGLE else len(self.options)


def _check_available(definition: Definition) -> None:
    """Raise `not_available` for what the contract names and the product does not offer yet."""
    wanted: dict[str, object] = {name: getattr(definition, name) for name in NOT_AVAILABLE}
    refused = [name for name, value in wanted.items() if value in NOT_AVAILABLE[name]]
    if refused:
        raise Refusal(
            Code.NOT_AVAILABLE,
            errors=[
                FieldError(name, "not_available", "This value is not offered yet.")
                for name in refused
            ],
        )


def text_errors(name: str, text: str, longest: int) -> list[FieldError]:
    """Return what is wrong with a text that somebody must be able to read."""
    if not normalised(text):
        return [FieldError(name, "blank", "There is nothing to read in it.")]
    if len(text) > longest:
        return [FieldError(name, "too_long", f"It may have {longest} characters at most.")]
    if turns_letters(text):
        return [FieldError(name, "turned", "It holds a character that turns letters around.")]
    return []


def _option_errors(options: Sequence[str]) -> list[FieldError]:
    if not MIN_OPTIONS <= len(options) <= MAX_OPTIONS:
        detail = f"A poll has {MIN_OPTIONS} to {MAX_OPTIONS} options."
        return [FieldError("options", "count", detail)]
    found: list[FieldError] = []
    seen: dict[str, int] = {}
    for place, text in enumerate(options):
        name = f"options[{place}].text"
        found += text_errors(name, text, MAX_OPTION_TEXT)
        first = seen.setdefault(normalised(text), place)
        if first != place:
            detail = f"It looks the same as options[{first}]."
            found.append(FieldError(name, "repeated", detail))
    return found


def _rule_errors(definition: Definition) -> list[FieldError]:
    found: list[FieldError] = []
    most = definition.most_selections
    if definition.kind == Kind.SINGLE and most != 1:
        found.append(
            FieldError("max_selections", "single", "A single-choice poll takes exactly one.")
        )
    elif not 1 <= most <= max(len(definition.options), 1):
        detail = "It lies between 1 and the number of options."
        found.append(FieldError("max_selections", "out_of_range", detail))
    if not 1 <= definition.min_selections <= max(most, 1):
        detail = "It lies between 1 and max_selections."
        found.append(FieldError("min_selections", "out_of_range", detail))
    if definition.identity == Identity.OPEN:
        if definition.results_visibility == Visibility.AFTER_VOTE:
            detail = "An open poll knows no voter to show them to."
            found.append(FieldError("results_visibility", "open_identity", detail))
        if definition.allow_change:
            detail = "An open poll knows no voter whose vote to change."
            found.append(FieldError("allow_change", "open_identity", detail))
    if definition.network_cap is not None and definition.identity != Identity.DEVICE:
        detail = "A cap goes with identity `device`."
        found.append(FieldError("network_cap", "identity", detail))
    elif definition.network_cap is not None and not 1 <= definition.network_cap <= MAX_NETWORK_CAP:
        detail = f"It lies between 1 and {MAX_NETWORK_CAP:,}."
        found.append(FieldError("network_cap", "out_of_range", detail))
    if definition.secrecy == Secrecy.SECRET and definition.allow_change:
        detail = "A secret poll cannot tell whose ballot to change."
        found.append(FieldError("allow_change", "secret", detail))
    return found


def _origin_errors(origins: Sequence[str]) -> list[FieldError]:
    if len(origins) > MAX_EMBED_ORIGINS:
        detail = f"There may be {MAX_EMBED_ORIGINS} of them at most."
        return [FieldError("embed_origins", "too_many", detail)]
    return [
        FieldError(f"embed_origins[{place}]", "origin", "It must be like https://example.org.")
        for place, origin in enumerate(origins)
        if not _is_origin(origin)
    ]


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme not in {"http", "https"} or not parts.hostname or not text.isascii():
        return False  # a name of other letters is written in Punycode, as browsers do
    # Rebuilt from its parts it must be the same: no path, user, wildcard, blank or semicolon.
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    plain = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
    return plain == text and all(c.isalnum() or c in ".-:[]" for c in host)


def _time_errors(definition: Definition, *, closes_at_is_new: bool) -> list[FieldError]:
    opens_at, closes_at = definition.opens_at, definition.closes_at
    if closes_at is None:
        return []
    if closes_at_is_new and closes_at <= clock():
        return [FieldError("closes_at", "passed", "It must lie ahead.")]
    if opens_at is not None and closes_at <= opens_at:
        return [FieldError("closes_at", "before_opens_at", "It must lie after opens_at.")]
    return []


def check_definition(definition: Definition, *, closes_at_is_new: bool = True) -> None:
    """Raise `invalid_poll` naming every field that cannot be, or `not_available`."""
    errors = [
        *text_errors("title", definition.title, MAX_TITLE),
        *_option_errors(definition.options),
        *_rule_errors(definition),
        *_origin_errors(definition.embed_origins),
        *_time_errors(definition, closes_at_is_new=closes_at_is_new),
    ]
    if len(definition.description) > MAX_DESCRIPTION:
        detail = f"It may have {MAX_DESCRIPTION} characters at most."
        errors.append(FieldError("description", "too_long", detail))
    if errors:
        raise Refusal(Code.INVALID_POLL, errors=errors)
    _check_available(definition)
