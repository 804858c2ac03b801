"""What the desk says to organisers."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from polls.domain.access import MAX_MEMBERS
from polls.domain.agenda import MAX_POLLS
from polls.domain.codes import MAX_CODES, MAX_CODES_A_CALL
from polls.domain.definition import (
    MAX_DESCRIPTION,
    MAX_EMBED_ORIGINS,
    MAX_NETWORK_CAP,
    MAX_OPTION_TEXT,
    MAX_OPTIONS,
    MAX_TITLE,
    MIN_OPTIONS,
)
from polls.enums import OWNER, Role
from polls.errors import Code, FieldError, Refusal
from web import words

_LIMITS = {
    "title": MAX_TITLE,
    "description": MAX_DESCRIPTION,
    "answer": MAX_OPTION_TEXT,
    "fewest": MIN_OPTIONS,
    "most": MAX_OPTIONS,
    "sites": MAX_EMBED_ORIGINS,
    "polls": MAX_POLLS,
    "members": MAX_MEMBERS,
    "cap": MAX_NETWORK_CAP,
    "codes": MAX_CODES_A_CALL,
    "all_codes": MAX_CODES,
}
_TURNED = gettext_lazy("It holds a character that turns letters around. Take it out.")
_FAULTS: Mapping[tuple[str, str], Promise] = {
    ("title", "blank"): gettext_lazy("Write a title."),
    ("title", "too_long"): gettext_lazy("A title has %(title)d characters at most."),
    ("title", "turned"): _TURNED,
    ("description", "too_long"): gettext_lazy(
        "A description has %(description)d characters at most."
    ),
    ("options", "count"): gettext_lazy("Write at least %(fewest)d answers, and %(most)d at most."),
    ("options.text", "blank"): gettext_lazy("There is nothing to read in this answer."),
    ("options.text", "too_long"): gettext_lazy("An answer has %(answer)d characters at most."),
    ("options.text", "turned"): _TURNED,
    ("options.text", "repeated"): gettext_lazy("This answer looks the same as another."),
    ("max_selections", "out_of_range"): gettext_lazy("There are not as many answers as that."),
    ("max_selections", "single"): gettext_lazy("This poll takes one answer."),
    ("min_selections", "out_of_range"): gettext_lazy("It lies between 1 and the most."),
    ("count", "out_of_range"): gettext_lazy("It lies between 1 and %(codes)d."),
    ("count", "too_many"): gettext_lazy("A poll has %(all_codes)d codes at most."),
    ("network_cap", "identity"): gettext_lazy("This goes with one vote for each browser."),
    ("network_cap", "out_of_range"): gettext_lazy("It lies between 1 and %(cap)d."),
    ("allow_change", "open_identity"): gettext_lazy(
        "Where anybody may vote as often as they like, nobody is known to have voted."
    ),
    ("allow_change", "secret"): gettext_lazy(
        "Nobody knows which ballot to change where votes are secret."
    ),
    ("results_visibility", "open_identity"): gettext_lazy(
        "Where anybody may vote as often as they like, nobody is known to have voted."
    ),
    ("embed_origins", "too_many"): gettext_lazy("There may be %(sites)d of them at most."),
    ("embed_origins", "origin"): gettext_lazy("Each is like https://example.org, without a path."),
    ("opens_at", "passed"): gettext_lazy("This time has passed. Choose one that lies ahead."),
    ("closes_at", "passed"): gettext_lazy("This time has passed. Choose one that lies ahead."),
    ("closes_at", "before_opens_at"): gettext_lazy("It closes before it opens."),
    ("polls", "unknown_poll"): gettext_lazy(
        "A poll that you chose is not there any more. Choose from those that are left."
    ),
    ("polls", "repeated"): gettext_lazy("A poll comes once in an event."),
    ("polls", "in_another_event"): gettext_lazy("A poll that you chose is in another event now."),
    ("polls", "too_many"): gettext_lazy("An event has %(polls)d polls at most."),
    ("username", "owner"): gettext_lazy("This is your own name. You have all rights already."),
    ("username", "too_many"): gettext_lazy("A poll is shared with %(members)d people at most."),
    ("current", "not_in_event"): gettext_lazy("This poll is not in the event any more."),
}

_REFUSALS: Mapping[Code, Promise] = {
    Code.POLL_CLOSED: gettext_lazy("The poll is closed, and stays so. Duplicate it instead."),
    Code.POLL_NOT_OPEN: gettext_lazy("A draft has nothing to close. Delete it instead."),
    Code.POLL_FROZEN: gettext_lazy("There are too many votes to take them all back at once."),
    Code.INVALID_POLL: gettext_lazy("Its time has passed. Set another first."),
    Code.UNAVAILABLE: gettext_lazy("The service cannot store anything right now. Try again soon."),
}


def fault(error: FieldError) -> str:
    """Return what is wrong with a field, for people; `options[3].text` reads as `options.text`."""
    head, bracket, rest = error.field.partition("[")
    name = head + rest.partition("]")[2] if bracket else head
    if error.code == "frozen":
        return _("This can no longer be changed: votes have come in, or its time has passed.")
    sentence = _FAULTS.get((name, error.code))
    return _("This is not possible.") if sentence is None else str(sentence) % _LIMITS


def too_late() -> str:
    """Return what is said above a form of which a part came too late."""
    return _(
        "Some of this came too late, so nothing is kept yet. What is marked stays as it was; "
        "look at the rest and send it again."
    )


def not_there() -> str:
    """Return what is said to whoever pressed a button of a poll that has left its event."""
    return _("This poll is not in the event any more.")


def told(refusal: Refusal) -> str:
    """Return a refusal as a sentence for organisers."""
    if refusal.code in {Code.INVALID_EVENT, Code.INVALID_MEMBER}:
        return " ".join(dict.fromkeys(map(fault, refusal.errors)))
    sentence = _REFUSALS.get(refusal.code)
    return words.told(refusal) if sentence is None else str(sentence)


def role_word(role: str | None) -> str:
    """Return what a role is called, for people; nothing for nobody's."""
    return {
        OWNER: _("Owner"),
        Role.ORGANISER: _("Organiser: runs the poll"),
        Role.VIEWER: _("Viewer: sees the results"),
    }.get(role or "", "")


def no_such_name() -> str:
    """Return what is said of a name that nobody has."""
    return _("Nobody has this name here. Ask them for the name they log in with.")


def too_many_names() -> str:
    """Return what is said after too many of those."""
    return _("You have tried too many names that nobody has. Try again in an hour.")


def texts() -> dict[str, object]:
    """Return the texts of the desk's scripts."""
    return {
        **words.following_texts(),
        "zone": _("Times are those of {zone}."),
        "answer": _("Answer {n}"),
        "up": _("Move answer {n} up"),
        "remove": _("Remove answer {n}"),
        "moved": _("Answer {n} of {of}"),
        "removed": _("Removed."),
        "copied": _("Copied."),
        "copy_failed": _("It could not be copied. Select it and copy it by hand."),
    }
