"""The errors of a machine that lacks a server."""


class ServerMissingError(Exception):
    """A server is neither given nor to be started; the message says what to do."""


class FolderClosedError(ServerMissingError):
    """The account that PostgreSQL runs as cannot reach the folder of its data."""
