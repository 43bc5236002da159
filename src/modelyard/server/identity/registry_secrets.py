"""Secrets of the registry itself, generated once and shared by all servers of one database."""

import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.identity.tables import SecretRow


def find_secret(session: Session, name: str) -> str | None:
    """Return the secret with this name, or None if none was generated yet."""
    return session.scalar(select(SecretRow.value).where(SecretRow.name == name))


def get_or_create_secret(session: Session, name: str) -> str:
    """Return the secret, 384 random bits as text; generate it if there is none. ``session`` must be writable."""
    secret = find_secret(session, name)
    if secret is None:
        secret = secrets.token_urlsafe(48)
        session.add(SecretRow(name=name, value=secret))
        session.flush()
    return secret
