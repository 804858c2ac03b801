"""How a ballot of each kind is filled in: its part of the form, its script, and how it is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from polls.enums import Kind
from polls.models import Poll
from web.words import choice_rules


@dataclass(frozen=True, slots=True)
class BallotForm:
    """One way to fill in a ballot.

    `template` draws the inputs; `script` is the module under `js/ballots/` that reads them as the
    API takes them; `read` does the same of a form that came without a script; `rule` is the
    sentence above the inputs.
    """

    template: str
    script: str
    read: Callable[[QueryDict], dict[str, Any]]
    rule: Callable[[Poll, int], str]


def _read_choices(form: QueryDict) -> dict[str, Any]:
    return {"choices": form.getlist("choices")}


def _rule(poll: Poll, options: int) -> str:
    """Return the sentence above the inputs; js/ballots/choices.js says the same."""
    low, high = poll.min_selections, poll.max_selections
    if poll.kind == Kind.SINGLE:
        name = "one"
    elif poll.kind == Kind.APPROVAL and low == 1 and high == options:
        name = "approve"
    elif low == high:
        name = "exactly"
    elif high < options:
        name = "up_to" if low == 1 else "between"
    else:
        name = "at_least" if low > 1 else "any"
    return choice_rules()[name].format(n=high, low=low, high=high)


_CHOICES = BallotForm("web/ballots/choices.html", "choices", _read_choices, _rule)
FORMS: Mapping[str, BallotForm] = dict.fromkeys(
    (Kind.SINGLE, Kind.MULTIPLE, Kind.APPROVAL), _CHOICES
)
