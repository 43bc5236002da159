"""The format of keys and other opaque tokens: ``<prefix>-<43 url-safe characters><6 characters of checksum>``.

The checksum is not for security: it saves a query for garbage and lets secret scanners find leaked keys offline.
"""

import base64
import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass

from modelyard.wire.credentials import PREFIXES, Kind

REFRESH = "mr-"
INVITATION = "in-"
PAIRING = "pc-"
PASSWORD_RESET = "rs-"  # noqa: S105 - a prefix

VISIBLE_PREFIX_LENGTH = 11
KIND_OF_PREFIX: dict[str, Kind] = {prefix: kind for kind, prefix in PREFIXES.items()}

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHAPE = re.compile(r"[a-z]{2}-[A-Za-z0-9_-]{43}[A-Za-z0-9]{6}")


@dataclass(frozen=True)
class NewToken:
    """A generated token: ``raw`` is sent to its holder only and never stored; the rest is stored."""

    raw: str
    visible_prefix: str
    digest: str


def generate_token(prefix: str) -> NewToken:
    """Generate a token with 256 random bits behind ``prefix``."""
    return _build_token(prefix, secrets.token_urlsafe(32))


def derive_token(prefix: str, secret: str, seed: str) -> NewToken:
    """Return the one token with ``prefix`` of a secret and a seed, each of 256 random bits; both are needed for it."""
    code = hmac.digest(secret.encode(), f"{prefix}{seed}".encode(), hashlib.sha256)
    return _build_token(prefix, base64.urlsafe_b64encode(code).rstrip(b"=").decode())


def _build_token(prefix: str, secret: str) -> NewToken:
    """Return a token of a prefix and 43 url-safe characters."""
    body = prefix + secret
    raw = body + _checksum(body)
    return NewToken(raw, raw[:VISIBLE_PREFIX_LENGTH], digest(raw))


def is_well_formed(token: str, prefix: str) -> bool:
    """Return whether ``token`` has this prefix, the right shape and a valid checksum. It may still be unknown."""
    return token.startswith(prefix) and _SHAPE.fullmatch(token) is not None and _checksum(token[:-6]) == token[-6:]


def digest(token: str) -> str:
    """Return the SHA-256 under which a token is stored. No salt is needed: 256 random bits cannot be guessed."""
    return hashlib.sha256(token.encode()).hexdigest()


def _checksum(body: str) -> str:
    """Return the CRC32 as six base-62 digits."""
    rest = zlib.crc32(body.encode())
    digits = ""
    for _ in range(6):
        rest, digit = divmod(rest, 62)
        digits = _ALPHABET[digit] + digits
    return digits
