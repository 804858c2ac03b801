"""Uvicorn's HTTP protocol, which refuses what it cannot parse as the API refuses everything."""

import json

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from polls.errors import Code, Refusal
from polls_project.gate import ANSWER_HEADERS, API_POLICY

_DETAIL = "This is no HTTP request: its method, URL, headers or chunks cannot be parsed."


class HttpProtocol(HttpToolsProtocol):
    """Answers what its parser stumbles over with a problem; there is no request to pass on."""

    def send_400_response(self, msg: str) -> None:
        """Say so and close the connection, for where the next request begins is unknown."""
        del msg
        path = self.url.partition(b"?")[0].decode("ascii", errors="replace")
        refusal = Refusal(Code.MALFORMED, _DETAIL)
        body = json.dumps(refusal.problem(path)).encode()
        headers = (
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"content-security-policy", API_POLICY),
            *ANSWER_HEADERS,
            (b"connection", b"close"),
        )
        lines = [b"HTTP/1.1 400 Bad Request", *(b": ".join(header) for header in headers)]
        self.transport.write(b"\r\n".join([*lines, b"", body]))
        self.transport.close()
