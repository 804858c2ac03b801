"""Uvicorn's HTTP protocol, which refuses what it cannot parse as the API refuses everything."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from polls.errors import Code, Refusal
from polls.messages import problem_answer
from polls_project.sending import headers_of

_DETAIL = "This is no HTTP request: its method, URL, headers or chunks cannot be parsed."


class HttpProtocol(HttpToolsProtocol):
    """Answers what its parser stumbles over with a problem; there is no request to pass on."""

    def send_400_response(self, msg: str) -> None:
        """Say so and close the connection, for where the next request begins is unknown."""
        del msg
        path = self.url.partition(b"?")[0].decode("ascii", errors="replace")
        answer = problem_answer(Refusal(Code.MALFORMED, _DETAIL), path)
        headers = [*headers_of(answer, secure=False), (b"connection", b"close")]
        lines = [b"HTTP/1.1 400 Bad Request", *(b": ".join(header) for header in headers)]
        self.transport.write(b"\r\n".join([*lines, b"", answer.body]))
        self.transport.close()
