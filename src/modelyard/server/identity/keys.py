"""How keys and other opaque tokens look: ``<prefix>-<43 url-safe characters><6 characters of checksum>``.

The checksum is no security: it spares a database look-up for garbage and lets scanners find leaked keys offline.
"""

import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass

from modelyard.wire.credentials import PREFIXES, Kind

REFRESH = "mr-"
INVITATION = "in-"
PAIRING = "pc-"
PASSWORD_RESET = "rs-"  # noqa: S105 - a prefix

SHOWN_CHARACTERS = 11
KIND_OF_PREFIX: dict[str, Kind] = {prefix: kind for kind, prefix in PREFIXES.items()}

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHAPE = re.compile(r"[a-z]{2}-[A-Za-z0-9_-]{43}[A-Za-z0-9]{6}")


@dataclass(frozen=True)
class NewToken:
    """A fresh token: ``raw`` is for its holder only, the rest is for the database."""

    raw: str
    shown_prefix: str
    digest: str


def new_token(prefix: str) -> NewToken:
    """256 random bits behind ``prefix``."""
    body = prefix + secrets.token_urlsafe(32)
    raw = body + _checksum(body)
    return NewToken(raw, raw[:SHOWN_CHARACTERS], digest(raw))


def is_well_formed(token: str, prefix: str) -> bool:
    """Whether ``token`` could be one of ours with this prefix; says nothing about whether it exists."""
    return token.startswith(prefix) and _SHAPE.fullmatch(token) is not None and _checksum(token[:-6]) == token[-6:]


def digest(token: str) -> str:
    """What the database keeps of a token. Without salt and cost: nobody guesses 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def _checksum(body: str) -> str:
    """CRC32 as six digits of base 62."""
    rest = zlib.crc32(body.encode())
    digits = ""
    for _ in range(6):
        rest, digit = divmod(rest, 62)
        digits = _ALPHABET[digit] + digits
    return digits
