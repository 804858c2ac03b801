"""How a ballot of each kind is filled in: its part of the form, its script, and how it is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from polls.enums import Kind
from polls.models import Poll


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


def _choose_one(poll: Poll, options: int) -> str:
    del poll, options
    return _("Choose one.")


def _choose_some(poll: Poll, options: int) -> str:
    low, high = poll.min_selections, poll.max_selections
    if low == high:
        return ngettext("Choose %(n)d.", "Choose exactly %(n)d.", high) % {"n": high}
    if high < options:
        text = _("Choose up to %(high)d.") if low == 1 else _("Choose %(low)d to %(high)d.")
        return text % {"low": low, "high": high}
    if low > 1:
        return _("Choose at least %(low)d.") % {"low": low}
    return _("Choose as many as you like.")


def _approve(poll: Poll, options: int) -> str:
    if poll.min_selections == 1 and poll.max_selections == options:
        return _("Choose all that you approve of.")
    return _choose_some(poll, options)


def _choices(rule: Callable[[Poll, int], str]) -> BallotForm:
    return BallotForm("web/ballots/choices.html", "choices", _read_choices, rule)


FORMS: Mapping[str, BallotForm] = {
    Kind.SINGLE: _choices(_choose_one),
    Kind.MULTIPLE: _choices(_choose_some),
    Kind.APPROVAL: _choices(_approve),
}
