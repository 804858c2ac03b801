"""How the log is written: one line an event, in which nobody can forge another, and no secrets.

What strangers choose gets into messages (paths, names, texts of exceptions). So control characters
are written as escapes, the lines of a traceback are indented, and what says who somebody is or
lets somebody in is left out, wherever in a message it stands.
"""

import logging
import re
import unicodedata
from ipaddress import ip_address

LEFT_OUT = "[left out]"
LONGEST = 4096  # characters that are written of a message
LONGEST_TRACEBACK = 65_536
_LONGEST_SECRET = 256  # and no token, code or cookie of ours is longer
_PRIVATE_NAMES = "code|cookie|key|password|secret|ticket|token|voter"
# Each pattern's first group stays. Strangers choose the text, and everybody waits while it is
# searched: no pattern may go over the same characters again from each place.
_SECRETS = (
    # The key in the link of a mail that sets a password anew.
    re.compile(r"(/password/reset/key/)[^/\s'\"]+"),
    re.compile(r"(?i)(\bBearer )\S+"),
    re.compile(r"(\bpoll_)[\w-]{20,}"),  # API tokens
    re.compile(r"(?i)(\b(?:__Host-)?(?:voter|sessionid|csrftoken)=)[^;\s'\"]+"),  # cookies
    re.compile(rf"(?i)([?&](?:{_PRIVATE_NAMES})=)[^&#\s'\"]+"),  # queries
    re.compile(rf"(?i)(['\"](?:[\w-]*[_-])?(?:{_PRIVATE_NAMES})['\"]\s*:\s*['\"])[^'\"]+"),  # JSON
    # Voter tokens and tickets: long, and no word, path or UUID.
    re.compile(r"()(?<![\w/.-])(?=[\w-]*\d)(?=[\w-]*[A-Z])(?=[\w-]*[a-z])[\w-]{32,}(?![\w/-])"),
    # Mail addresses, and the account in a URL of a server.
    re.compile(
        r"()(?<![^\s@<>()'\"{},;:/])[^\s@<>()'\"{},;:/]*+(?::[^\s@/'\":]*+)?@(?=[\w\[-]+[.:\]])"
    ),
    # What PostgreSQL tells of the row that it refuses.
    re.compile(r"(\bKey \([^()\n]*\)=)\(.*"),
    re.compile(r"(\bFailing row contains )\(.*"),
)
_ADDRESSES = (
    re.compile(
        r"(?<![\w.:])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:\d{0,3}(?:\.\d{1,3}){3})?(?![\w:])"
    ),
    re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)"),
)
_KINDS_ESCAPED = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})


def _address_left_out(match: re.Match[str]) -> str:
    """Return the text unless it is the address of another machine."""
    try:
        address = ip_address(match[0])
    except ValueError:
        return match[0]
    return match[0] if address.is_loopback or address.is_unspecified else LEFT_OUT


def without_secrets(text: str) -> str:
    """Return a text without addresses (of networks and of mail), tokens, keys and values of rows.

    The loopback address stays: it is nobody's.
    """
    for pattern in _SECRETS:
        text = pattern.sub(lambda match: match[1] + LEFT_OUT, text)
    for pattern in _ADDRESSES:
        text = pattern.sub(_address_left_out, text)
    return text


def escaped(text: str, *, keep: str = "") -> str:
    r"""Return a text whose control and invisible characters are written out, as in `\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character
        if character in keep or unicodedata.category(character) not in _KINDS_ESCAPED
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )


def _clean(text: str, longest: int) -> str:
    """Return what may be written of a text: so many characters, and no part of a secret."""
    if len(text) <= longest:
        return without_secrets(text)
    # What is cut in two here is not known for a secret: no more than these last characters.
    kept = without_secrets(text[: longest + _LONGEST_SECRET])[:-_LONGEST_SECRET]
    return f"{kept}... ({len(text)} characters in all)"


class LineFormatter(logging.Formatter):
    """Writes each event as one line; the lines of its traceback follow, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """Return what a handler writes of an event."""
        record.message = escaped(_clean(record.getMessage().strip(), LONGEST))
        record.asctime = self.formatTime(record)
        text = self.formatMessage(record)
        told = [self.formatException(record.exc_info)] if record.exc_info else []
        if record.stack_info:
            told.append(self.formatStack(record.stack_info))
        below = escaped(_clean("\n".join(told), LONGEST_TRACEBACK), keep="\n\t")
        return text + "".join(f"\n    {line}" for line in below.split("\n") if line)
