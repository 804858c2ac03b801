"""The form of a poll. What may stand in it is the domain's to say; here it is asked and shown."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from polls.domain.definition import (
    MAX_NETWORK_CAP,
    MAX_OPTION_TEXT,
    MAX_OPTIONS,
    MAX_TITLE,
)
from polls.enums import Identity, Kind, Secrecy, Visibility
from polls.errors import Refusal
from web.desk import words

_MINUTES = "%Y-%m-%dT%H:%M"
_ROWS = 2
KINDS = (
    (Kind.SINGLE.value, gettext_lazy("One answer")),
    (Kind.MULTIPLE.value, gettext_lazy("Several answers")),
    (Kind.APPROVAL.value, gettext_lazy("Every answer that suits (approval)")),
)
IDENTITIES = (
    (Identity.DEVICE.value, gettext_lazy("One vote for each browser, without a name")),
    (Identity.CODE.value, gettext_lazy("One vote for each code that I hand out")),
    (Identity.ACCOUNT.value, gettext_lazy("One vote for each account")),
    (Identity.OPEN.value, gettext_lazy("As many votes as anybody likes")),
)
SECRECIES = (
    (
        Secrecy.CONFIDENTIAL.value,
        gettext_lazy("Confidential: which ballot is whose is stored, and never shown"),
    ),
    (Secrecy.SECRET.value, gettext_lazy("Secret: which ballot is whose is not stored")),
)
VISIBILITIES = (
    (Visibility.ALWAYS.value, gettext_lazy("To everybody, as votes come in")),
    (Visibility.AFTER_VOTE.value, gettext_lazy("To whoever has voted")),
    (Visibility.AFTER_CLOSE.value, gettext_lazy("To everybody, when the poll is closed")),
    (Visibility.OWNER.value, gettext_lazy("To its organisers and viewers alone")),
)


# What votes have frozen is told once, above the form.
_WHY_FROZEN = {
    "opens_at": gettext_lazy("The poll has opened."),
    "closes_at": gettext_lazy("The poll is closed."),
}


@dataclass(slots=True)
class Row:
    """One answer as it stands in the form."""

    text: str = ""
    errors: list[str] = field(default_factory=list)
    begins: bool = False  # where the keyboard is

    limit = MAX_OPTION_TEXT


def _time() -> forms.DateTimeField:
    widget = forms.DateTimeInput(format=_MINUTES, attrs={"type": "datetime-local"})
    return forms.DateTimeField(
        required=False, input_formats=[_MINUTES, f"{_MINUTES}:%S"], widget=widget
    )


def _lines(rows: int) -> forms.Textarea:
    return forms.Textarea(attrs={"rows": rows, "dir": "auto"})


class PollForm(forms.Form):
    """A poll's definition, its answers in rows beside Django's fields."""

    title = forms.CharField(
        label=gettext_lazy("Question or title"),
        required=False,
        widget=forms.TextInput(attrs={"maxlength": MAX_TITLE, "required": True, "dir": "auto"}),
    )
    description = forms.CharField(
        label=gettext_lazy("Description"), required=False, widget=_lines(3)
    )
    kind = forms.ChoiceField(
        label=gettext_lazy("Voters choose"), choices=KINDS, initial=KINDS[0][0], required=False
    )
    min_selections = forms.IntegerField(
        label=gettext_lazy("At least"), required=False, widget=forms.NumberInput(attrs={"min": 1})
    )
    max_selections = forms.IntegerField(
        label=gettext_lazy("At most (empty: all)"),
        required=False,
        widget=forms.NumberInput(attrs={"min": 1}),
    )
    identity = forms.ChoiceField(
        label=gettext_lazy("Who may vote"),
        choices=IDENTITIES,
        initial=IDENTITIES[0][0],
        required=False,
    )
    network_cap = forms.IntegerField(
        label=gettext_lazy("Voters from one network, at most (empty: any number)"),
        help_text=gettext_lazy(
            "Where each browser has one vote. A hall behind one address counts as one network."
        ),
        required=False,
        widget=forms.NumberInput(attrs={"min": 1, "max": MAX_NETWORK_CAP}),
    )
    secrecy = forms.ChoiceField(
        label=gettext_lazy("Secrecy"),
        help_text=gettext_lazy("A secret vote cannot be shown to its voter again, nor changed."),
        choices=SECRECIES,
        initial=SECRECIES[0][0],
        required=False,
    )
    allow_change = forms.BooleanField(
        label=gettext_lazy("Voters may change and withdraw their votes while the poll is open"),
        required=False,
    )
    results_visibility = forms.ChoiceField(
        label=gettext_lazy("Results are shown"),
        choices=VISIBILITIES,
        initial=VISIBILITIES[0][0],
        required=False,
    )
    opens_at = _time()
    closes_at = _time()
    embed_origins = forms.CharField(
        label=gettext_lazy("Sites that may show this poll in a frame"),
        help_text=gettext_lazy("One in a line, such as https://example.org"),
        required=False,
        widget=_lines(2),
    )

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        initial: Mapping[str, Any] | None = None,
        rows: Sequence[str] = (),
        frozen: Collection[str] = (),
    ) -> None:
        super().__init__(data, initial=dict(initial or {}))
        self.fields["opens_at"].label = _("Opens at")
        self.fields["closes_at"].label = _("Closes at")
        if data is not None and "option" in data:
            rows = rows_of(data)
        self.rows = [Row(text) for text in rows]
        self.rows += [Row() for _missing in range(_ROWS - len(self.rows))]
        self.options_errors: list[str] = []
        self.freeze(frozen)

    def freeze(self, frozen: Collection[str], rows: Sequence[str] | None = None) -> None:
        """Let fields be read only, and show their answers as they stand."""
        self.options_frozen = "options" in frozen
        for name in frozen:
            if name in self.fields:
                self.fields[name].disabled = True
                self.fields[name].help_text = _WHY_FROZEN.get(name, "")
        if self.options_frozen and rows is not None:
            self.rows = [Row(text) for text in rows]

    @property
    def filled(self) -> list[Row]:
        """The rows in which something stands."""
        return [row for row in self.rows if row.text]

    @property
    def unfolded(self) -> bool:
        """Whether something in the folded part is at fault or has been filled in."""
        names = [name for name in self.fields if name != "title"]
        return any(name in self.errors for name in names) or (
            self.is_bound and any(name in self.changed_data for name in names)
        )

    def clean_description(self) -> str:
        """Return the text with plain line ends, as it is kept."""
        return str(self.cleaned_data["description"]).replace("\r\n", "\n")

    def clean_embed_origins(self) -> list[str]:
        """Return one origin a line."""
        return str(self.cleaned_data["embed_origins"]).split()

    def given(self) -> dict[str, Any]:
        """Return what was filled in, as the domain takes it; fields that did not come are left out.

        A browser leaves out fields that were disabled, so whatever is missing stays as it is.
        """
        found = {name: self.cleaned_data[name] for name in self.fields if name in self.data}
        for name in ("kind", "identity", "secrecy", "results_visibility"):
            if not found.get(name):
                found.pop(name, None)
        if "min_selections" in found:
            found["min_selections"] = found["min_selections"] or 1
        if found.get("kind") == Kind.SINGLE:  # where the numbers say nothing
            found["min_selections"] = 1
            found["max_selections"] = None
        if "option" in self.data:
            found["options"] = [row.text for row in self.filled]
        return found

    def changes(self) -> dict[str, Any]:
        """Return what differs from what was shown: a time is shown without its seconds."""
        given = self.given()
        for name in ("opens_at", "closes_at", "max_selections"):
            if name in given and name not in self.changed_data:
                del given[name]
        return given

    def refuse(self, refusal: Refusal) -> None:
        """Show each fault at its field."""
        filled = self.filled
        for error in refusal.errors:
            sentence = words.fault(error)
            name, bracket, rest = error.field.partition("[")
            if name == "options":
                if bracket:
                    filled[int(rest.partition("]")[0])].errors.append(sentence)
                else:
                    self.options_errors.append(sentence)
            elif name in self.fields:
                if sentence not in self.errors.get(name, []):
                    self.add_error(name, sentence)
            else:
                self.add_error(None, sentence)

    def point(self) -> None:
        """Let the browser begin at the first fault: the title, the answers, then the rest."""
        if "title" in self.errors:
            self.fields["title"].widget.attrs["autofocus"] = True
            return
        faulty = next((row for row in self.rows if row.errors), None)
        if faulty is None and self.options_errors and not self.options_frozen:
            faulty = next((row for row in self.rows if not row.text), self.rows[0])
        if faulty is not None:
            faulty.begins = True
            return
        name = next(
            (n for n, field in self.fields.items() if n in self.errors and not field.disabled), None
        )
        if name is not None:
            self.fields[name].widget.attrs["autofocus"] = True

    def rearrange(self, command: str) -> None:
        """Add, remove or move a row, as its button says: `add`, `remove-3`, `up-3`, `down-3`."""
        verb, _dash, number = command.partition("-")
        place = int(number) if number.isascii() and number.isdigit() and len(number) < 4 else -1  # noqa: PLR2004 - digits
        if verb == "add" and len(self.rows) < MAX_OPTIONS:
            self.rows.append(Row(begins=True))
        elif 0 <= place < len(self.rows):
            row = self.rows.pop(place)
            row.begins = True
            if verb in {"up", "down"}:
                self.rows.insert(max(0, place + (1 if verb == "down" else -1)), row)
            else:
                self.rows += [Row() for _missing in range(_ROWS - len(self.rows))]
                self.rows[min(place, len(self.rows) - 1)].begins = True


def rows_of(data: QueryDict) -> list[str]:
    """Return the answers of a form or an address, one in a row, without what no database keeps."""
    return [text.replace("\0", "").strip() for text in data.getlist("option")[: MAX_OPTIONS + 1]]
