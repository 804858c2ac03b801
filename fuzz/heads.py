"""The head of a vote: what the contract says of it, and heads in every shape."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fuzz.wire import Header, Request

Said = tuple[int, str]
Names = Sequence[str]

MALFORMED: Said = (400, "malformed")
_MIN_KEY, _MAX_KEY = 16, 255
_VISIBLE = range(0x21, 0x7F)
# Headers that decide something: a second one could be read instead of the first.
_ONCE = (
    *(b"authorization", b"content-encoding", b"content-type", b"cookie", b"host"),
    *(b"idempotency-key", b"origin", b"sec-fetch-site", b"x-voter-code"),
    b"x-voter-token",
)

# -- what is wrong with one --------------------------------------------------------------------


def head_faults(request: Request, own_host: str, *, has_body: bool) -> set[Said]:
    """Return every way in which a head may be refused."""
    faults: set[Said] = set()
    names = [name.lower() for name, _ in request.headers]
    if any(b"_" in name for name in names) or any(names.count(name) > 1 for name in _ONCE):
        faults.add(MALFORMED)
    if any(not is_key(key) for key in request.header(b"idempotency-key")):
        faults.add(MALFORMED)
    if any(host != own_host.encode() for host in request.header(b"host")):
        faults.add((400, "bad_host"))
    if has_body and not _is_json(request):
        faults.add((415, "unsupported_media_type"))
    return faults


def is_key(key: bytes) -> bool:
    """Whether this may be an Idempotency-Key."""
    return _MIN_KEY <= len(key) <= _MAX_KEY and all(byte in _VISIBLE for byte in key)


def _is_json(request: Request) -> bool:
    types = request.header(b"content-type")
    encodings = request.header(b"content-encoding")
    return all(
        value.partition(b";")[0].strip().lower() == b"application/json" for value in types or [b""]
    ) and all(value.lower() == b"identity" for value in encodings)


def voter_token(request: Request, own_host: str) -> tuple[bytes | None, bool]:
    """Return the voter token of a request, and whether a cookie of its must not count."""
    given = request.header(b"x-voter-token")
    if given:
        return given[0], False
    scheme = b"https" if request.header(b"x-forwarded-proto") == [b"https"] else b"http"
    cookie = _cookie(request, b"__Host-voter" if scheme == b"https" else b"voter")
    if not cookie:
        return None, False
    own = request.method == "GET"
    own |= request.header(b"sec-fetch-site") == [b"same-origin"]
    own |= request.header(b"origin") == [scheme + b"://" + own_host.encode()]
    return (cookie, False) if own else (None, True)


def _cookie(request: Request, wanted: bytes) -> bytes | None:
    """Return the last cookie of this name."""
    found = None
    for part in b"; ".join(request.header(b"cookie")).split(b";"):
        name, _, value = part.partition(b"=")
        if name.strip() == wanted:
            found = value.strip().strip(b'"')
    return found


# -- heads -------------------------------------------------------------------------------------

JSON: Header = (b"Content-Type", b"application/json")
_TYPES = (
    *(b"application/json; charset=utf-8", b"APPLICATION/JSON", b"application/json;charset=latin-1"),
    *(b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x"),
    *(b"application/jsonp", b"json", b"", b"*/*", b"application/json, text/plain", b"\xff"),
    *(b"application/problem+json", b'application/json ; a="b"', b"text/html; application/json"),
)
_HARMLESS: tuple[Header, ...] = (
    *((b"Accept", b"*/*"), (b"Accept", b"text/html"), (b"Accept", b"image/png;q=x")),
    *((b"Accept-Language", b"fr"), (b"Accept-Language", b"*" * 400), (b"User-Agent", b"\xff\xfe")),
    *((b"Referer", b"http://elsewhere/"), (b"Cookie", b"voter")),
    *((b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Host", b"evil"), (b"If-Match", b'"x"')),
    *((b"If-None-Match", b"*"), (b"Range", b"bytes=0-1"), (b"X-Request-ID", b"../../x")),
    *((b"X-HTTP-Method-Override", b"DELETE"), (b"Cache-Control", b"no-cache"), (b"DNT", b"1")),
    *((b"X-Padding", b"x" * 2000), (b"Cookie", b"a=b"), (b"Cookie", b"; =; ;;x")),
    *((b"Sec-Fetch-Mode", b"cors"), (b"TE", b"trailers"), (b"Via", b"1.1 x")),
    *((b"Cookie", b"sessionid=nonsense"), (b"Cookie", b"csrftoken=short")),
    *((b"Expect", b"100-continue"), (b"Priority", b"u=1"), (b"Forwarded", b"for=_x;proto=https")),
)


@dataclass(frozen=True, slots=True)
class People:
    """The names of those who vote, of whatever they go by, and of the poll's identity."""

    tokens: Names
    keys: Names
    accounts: Names
    codes: Names
    networks: Names


