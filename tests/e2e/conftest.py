"""Tests of whole commands and deployments."""

from tests.stack import STACK

# These bring a stack of their own, whatever the suite runs on: once is enough.
collect_ignore = (
    []
    if STACK == "servers"
    else [
        *("test_commands.py", "test_protocol_command.py", "test_protocol_document.py"),
        "test_tcp_proxy.py",
    ]
)
