"""The pages' own files: from memory, for ever under their version, and nothing beside them."""

from pathlib import Path

import pytest
import requests
from django.conf import settings

from tests.live import Server

FOLDER = Path(__file__).resolve().parents[2] / "web/static"
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file())
KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


def get(server: Server, path: str, method: str = "GET", **headers: str) -> requests.Response:
    return requests.request(method, server.url + path, headers=headers, timeout=30)


@pytest.mark.parametrize("name", FILES)
def test_file_is_answered_whole(live: Server, name: str) -> None:
    answer = get(live, f"{settings.STATIC_URL}{name}")
    assert answer.status_code == 200
    assert answer.content == (FOLDER / name).read_bytes()
    assert answer.headers["Content-Type"] == KINDS[Path(name).suffix]
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Encoding"] == "gzip"  # which requests takes, and unpacks
    plain = get(live, f"{settings.STATIC_URL}{name}", **{"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert plain.content == answer.content
    head = get(live, f"{settings.STATIC_URL}{name}", "HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == answer.headers["Content-Length"]


@pytest.mark.parametrize("prefix", ["/static/", "/static/0123abcd/"])
def test_address_without_this_version_is_kept_for_a_minute(live: Server, prefix: str) -> None:
    answer = get(live, f"{prefix}web/js/frame.js")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "public, max-age=60"


def test_whoever_has_a_file_is_told_so(live: Server) -> None:
    path = f"{settings.STATIC_URL}web/css/polls.css"
    etag = get(live, path).headers["ETag"]
    for sent in (etag, etag.removeprefix("W/"), f'"other", {etag}'):
        answer = get(live, path, **{"If-None-Match": sent})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == etag
    assert get(live, path, **{"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("web/", "web/none.js", "web/css", "web/js/../../../urls.py", "web/js/%2e%2e/x"),
        *("web/js/../css/polls.css", "web/css/polls.css/", "../settings/base.py", "web\\css"),
    ],
)
@pytest.mark.parametrize("prefix", ["/static/", settings.STATIC_URL])
def test_nothing_else_is_there(live: Server, prefix: str, path: str) -> None:
    request = requests.Request("GET", live.url).prepare()
    request.url = live.url + prefix + path  # as it stands
    with requests.Session() as session:
        assert session.send(request, timeout=30).status_code == 404


def test_files_are_only_read(live: Server) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert get(live, f"{settings.STATIC_URL}web/css/polls.css", method).status_code in {
            404,
            405,
        }