def draw_head(draw: random.Random, people: People, identity: str = "device") -> list[Header]:
    """Return the headers of a vote: mostly ordinary ones, often with one odd thing."""
    headers = [JSON] if draw.random() < 0.9 else _type(draw)
    headers += _weighted(draw, _VOTERS)(draw, people.tokens)
    headers += _weighted(draw, _KEYS)(draw, people.keys)
    headers.append(_forwarded(draw, people.networks))
    if draw.random() < (0.8 if identity == "account" else 0.1):
        headers += _account(draw, people.accounts)
    if draw.random() < (0.9 if identity == "code" else 0.05):
        headers.append((b"X-Voter-Code", draw_code(draw, people.codes)))
    if draw.random() < 0.25:
        extra = draw.choice(_HARMLESS)
        if extra[0] not in {name for name, _ in headers}:
            headers.append(extra)
    if draw.random() < 0.06:
        headers = _spoil(draw, headers)
    return headers


def draw_ordinary_head(draw: random.Random, people: People, identity: str) -> list[Header]:
    """Return headers with nothing wrong: what is decided last is reached by these alone."""
    headers = [JSON, *_token(draw, people.tokens), _forwarded(draw, people.networks)]
    headers += _weighted(draw, ((4, _key), (1, _no_key)))(draw, people.keys)
    if identity == "account":
        headers.append((b"Authorization", b"Bearer " + _name(draw, people.accounts)))
    if identity == "code":
        headers.append((b"X-Voter-Code", draw_code(draw, people.codes)))
    return headers


def draw_code(draw: random.Random, codes: Names) -> bytes:
    """Return a code as it was given or typed in, or what is none."""
    if draw.random() < 0.8:
        name = draw.choice(codes)
        return f"<{draw.choice(('', '', 'typed', 'misread'))}{name}>".encode()
    code = _name(draw, codes)
    return draw.choice(
        (
            *(b"<unknown>", b"<unknown>", b"", b"ABCDEF", b"0" * 16, b"x" * 300, b"\xc3\xa9" * 16),
            *(code + b"0", b"U" + code, code + b"-- -" * 6, b"?", b"_".join((code, code))),
        )
    )


def _forwarded(draw: random.Random, networks: Names) -> Header:
    """Return where our proxy saw a request come from, perhaps behind what the client made up."""
    made_up = draw.choice((b"", b"", b"", b"127.0.0.1, ", b"9.9.9.9,", b"x, ", b"::1,\t", b", "))
    return (b"X-Forwarded-For", made_up + _name(draw, networks))


def _type(draw: random.Random) -> list[Header]:
    if draw.random() < 0.2:
        return []
    return [(b"Content-Type", draw.choice(_TYPES))]


def _name(draw: random.Random, names: Names) -> bytes:
    return f"<{draw.choice(names)}>".encode()


def _no_voter(draw: random.Random, tokens: Names) -> list[Header]:
    del draw, tokens
    return []


def _token(draw: random.Random, tokens: Names) -> list[Header]:
    return [(b"X-Voter-Token", _name(draw, tokens))]


