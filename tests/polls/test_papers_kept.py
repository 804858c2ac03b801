"""What a process keeps of ballot papers: which, and how many."""

import sys
from collections.abc import Iterator

import pytest

from polls.domain.ballot_paper import Papers, load_ballot_paper
from polls.domain.statements import Tallied
from tests.cast import Person
from tests.polls.ballots import new_paper, new_papers
from tests.polls.threads import together


def test_paper_that_is_forgotten_is_gone_and_a_newer_one_stays(alice: Person) -> None:
    (paper,) = new_papers(alice, 1)
    name, kept = str(paper.poll_id), Papers()
    kept.keep(paper)
    assert kept.get(name) is paper
    newer = load_ballot_paper(paper.poll)
    kept.keep(newer)
    kept.forget(paper)  # by a vote that was checked under it
    assert kept.get(name) is newer
    for _ in range(2):
        kept.forget(newer)
        assert kept.get(name) is None


def test_poll_that_has_not_opened_has_no_paper_to_keep(alice: Person) -> None:
    kept = Papers()
    for status in ("draft", "open", "closed", "scheduled"):
        paper = new_paper(alice, status="draft" if status == "draft" else "open")
        if status == "scheduled":
            paper.poll.opened_at = None
        elif status == "closed":
            paper.poll.status = "closed"
        kept.keep(paper)
        expected = paper if status in {"open", "closed"} else None
        assert kept.get(str(paper.poll_id)) is expected


def test_papers_that_are_kept_have_a_limit(alice: Person) -> None:
    kept, made = Papers(limit=3), new_papers(alice, 5)

    def held() -> list[bool]:
        return [kept.get(str(paper.poll_id)) is paper for paper in made]

    for paper in made[:3]:
        kept.keep(paper)
    kept.keep(made[0])  # read anew: now the second is the oldest
    kept.keep(made[3])
    assert held() == [True, False, True, True, False]
    kept.keep(made[4])
    assert held() == [True, False, False, True, True]


def test_bodies_that_are_remembered_have_a_limit(alice: Person) -> None:
    (paper,) = new_papers(alice, 1)
    ballot = paper.canonical(list(paper.options)[:1])
    paper.remember(b" " * 257, ballot)
    for number in range(300):
        paper.remember(b"%d" % number, ballot)
    known = [paper.remembered(b"%d" % number) is ballot for number in range(300)]
    assert known == [True] * 64 + [False] * 236
    assert paper.remembered(b" " * 257) is None


# -- one count for all votes of a flush ----------------------------------------------------------


@pytest.fixture
def _hasty_threads() -> Iterator[None]:
    """Let threads take turns far more often than they do."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("_hasty_threads")
def test_receipts_of_two_flushes_that_are_written_at_once_have_each_its_own_count(
    alice: Person,
) -> None:
    """Or a receipt would show a count that is older than its vote."""
    (paper,) = new_papers(alice, 1)
    tallies = [Tallied(seq, seq, dict.fromkeys(paper.options.values(), seq)) for seq in (1, 2)]

    def count(place: int) -> set[int]:
        return {paper.count(tallies[place]).seq for _ in range(20_000)}

    assert together(2, count) == [{1}, {2}]
