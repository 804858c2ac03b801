"""What tests do where a flush has locked its polls and looks at them: the step named `enter`."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest
from django.db import connection

from polls.domain.statements import Cast, Id, Postgres, Sqlite
from polls.models import Poll

OURS = Postgres if connection.vendor == "postgresql" else Sqlite
_enter = OURS.enter


def linger_after_entering(patch: pytest.MonkeyPatch, linger: Callable[[], object]) -> None:
    """Have each flush do this when it has entered its votes and counted none."""

    def enter_and_linger(self: Any, polls: Collection[Id], ballots: Sequence[Cast]) -> Any:
        found = _enter(self, polls, ballots)
        linger()
        return found

    patch.setattr(OURS, "enter", enter_and_linger)


def enter_by_any_revision(patch: pytest.MonkeyPatch) -> None:
    """Take the comparison of revisions away: each vote is taken for one by the poll's own."""

    def enter(self: Any, polls: Collection[Id], ballots: Sequence[Cast]) -> Any:
        for ballot in ballots:
            ballot.revision = Poll.objects.get(id=ballot.poll).revision
        return _enter(self, polls, ballots)

    patch.setattr(OURS, "enter", enter)
