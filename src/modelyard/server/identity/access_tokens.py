"""Access tokens: JWTs (HS256) with a user and a session, and no claim that may become outdated before they expire."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import jwt
from sqlalchemy.orm import Session

from modelyard.server.database.base import now
from modelyard.server.identity.registry_secrets import find_secret, get_or_create_secret

ISSUER = "modelyard"
AUDIENCE = "modelyard-api"
TOKEN_TYPE = "access"  # noqa: S105 - the value of a claim
LIFETIME = timedelta(hours=1)
# The clocks of servers that share a database may differ by this much.
LEEWAY = timedelta(seconds=10)
CLAIM_TYPES = {"iss": str, "aud": str, "sub": str, "sid": str, "iat": int, "exp": int, "typ": str}
SECRET_NAME = "access-tokens"  # noqa: S105 - the name of a row

# Every token of ours begins with exactly this header, so an attacker's `alg`, `kid`, `crit`, `jku` or `jwk` is never
# read. The signature's last character has two unused bits, which must be zero.
_HEADER = jwt.encode({}, "0" * 32, "HS256").split(".")[0]
_SHAPE = re.compile(re.escape(_HEADER) + r"\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


@dataclass(frozen=True)
class Claims:
    """The user and the session of a valid access token."""

    user_id: UUID
    sign_in_id: UUID


class AccessTokens:
    """Issues and verifies access tokens; caches the database's signing secret after the first verification."""

    def __init__(self) -> None:
        self._secret: str | None = None

    def issue(self, session: Session, claims: Claims, at: datetime | None = None) -> str:
        """Issue a token that is valid for an hour. ``session`` must be writable: the first token creates the secret."""
        issued_at = at or now()
        payload = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(claims.user_id),
            "sid": str(claims.sign_in_id),
            "iat": int(issued_at.timestamp()),
            "exp": int((issued_at + LIFETIME).timestamp()),
            "typ": TOKEN_TYPE,
        }
        secret = self._secret or get_or_create_secret(session, SECRET_NAME)
        return jwt.encode(payload, secret, "HS256")

    def verify(self, session: Session, token: str) -> Claims | None:
        """Return the claims of a valid token, or None if it is not ours, was modified, or has expired.

        Whether its session has ended is not checked.
        """
        if _SHAPE.fullmatch(token) is None:
            return None
        secret = self._load_secret(session)
        if secret is None:
            return None
        try:
            claims = jwt.decode(
                token,
                secret,
                ["HS256"],
                issuer=ISSUER,
                audience=AUDIENCE,
                leeway=LEEWAY,
                options={"require": sorted(CLAIM_TYPES), "strict_aud": True},
            )
            # The library accepts "1795542375" and 1795542375.9 as times, and ignores unknown claims.
            if {name: type(value) for name, value in claims.items()} != CLAIM_TYPES or claims["typ"] != TOKEN_TYPE:
                return None
            return Claims(UUID(claims["sub"]), UUID(claims["sid"]))
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError):
            return None

    def _load_secret(self, session: Session) -> str | None:
        """Return the committed secret, from the cache or the database; None if there is none yet.

        ``session`` has not written: a secret that an open transaction creates may still be rolled back.
        """
        if self._secret is None:
            self._secret = find_secret(session, SECRET_NAME)
        return self._secret
