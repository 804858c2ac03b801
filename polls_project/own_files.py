"""The pages' own styles and scripts, answered from memory on the event loop.

Each phone that opens a poll asks for a dozen of them: by way of Django's threads, a hall of phones
would keep those from everything else.
"""

import gzip
import hashlib
import mimetypes
import re
from pathlib import Path

from django.conf import settings

from polls.messages import Answer, wire_headers
from polls_project.sending import Scope, Send, send_answer

# /static/<version>/web/… is how pages name them, /static/web/… how other sites may.
_PATH = re.compile(r"/static/(?:(?P<version>[0-9a-f]{8})/)?(?P<name>web/.+)")
_FOR_EVER = "public, max-age=31536000, immutable"
_FOR_NOW = "public, max-age=60"


class OwnFiles:
    """Answers GET and HEAD of every file below a folder; knows nothing of any other path."""

    def __init__(self, folder: Path) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): _File(path)
            for path in folder.rglob("*")
            if path.is_file()
        }

    def knows(self, scope: Scope) -> bool:
        """Whether a request is for one of the files."""
        return scope["method"] in {"GET", "HEAD"} and self._find(scope["path"]) is not None

    async def __call__(self, scope: Scope, send: Send) -> None:
        """Answer a request for a file that `knows` has found; 304 to whoever has it."""
        found = self._find(scope["path"])
        assert found is not None  # noqa: S101 - `knows` comes first
        file, version = found
        sent = dict(scope["headers"])
        packed = b"gzip" in sent.get(b"accept-encoding", b"")
        if settings.DEBUG:
            file.read()
        headers = {
            "Content-Type": file.kind,
            "Cache-Control": _FOR_EVER if version == settings.STATIC_VERSION else _FOR_NOW,
            "ETag": file.etag,
            "Vary": "Accept-Encoding",
            # A page of another site may load the script that sizes its frame.
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Access-Control-Allow-Origin": "*",
        }
        known = sent.get(b"if-none-match", b"").decode("latin-1")
        if file.etag.removeprefix("W/") in (
            tag.strip().removeprefix("W/") for tag in known.split(",")
        ):
            await send_answer(scope, send, Answer(304, wire_headers(headers), b""))
            return
        body = file.packed if packed else file.body
        if packed:
            headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(body))
        shown = b"" if scope["method"] == "HEAD" else body
        await send_answer(scope, send, Answer(200, wire_headers(headers), shown))

    def _find(self, path: str) -> "tuple[_File, str | None] | None":
        if not path.startswith("/static/"):
            return None
        match = _PATH.fullmatch(path)
        file = self._files.get(match["name"]) if match else None
        return None if match is None or file is None else (file, match["version"])


class _File:
    """One file, in memory; a developer's is read anew each time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self.kind = f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
        self.read()

    def read(self) -> None:
        self.body = self._path.read_bytes()
        # Nothing in it is secret, so that its length on the wire tells nobody anything.
        self.packed = gzip.compress(self.body, mtime=0)
        self.etag = f'W/"{hashlib.sha256(self.body).hexdigest()[:16]}"'
