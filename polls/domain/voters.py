"""Voter tokens: a random device id with our signature, so that nobody can make one up."""

import base64
import functools
import hashlib
import hmac
import secrets

from django.conf import settings

from polls.errors import Code, Refusal

_ID_LENGTH = 22  # base64url of 16 bytes
_TOKEN_LENGTH = 2 * _ID_LENGTH


@functools.cache
def _signing_keys() -> tuple[bytes, ...]:
    """Return the key that signs, then the retired ones that still count."""
    return tuple(
        hashlib.sha256(b"polls.voter-token:" + str(secret).encode()).digest()
        for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    )


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _signature(device: str, key: bytes) -> str:
    return _base64url(hmac.digest(key, device.encode(), "sha256")[:16])


def issue_voter_token() -> str:
    """Return a new token: 44 characters, a random device id and its 128-bit signature."""
    device = _base64url(secrets.token_bytes(16))
    return device + _signature(device, _signing_keys()[0])


def device_of(token: str) -> str | None:
    """Return the device id of a token that was issued here, None for any other text."""
    if len(token) != _TOKEN_LENGTH or not token.isascii():
        return None
    device, signature = token[:_ID_LENGTH], token[_ID_LENGTH:]
    for key in _signing_keys():
        if hmac.compare_digest(signature, _signature(device, key)):
            return device
    return None


def require_device(token: str | None) -> str:
    """Return the device id, or raise `voter_token_required` or `voter_token_invalid`."""
    if not token:
        raise Refusal(Code.VOTER_TOKEN_REQUIRED)
    device = device_of(token)
    if device is None:
        raise Refusal(Code.VOTER_TOKEN_INVALID)
    return device
