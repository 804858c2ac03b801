"""What schemathesis is told beside the schema: what there is to name, and how refusals look.

It runs in a process of its own, and finds this module by SCHEMATHESIS_HOOKS. FUZZ_IDS names the
ids by the path's parameter, as JSON: made-up ids would meet nothing but 404. FUZZ_OVERLOADS is a
file that gets a byte for each answer of an overloaded service.
"""

import json
import os
import zlib
from pathlib import Path
from typing import Any

import schemathesis

from fuzz.overload import is_overload
from fuzz.problems import faults_of
from fuzz.schema import Operation, operations
from fuzz.wire import Answer

_IDS: dict[str, list[str]] = json.loads(os.environ.get("FUZZ_IDS", "{}"))
_MADE_UP = 5  # of so many paths one keeps what was made up
_operations: dict[tuple[str, str], Operation] = {}


@schemathesis.hook
def map_path_parameters(_: Any, path_parameters: Any) -> Any:  # noqa: ANN401 - its own types
    """Put ids that there are in the place of most that were made up."""
    if not isinstance(path_parameters, dict):
        return path_parameters
    named = {}
    for name, value in path_parameters.items():
        # Its own draw would not be seen by what makes failures smaller.
        dice = zlib.crc32(repr(value).encode())
        ids = _IDS.get(name)
        named[name] = ids[dice // _MADE_UP % len(ids)] if ids and dice % _MADE_UP else value
        if name == "token_id":
            named[name] = ids[dice % len(ids)] if ids else value  # none that the run goes by
    return named


@schemathesis.check
def answer_is_documented(_: Any, response: Any, case: Any) -> None:  # noqa: ANN401 - the same
    """Hold status, code, media type and body to what the operation tells."""
    if not _operations:
        told = operations(case.operation.schema.raw_schema)
        _operations.update({(one.method, one.path): one for one in told})
    headers = [
        (name.lower().encode(), value.encode())
        for name, values in response.headers.items()
        for value in values
    ]
    answer = Answer(response.status_code, headers, response.content)
    if is_overload(answer):
        with Path(os.environ["FUZZ_OVERLOADS"]).open("ab") as file:
            file.write(b"x")
        return
    path = response.request.path_url.partition("?")[0]
    wrong = faults_of(answer, path) if case.method != "HEAD" else []
    operation = _operations.get((case.method.upper(), case.operation.path))
    if operation is not None and not wrong:
        body = json.loads(answer.body) if answer.body else None
        code = body.get("code", "") if isinstance(body, dict) else ""
        wrong = operation.faults_of(answer.status, str(code), body)
    assert not wrong, wrong  # noqa: S101 - how a check of schemathesis fails
