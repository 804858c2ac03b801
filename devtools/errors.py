"""The error of a machine that lacks a server."""


class ServerMissingError(Exception):
    """A server is neither given nor to be started; the message says what to do."""
