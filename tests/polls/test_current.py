"""Where polls stand now: what is kept of a count, and when it is read anew."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from polls.domain import current, lifecycle
from polls.domain.ballot_paper import BallotPaper
from polls.domain.current import Current, read_current
from polls.domain.polls import edit_poll
from polls.domain.reset import reset_poll
from polls.domain.results import Count, read_counts
from polls.models import Poll
from tests.cast import Person
from tests.polls.ballots import casts_of, new_paper
from tests.polls.threads import boxes, outcomes


def _now(poll_id: uuid.UUID) -> Current:
    return read_current([poll_id])[poll_id]


def _vote(paper: BallotPaper) -> None:
    with boxes() as (box,):
        outcomes([box.submit(cast) for cast in casts_of(paper, 1)])


def _rename(paper: BallotPaper) -> None:
    edit_poll(paper.poll_id, {"title": "Supper?"})


def _reset(paper: BallotPaper) -> None:
    reset_poll(paper.poll_id)


def _close(paper: BallotPaper) -> None:
    lifecycle.close_poll(paper.poll_id)


def _certify(paper: BallotPaper) -> None:
    assert lifecycle.certify_poll(paper.poll_id)


def _grow_old(paper: BallotPaper) -> None:
    kept = current._counts._kept[paper.poll_id]
    old = replace(kept, read_at=kept.read_at - current._KEPT_SECONDS - 0.001)
    current._counts._kept[paper.poll_id] = old


def test_count_that_nothing_has_changed_is_kept_with_its_bytes(alice: Person) -> None:
    paper = new_paper(alice)
    _vote(paper)
    first = _now(paper.poll_id)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        again = [_now(paper.poll_id) for _ in range(3)]
    assert all(one.count is first.count for one in again)
    assert all(one.count.body is first.count.body for one in again)
    assert len(queries) == 3  # its row each time, for the version; no tally


HAPPENINGS: dict[str, list[Callable[[BallotPaper], None]]] = {
    "vote": [_vote],
    "edit": [_rename],
    "reset": [_reset],
    "close": [_close],
    "certificate": [_close, _certify],
    "age": [_grow_old],
}


@pytest.mark.parametrize("happenings", HAPPENINGS.values(), ids=HAPPENINGS)
def test_count_is_read_anew_once_something_has_happened(
    alice: Person, happenings: list[Callable[[BallotPaper], None]]
) -> None:
    *before, last = happenings
    paper = new_paper(alice)
    _vote(paper)
    for happening in before:
        happening(paper)
    first = _now(paper.poll_id)
    last(paper)
    second = _now(paper.poll_id)
    assert second.count is not first.count
    assert second.count == read_counts([paper.poll_id])[paper.poll_id]
    assert (second.count == first.count) == (last is _grow_old)
    assert _now(paper.poll_id).count is second.count


def test_poll_that_is_deleted_or_unknown_is_left_out(alice: Person) -> None:
    paper, other = new_paper(alice), new_paper(alice)
    _now(paper.poll_id)
    lifecycle.delete_poll(paper.poll_id)
    found = read_current([paper.poll_id, uuid.uuid4(), other.poll_id])
    assert list(found) == [other.poll_id]


def test_counts_that_are_kept_have_a_limit(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    papers = [new_paper(alice) for _ in range(3)]
    monkeypatch.setattr(current, "_counts", current._Counts())
    monkeypatch.setattr(current, "_KEPT", 2)
    first, *later = [_now(paper.poll_id) for paper in papers]
    assert list(current._counts._kept) == [one.poll.id for one in later]
    assert _now(first.poll.id).count is not first.count  # which takes the place of the next
    assert list(current._counts._kept) == [later[1].poll.id, first.poll.id]


def test_control_count_that_is_kept_by_its_seq_alone_misses_the_certificate(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certifying leaves seq as it is."""
    paper = new_paper(alice)
    _close(paper)
    first = _now(paper.poll_id)
    _certify(paper)

    def by_seq_alone(self: Any, poll: Poll) -> Count | None:
        kept = self._kept.get(poll.id)
        return kept.count if kept is not None and kept.count.seq == poll.tally.seq else None

    with monkeypatch.context() as patch:
        patch.setattr(current._Counts, "of", by_seq_alone)
        assert _now(paper.poll_id).count is first.count
    assert _now(paper.poll_id).count.certified_at is not None
