"""Pages of other sites: those that the operator names may call, without cookies."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.cast import assert_problem
from tests.live import Server
from tests.polls.wire import PATIENCE

PARTNER = "https://partner.example"
VOTERS = "/api/v1/voters/"


@pytest.fixture(scope="module")
def partnered() -> Iterator[Server]:
    """A server that one other site's pages may call."""
    with Server(CORS_ALLOWED_ORIGINS=PARTNER) as server:
        yield server


def preflight(server: Server, **headers: str) -> requests.Response:
    asked = {
        "Origin": PARTNER,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, idempotency-key, x-voter-token",
    }
    asked |= {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.options(server.url + VOTERS, headers=asked, timeout=PATIENCE)


def granted(answer: requests.Response) -> dict[str, str]:
    return {
        name.lower(): value
        for name, value in answer.headers.items()
        if name.lower().startswith("access-control-allow-")
    }


def test_row_23_page_of_a_named_site_may_vote(partnered: Server) -> None:
    asked = preflight(partnered)
    assert asked.status_code == 200
    assert granted(asked)["access-control-allow-origin"] == PARTNER
    assert "POST" in granted(asked)["access-control-allow-methods"].split(", ")
    assert "access-control-allow-credentials" not in granted(asked)
    poll = partnered.sign_up().make_poll()
    answer = partnered.voter().vote(poll, 0, Origin=PARTNER)
    assert answer.status_code == 201
    assert granted(answer) == {"access-control-allow-origin": PARTNER}
    refused = partnered.voter().vote(poll, 0, Origin=PARTNER, Idempotency_Key="short")
    assert_problem(
        refused,
        400,
        "malformed",
        detail=(detail := "Idempotency-Key takes 16 to 255 visible ASCII characters."),
        errors=[("Idempotency-Key", "format", detail)],
    )
    assert granted(refused) == {"access-control-allow-origin": PARTNER}


@pytest.mark.parametrize(
    "asked",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"{PARTNER}.evil.example"},
        {"Access-Control-Request-Method": "TRACE"},
        {"Access-Control-Request-Headers": "x-anything"},
    ],
    ids=str,
)
def test_row_23_preflight_that_is_not_granted_is_a_problem_like_any_other(
    partnered: Server, asked: dict[str, Any]
) -> None:
    answer = preflight(partnered, **asked)
    assert_problem(answer, 405, "method_not_allowed")
    assert set(granted(answer)) <= {"access-control-allow-origin"}
    assert answer.headers.get("Access-Control-Allow-Origin") in {None, PARTNER}
