"""The voting codes of a poll: made at the desk, shown once, as a sheet to print and as a file."""

import base64
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.formats import number_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from polls import csv_cells
from polls.domain import codes as domain
from polls.domain.access import access_poll_for_organiser
from polls.enums import Identity
from polls.errors import Code, Refusal
from polls.models import Poll
from web.addresses import qr_svg, way_in
from web.desk import words
from web.desk.pages import desk_page, viewer_of

MAX_ON_SHEET = 500  # a page of 1 MB
_MASK = 0  # of their QR codes: it is as good as any where what stands in them is random


class CodesForm(forms.Form):
    """How many new codes to make."""

    count = forms.IntegerField(
        label=gettext_lazy("How many new codes"),
        widget=forms.NumberInput(attrs={"min": 1, "max": domain.MAX_CODES_A_CALL}),
    )

    def __init__(self, data: QueryDict | None = None) -> None:
        super().__init__(data)
        most, on_sheet = (
            number_format(n, force_grouping=True) for n in (domain.MAX_CODES_A_CALL, MAX_ON_SHEET)
        )
        self.fields["count"].help_text = _(
            "Up to %(most)s at once. Up to %(sheet)s come as a sheet to print, each with a QR "
            "code, and as a CSV file; more than that as a CSV file alone."
        ) % {"most": most, "sheet": on_sheet}

    def refuse(self, refusal: Refusal) -> None:
        """Show what is wrong, at the number where it is about that."""
        for error in refusal.errors:
            self.add_error("count" if error.field == "count" else None, words.fault(error))
        if not refusal.errors:
            self.add_error(None, words.told(refusal))


@dataclass(frozen=True, slots=True)
class Card:
    """One code as it is handed out."""

    code: str
    address: str

    @property
    def qr(self) -> SafeString:
        """The QR code of the way in with the code."""
        return qr_svg(self.address, _MASK)


def described_codes(found: Poll, form: CodesForm | None = None) -> dict[str, Any]:
    """Return what the desk tells of a poll's codes; nothing where it asks for none."""
    if found.identity != Identity.CODE:
        return {}
    return {
        "codes": domain.count_codes(found.id),
        "used": domain.count_used_codes(found.id),
        "codes_form": None if found.is_closed else form or CodesForm(),
    }


@desk_page("GET", "HEAD", "POST")
def codes(request: HttpRequest, poll_id: uuid.UUID) -> HttpResponse:
    """Tell how many codes a poll has. A POST makes more, which this answer alone shows."""
    found = access_poll_for_organiser(poll_id, viewer_of(request))
    if found.identity != Identity.CODE:
        raise Refusal(Code.NOT_FOUND)
    if request.method != "POST":
        return _show(request, found, CodesForm())
    form = CodesForm(request.POST)
    if not form.is_valid():
        return _show(request, found, form, status=400)
    try:
        made = domain.make_codes(found.id, form.cleaned_data["count"])
    except Refusal as refusal:
        form.refuse(refusal)
        return _show(request, found, form, status=refusal.status)
    return _show(request, found, CodesForm(), made, status=201)


def _show(
    request: HttpRequest,
    found: Poll,
    form: CodesForm,
    made: Sequence[str] = (),
    *,
    status: int = 200,
) -> HttpResponse:
    """Show the page of codes; `made` are new ones."""
    way = way_in(request, found.join_code)
    cards = [Card(code, _address(way["address"], code)) for code in made]
    context = {
        "poll": found,
        **described_codes(found, form),
        "spoken": way["spoken"],
        "made": len(cards),
        "cards": cards if len(cards) <= MAX_ON_SHEET else [],
        "file": _file(cards),
        "file_name": f"codes-{found.join_code}.csv",
        "texts": words.texts(),
    }
    return render(request, "web/desk/codes.html", context, status=status)


def _address(page: str, code: str) -> str:
    """Return the way in with a code: behind the #, where no server and no log ever sees it."""
    return f"{page}#code={code.replace('-', '')}"


def _file(cards: Sequence[Card]) -> str:
    """Return a CSV file of the codes as the address of a link: nobody can ask for them again."""
    rows = [("code", "address"), *((card.code, card.address) for card in cards)]
    text = "".join(csv_cells.line(row) for row in rows)
    return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"
