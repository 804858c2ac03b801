"""Ids of ballots ascend, and no two are one, whichever thread or process made them."""

import subprocess
import sys
import uuid

from polls.ids import new_ballot_id
from tests.polls.threads import together


def test_ids_of_ballots_ascend() -> None:
    found = [new_ballot_id() for _ in range(1000)]
    assert found == sorted(set(found))


def test_id_of_a_ballot_is_a_uuid_of_ones_own_form() -> None:
    found = uuid.UUID(new_ballot_id())
    assert (found.version, found.variant) == (8, uuid.RFC_4122)


def test_ids_of_threads_differ() -> None:
    found = together(8, lambda _: [new_ballot_id() for _ in range(5000)])
    assert len({name for names in found for name in names}) == 8 * 5000


_FORK = """
import os
from polls.ids import new_ballot_id
before = new_ballot_id()
child = os.fork()
os.write(1, f"{new_ballot_id()}\\n".encode())  # in one piece, whoever else writes
if child:
    os.waitpid(child, 0)
"""


def test_ids_of_a_forked_child_differ_from_its_parents() -> None:
    """Or its first votes would be refused by the primary key."""
    done = subprocess.run([sys.executable, "-c", _FORK], capture_output=True, text=True, check=True)
    one, other = done.stdout.split()
    assert len(one) == len(other) == 32
    assert one[:22] != other[:22]
