"""Accounts and tokens: registering, exchanging a password, listing and revoking."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import TOKEN_LIFETIME, ApiToken, User
from tests.cast import PASSWORD, Fault, Person, assert_problem, sign_up, signed_in, stored_rows

REGISTER = "/api/v1/auth/register/"
TOKENS = "/api/v1/auth/tokens/"
NEEDS_ACCOUNT = (401, "authentication_required")


def bearer(token: str) -> Person:
    person = Person()
    person.headers["Authorization"] = f"Bearer {token}"
    return person


def get_token(username: str, password: str = PASSWORD, **fields: Any) -> Any:
    return Person().post(TOKENS, {"username": username, "password": password, **fields})


# -- registering -----------------------------------------------------------------------------


@pytest.mark.parametrize("email", [{}, {"email": "dora@example.org"}, {"email": ""}])
def test_registering_makes_an_account_that_can_sign_in(
    charlie: Person, email: dict[str, str]
) -> None:
    answer = charlie.post(REGISTER, {"username": "dora", "password": PASSWORD, **email})
    assert (answer.status_code, answer.json()) == (201, {"username": "dora"})
    assert User.objects.get(username="dora").email == email.get("email", "")
    assert get_token("dora").status_code == 201


@pytest.mark.parametrize(
    ("taken", "name"),
    [
        ("alice", "alice"),
        ("alice", "ALICE"),
        ("\u00c4lice", "\u00e4lice"),
        ("kim", "\uff4b\uff49m"),
        ("\u039d\u0399\u039a\u039f\u03a3", "\u03bd\u03b9\u03ba\u03bf\u03c2"),
        ("stra\u00dfe", "STRASSE"),
    ],
)
def test_name_that_differs_in_case_or_width_alone_is_taken(
    charlie: Person, taken: str, name: str
) -> None:
    sign_up(taken)
    before = stored_rows()
    answer = charlie.post(REGISTER, {"username": name, "password": PASSWORD})
    assert_problem(
        answer, 409, "username_taken", errors=[("username", "taken", "Somebody has this name.")]
    )
    assert stored_rows() == before


def test_two_names_that_share_their_upper_case_sign_in_as_themselves(charlie: Person) -> None:
    names = ("kit", "k\u0131t")
    for name in names:
        body = {"username": name, "password": f"{PASSWORD} of {name}"}
        assert charlie.post(REGISTER, body).status_code == 201
    for name in names:
        token = get_token(name, f"{PASSWORD} of {name}").json()["token"]
        row = ApiToken.find(token)
        assert row is not None
        assert row.user.username == name


@pytest.mark.parametrize("name", ["Jose\u0301", "Jos\u00e9", "JOSE\u0301", "\uff2aos\u00e9"])
def test_name_signs_in_however_it_is_composed(charlie: Person, name: str) -> None:
    body = {"username": "Jose\u0301", "password": PASSWORD}
    assert charlie.post(REGISTER, body).json() == {"username": "Jos\u00e9"}
    assert get_token(name).status_code == 201


def test_renamed_account_signs_in_by_its_new_name_alone(alice: Person) -> None:
    del alice
    user = User.objects.get(username="alice")
    user.username = "\u00c4lice"
    user.save(update_fields=["username"])
    assert get_token("\u00e4lice").status_code == 201
    assert get_token("alice").status_code == 401


SHORT = (
    "password",
    "password_too_short",
    "This password is too short. It must contain at least 8 characters.",
)
COMMON = ("password", "password_too_common", "This password is too common.")
NUMERIC = ("password", "password_entirely_numeric", "This password is entirely numeric.")
SIMILAR = ("password", "password_too_similar", "The password is too similar to the username.")
NAME = (
    "username",
    "invalid",
    (
        "Enter a valid username. This value may contain only letters, numbers, "
        "and @/./+/-/_ characters."
    ),
)


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"password": "xk2"}, [SHORT]),
        ({"password": ""}, [SHORT]),
        ({"password": "password"}, [COMMON]),
        ({"password": "8461957302847"}, [NUMERIC]),
        ({"password": "dora.longname"}, [SIMILAR]),
        ({"username": "a b"}, [NAME]),
        ({"username": ""}, [("username", "blank", "This field cannot be blank.")]),
        (
            {"username": "x" * 151},
            [
                (
                    "username",
                    "max_length",
                    "Ensure this value has at most 150 characters (it has 151).",
                )
            ],
        ),
        ({"email": "nobody"}, [("email", "invalid", "Enter a valid email address.")]),
        ({"username": "a b", "password": "xk2"}, [NAME, SHORT]),
    ],
    ids=str,
)
def test_account_that_cannot_be_is_refused_naming_every_field(
    charlie: Person, fields: dict[str, str], errors: list[Fault]
) -> None:
    before = stored_rows()
    body = {"username": "dora.longname", "password": PASSWORD, **fields}
    assert_problem(charlie.post(REGISTER, body), 400, "invalid_account", errors=errors)
    assert stored_rows() == before


def test_registering_is_refused_where_the_operator_has_closed_it(
    charlie: Person, settings: Any
) -> None:
    settings.REGISTRATION = "closed"
    answer = charlie.post(REGISTER, {"username": "dora", "password": PASSWORD})
    assert_problem(answer, 403, "registration_closed")
    assert not User.objects.exists()


# -- tokens ----------------------------------------------------------------------------------


def test_token_is_issued_once_and_stored_as_a_hash(alice: Person) -> None:
    answer = get_token("ALICE", name="laptop")
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == {"id", "token", "expires_at"}
    row = ApiToken.objects.get(id=body["id"])
    assert (row.user, row.name) == (alice.user, "laptop")
    assert datetime.fromisoformat(body["expires_at"]) == row.expires_at
    assert body["token"].encode() not in bytes(row.token_hash)
    assert bearer(body["token"]).get("/api/v1/polls/").status_code == 200


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize(
    ("name", "password"),
    [("alice", "wrong"), ("alice", ""), ("nobody", PASSWORD), ("", ""), ("alice", PASSWORD + " ")],
)
def test_token_is_refused_to_a_wrong_name_or_password(name: str, password: str) -> None:
    assert_problem(get_token(name, password), 401, "invalid_credentials")
    assert ApiToken.objects.count() == 1


def test_token_is_refused_to_an_account_that_is_switched_off(alice: Person) -> None:
    User.objects.filter(pk=alice.row.user_id).update(is_active=False)
    assert_problem(get_token("alice"), 401, "invalid_credentials")


def test_stale_credentials_do_not_hinder_the_exchange_of_a_password(alice: Person) -> None:
    alice.headers["Authorization"] = "Bearer stale"
    body = {"username": "alice", "password": PASSWORD}
    assert alice.post(TOKENS, body).status_code == 201


def test_tokens_are_listed_newest_first_without_their_secrets(alice: Person, bob: Person) -> None:
    for name in ("laptop", "phone"):
        get_token("alice", name=name)
    answer = alice.get(TOKENS)
    rows = ApiToken.objects.filter(user=alice.user).order_by("-created_at")
    assert answer.json() == [
        {
            "id": str(row.id),
            "name": row.name,
            "created_at": row.created_at.isoformat().replace("+00:00", "Z"),
            "expires_at": row.expires_at.isoformat().replace("+00:00", "Z"),
        }
        for row in rows
    ]
    assert [token["name"] for token in answer.json()] == ["phone", "laptop", ""]
    assert [token["id"] for token in bob.get(TOKENS).json()] == [str(bob.row.id)]
    assert answer.headers["Cache-Control"] == "private, no-store"


def test_row_03_revoked_token_does_not_count_any_more(alice: Person) -> None:
    issued = get_token("alice").json()
    gone = bearer(issued["token"])
    answer = alice.delete(f"{TOKENS}{issued['id']}/")
    assert (answer.status_code, answer.content) == (204, b"")
    assert_problem(gone.get("/api/v1/polls/"), *NEEDS_ACCOUNT)
    assert_problem(alice.delete(f"{TOKENS}{issued['id']}/"), 404, "not_found")


def test_token_can_revoke_itself(alice: Person) -> None:
    assert alice.delete(f"{TOKENS}{alice.row.id}/").status_code == 204
    assert_problem(alice.get(TOKENS), *NEEDS_ACCOUNT)


def test_token_of_another_account_cannot_be_revoked(alice: Person, bob: Person) -> None:
    assert_problem(bob.delete(f"{TOKENS}{alice.row.id}/"), 404, "not_found")
    assert alice.get(TOKENS).status_code == 200


@pytest.mark.parametrize("ended", ["expired", "switched off", "revoked"])
def test_token_that_no_longer_counts_is_refused_not_ignored(alice: Person, ended: str) -> None:
    poll = alice.make_poll()
    limits = alice.get("/api/v1/limits/")
    if ended == "expired":
        now = datetime.now(UTC)
        ApiToken.objects.update(created_at=now - TOKEN_LIFETIME, expires_at=now)
    elif ended == "switched off":
        User.objects.update(is_active=False)
    else:
        ApiToken.objects.all().delete()
    # Also where no account would have been needed: who sends a token means to be somebody.
    for path in ("/api/v1/polls/", poll["links"]["self"], poll["links"]["results"]):
        answer = alice.get(path)
        assert_problem(answer, *NEEDS_ACCOUNT)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert alice.get("/api/v1/limits/").content == limits.content


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer x", "Basic YWxpY2U6eA==", "x", "Bearer a b"]
)
def test_authorization_that_is_no_token_is_refused(alice: Person, header: str) -> None:
    alice.headers["Authorization"] = header
    assert_problem(alice.get("/api/v1/polls/"), *NEEDS_ACCOUNT)


def test_scheme_of_a_token_is_read_without_regard_to_case(alice: Person) -> None:
    token = alice.headers["Authorization"].split()[1]
    alice.headers["Authorization"] = f"bearer {token}"
    assert alice.get("/api/v1/polls/").status_code == 200


@pytest.mark.usefixtures("alice")
def test_token_lasts_for_its_lifetime() -> None:
    issued = datetime.fromisoformat(get_token("alice").json()["expires_at"])
    assert abs(issued - datetime.now(UTC) - TOKEN_LIFETIME) < timedelta(minutes=1)


# -- session cookies -------------------------------------------------------------------------


def browser_of(person: Person) -> tuple[Client, str]:
    """Return a browser with the person's session that has seen a page, and its CSRF token."""
    browser = Client(enforce_csrf_checks=True, raise_request_exception=False)
    assert person.user is not None
    browser.force_login(person.user)
    poll = sign_up("host").make_poll()
    browser.get(poll["links"]["page"])
    return browser, browser.cookies["csrftoken"].value


