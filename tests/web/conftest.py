"""Who sits at a browser."""

import pytest

from tests.cast import Person
from tests.web.browsers import Browser


@pytest.fixture
def desk(alice: Person) -> Browser:
    """Alice's browser, at which she is logged in."""
    return Browser(alice.user)
