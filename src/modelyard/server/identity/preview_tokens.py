"""Tokens of the cookie with which a browser loads pictures: they name a session and are good for nothing else."""

import hashlib
import hmac
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.database.base import now
from modelyard.server.identity.registry_secrets import find_secret, get_or_create_secret
from modelyard.server.identity.tables import SignInRow

_SECRET_NAME = "preview-cookie"  # noqa: S105 - the name of a row


class PreviewTokens:
    """Issues and verifies the tokens; caches the signing secret after the first verification.

    A token is ``<session id in hex>.<HMAC-SHA256>``. It is valid as long as its session.
    """

    def __init__(self) -> None:
        self._secret: str | None = None

    def issue(self, session: Session, sign_in_id: UUID) -> str:
        """Return the token of a session. ``session`` must be writable: the first token creates the secret."""
        secret = self._secret or get_or_create_secret(session, _SECRET_NAME)
        return f"{sign_in_id.hex}.{_sign(secret, sign_in_id)}"

    def authenticate(self, session: Session, token: str) -> UUID | None:
        """Return the user whose session a token names; None if it is not ours, or the session has ended or expired."""
        name, _, signature = token.partition(".")
        secret = self._load_secret(session)
        if secret is None or len(name) != 32 or not name.isascii() or not signature.isascii():
            return None
        try:
            sign_in_id = UUID(hex=name)
        except ValueError:
            return None
        if not hmac.compare_digest(_sign(secret, sign_in_id), signature):
            return None
        return session.scalar(
            select(SignInRow.user_id).where(
                SignInRow.id == sign_in_id, SignInRow.ended_at.is_(None), SignInRow.expires_at > now()
            )
        )

    def _load_secret(self, session: Session) -> str | None:
        """Return the committed secret, cached; None if there is none yet. ``session`` has not written."""
        if self._secret is None:
            self._secret = find_secret(session, _SECRET_NAME)
        return self._secret


def _sign(secret: str, sign_in_id: UUID) -> str:
    """Return the signature of a session's token, in hex."""
    return hmac.new(secret.encode(), b"previews:" + sign_in_id.bytes, hashlib.sha256).hexdigest()
