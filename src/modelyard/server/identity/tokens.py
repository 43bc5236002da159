"""Access tokens: JWTs (HS256) that name a user and a session, and nothing that could change before they end."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import jwt
from sqlalchemy.orm import Session

from modelyard.server.database.base import now
from modelyard.server.identity.secret import known_secret, secret_of

ISSUER = "modelyard"
AUDIENCE = "modelyard-api"
KIND = "access"
LIFE = timedelta(hours=1)
# Servers that share a database may disagree about the time by this much.
LEEWAY = timedelta(seconds=10)
CLAIMS = {"iss": str, "aud": str, "sub": str, "sid": str, "iat": int, "exp": int, "typ": str}
SECRET_NAME = "access-tokens"  # noqa: S105 - the name of a row

# Every token of ours begins with this header, byte for byte: with it, no `alg`, `kid`, `crit`, `jku` or `jwk` of
# anybody else's choosing is ever looked at. The signature's last character has two spare bits, which are zero.
_HEADER = jwt.encode({}, "0" * 32, "HS256").split(".")[0]
_SHAPE = re.compile(re.escape(_HEADER) + r"\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


@dataclass(frozen=True)
class Claims:
    """What a valid access token says."""

    user_id: UUID
    sign_in_id: UUID


class AccessTokens:
    """Makes and reads access tokens; remembers the database's secret after the first use."""

    def __init__(self) -> None:
        self._secret: str | None = None

    def make(self, session: Session, claims: Claims, at: datetime | None = None) -> str:
        """A token that lives for an hour. ``session`` must be able to write: the first token makes the secret."""
        born = at or now()
        spoken = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(claims.user_id),
            "sid": str(claims.sign_in_id),
            "iat": int(born.timestamp()),
            "exp": int((born + LIFE).timestamp()),
            "typ": KIND,
        }
        secret = self._secret or secret_of(session, SECRET_NAME)
        return jwt.encode(spoken, secret, "HS256")

    def read(self, session: Session, token: str) -> Claims | None:
        """What the token says, or None if it is not ours, was changed, or is too old."""
        if _SHAPE.fullmatch(token) is None:
            return None
        secret = self._known_secret(session)
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
                options={"require": sorted(CLAIMS), "strict_aud": True},
            )
            # The library takes "1795542375" and 1795542375.9 for a time, and ignores claims that it does not know.
            if {name: type(value) for name, value in claims.items()} != CLAIMS or claims["typ"] != KIND:
                return None
            return Claims(UUID(claims["sub"]), UUID(claims["sid"]))
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError):
            return None

    def _known_secret(self, session: Session) -> str | None:
        """The secret, once its making is committed: what a transaction has only begun to make may yet be undone."""
        if self._secret is None:
            self._secret = known_secret(session, SECRET_NAME)
        return self._secret