@pytest.mark.usefixtures("database")
def test_session_cookie_reads_without_a_csrf_token() -> None:
    browser, _ = browser_of(signed_in("sam"))
    assert browser.get("/api/v1/polls/").status_code == 200


POLL = b'{"title": "Lunch?", "options": [{"text": "Pizza"}, {"text": "Sushi"}]}'


@pytest.mark.usefixtures("database")
def test_session_cookie_writes_with_a_csrf_token() -> None:
    browser, token = browser_of(signed_in("sam"))
    answer = browser.generic(
        "POST",
        "/api/v1/polls/",
        POLL,
        content_type="application/json",
        headers={"X-CSRFToken": token},
    )
    assert answer.status_code == 201, answer.content
    assert answer.json()["owner"] == "sam"


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("headers", [{}, {"X-CSRFToken": "x" * 32}, {"X-CSRFToken": ""}], ids=str)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/polls/"),
        ("PATCH", "{poll}"),
        ("DELETE", "{poll}"),
        ("POST", "{poll}open/"),
        ("POST", "{poll}close/"),
        ("POST", "{poll}reset/"),
        ("POST", "{poll}codes/"),
        ("POST", "{poll}votes/"),
        ("PUT", "{poll}votes/"),
        ("DELETE", "{poll}votes/"),
        ("DELETE", "{token}"),
        ("POST", "/api/v1/live-tickets/"),
        ("POST", "/api/v1/events/"),
        ("PATCH", "{event}"),
        ("DELETE", "{event}"),
    ],
)
def test_row_22_session_cookie_without_a_csrf_token_writes_nothing(
    method: str, path: str, headers: dict[str, str]
) -> None:
    sam = signed_in("sam")
    assert sam.user is not None
    poll, event = Person(sam.user).make_poll(identity="account"), Person(sam.user).make_event()
    browser, _ = browser_of(sam)
    row, _ = ApiToken.issue(sam.user)
    before = stored_rows()
    bodies = {
        "POST /api/v1/polls/": POLL,
        "PATCH {poll}": b'{"title": "Dinner?"}',
        "POST {poll}codes/": b'{"count": 1}',
        "POST {poll}votes/": b'{"choices": ["%s"]}' % poll["options"][0]["id"].encode(),
        "PUT {poll}votes/": b'{"choices": ["%s"]}' % poll["options"][0]["id"].encode(),
        "POST /api/v1/live-tickets/": b'{"polls": ["%s"]}' % poll["id"].encode(),
        "POST /api/v1/events/": b'{"title": "An evening"}',
        "PATCH {event}": b'{"title": "Another"}',
    }
    answer = browser.generic(
        method,
        path.format(
            poll=poll["links"]["self"], event=event["links"]["self"], token=f"{TOKENS}{row.id}/"
        ),
        bodies.get(f"{method} {path}", b""),
        content_type="application/json",
        headers=headers,
    )
    assert_problem(answer, 403, "csrf_failed")
    assert stored_rows() == before
    assert Person(sam.user).read_poll(poll)["title"] == "Lunch?"


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("identity", ["device", "open"])
def test_session_without_a_csrf_token_keeps_nobody_from_voting_without_an_account(
    alice: Person, identity: str
) -> None:
    poll = alice.make_poll(identity=identity)
    browser, _ = browser_of(signed_in("sam"))
    here = {"Origin": "http://testserver"}
    issued = browser.generic("POST", "/api/v1/voters/", headers=here)
    assert issued.status_code == 201, issued.content
    answer = browser.post(
        poll["links"]["vote"],
        {"choices": [poll["options"][0]["id"]]},
        content_type="application/json",
        headers={**here, "X-Voter-Token": issued.json()["token"]},
    )
    assert answer.status_code == 201, answer.content


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b'{"title": ', "application/json", (400, "malformed")),
        (b"title=Lunch", "application/x-www-form-urlencoded", (415, "unsupported_media_type")),
        (b"&" * 2000, "application/x-www-form-urlencoded", (415, "unsupported_media_type")),
        (b"{}", "multipart/form-data", (415, "unsupported_media_type")),
        (b"", "multipart/form-data", (400, "malformed")),
        (
            b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nLunch\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            (415, "unsupported_media_type"),
        ),
    ],
)
def test_csrf_token_does_not_hide_what_ails_the_body(
    body: bytes, content_type: str, expected: tuple[int, str]
) -> None:
    browser, token = browser_of(signed_in("sam"))
    answer = browser.generic(
        "POST", "/api/v1/polls/", body, content_type=content_type, headers={"X-CSRFToken": token}
    )
    assert (answer.status_code, answer.json()["code"]) == expected