def _forged(draw: random.Random, tokens: Names) -> list[Header]:
    """Return a token that was never issued, or nearly one."""
    token = _name(draw, tokens)
    return [
        (
            b"X-Voter-Token",
            draw.choice(
                (
                    *(b"", b"x", b"\xff" * 44, b"A" * 44, token + b"=", token + token, b"<>"),
                    *(b"a" + token, token + b" x", b'"' + token + b'"', b"null", b"B" * 3000),
                )
            ),
        )
    ]


def _cookies(draw: random.Random, tokens: Names) -> list[Header]:
    """Return a voter's cookie, from a page of ours or from elsewhere."""
    token = _name(draw, tokens)
    value = draw.choice(
        (
            *(b"voter=%b", b"voter=%b", b"a=b; voter=%b", b"voter=x; voter=%b", b'voter="%b"'),
            *(b"voter=; x=%b", b"Voter=%b", b"__Host-voter=%b", b"voter=%bx"),
        )
    )
    site = draw.choice(
        (
            *((b"Sec-Fetch-Site", b"same-origin"), (b"Sec-Fetch-Site", b"cross-site")),
            *((b"Sec-Fetch-Site", b"none"), (b"Origin", b"http://<host>")),
            *(
                (b"Origin", b"http://elsewhere"),
                (b"Origin", b"null"),
                (b"Origin", b"https://<host>"),
            ),
        )
    )
    return [(b"Cookie", value % token), *([site] if draw.random() < 0.9 else [])]


def _no_key(draw: random.Random, keys: Names) -> list[Header]:
    del draw, keys
    return []


def _key(draw: random.Random, keys: Names) -> list[Header]:
    return [(b"Idempotency-Key", _name(draw, keys))]


def _new_key(draw: random.Random, keys: Names) -> list[Header]:
    del keys
    text = bytes(draw.choices(list(_VISIBLE.__iter__()), k=draw.choice((16, 17, 36, 254, 255))))
    return [(b"Idempotency-Key", text.replace(b"<", b"(").replace(b">", b")"))]


def _bad_key(draw: random.Random, keys: Names) -> list[Header]:
    key = _name(draw, keys)
    bad = (
        *(b"", b"short", b"x" * 15, b"x" * 256, b"x" * 5000, b"x" * 8 + b" " + b"x" * 8),
        *(b"\xe4" * 20, b"x" * 16 + b"\x7f", key + b"\t" + key, b"x" * 16 + b"\x80"),
    )
    return [(b"Idempotency-Key", draw.choice(bad))]


Part = Callable[[random.Random, Names], list[Header]]
_VOTERS: Sequence[tuple[int, Part]] = ((60, _token), (14, _forged), (16, _cookies), (10, _no_voter))
_KEYS: Sequence[tuple[int, Part]] = ((55, _key), (10, _new_key), (12, _bad_key), (23, _no_key))


def _weighted(draw: random.Random, parts: Sequence[tuple[int, Part]]) -> Part:
    return draw.choices([part for _, part in parts], [weight for weight, _ in parts])[0]


def _account(draw: random.Random, accounts: Names) -> list[Header]:
    account = _name(draw, accounts)
    values = (
        *(
            b"Bearer " + account,
            b"Bearer " + account,
            b"bearer " + account,
            b"Bearer",
            b"Basic eA==",
        ),
        *(b"Bearer x", b"", b"Bearer " + account + b"x", account, b"Bearer \xff", b"Bearer " * 50),
    )
    return [(b"Authorization", draw.choice(values))]


def _spoil(draw: random.Random, headers: list[Header]) -> list[Header]:
    """Say something twice, under a doubtful name, or for another host."""
    name, value = draw.choice(headers) if headers else JSON
    match draw.randrange(4):
        case 0:
            return [*headers, (name.upper(), value)]
        case 1:
            return [*headers, (name.replace(b"-", b"_"), value)]
        case 2:
            host = draw.choice(
                (b"elsewhere", b"127.0.0.1.evil", b"", b"a b", b"127.0.0.1:x", b"\xff")
            )
            return [*headers, (b"Host", host)]
        case _:
            return [*headers, (draw.choice((b"X_Voter_Token", b"Content_Length", b"_")), b"1")]
