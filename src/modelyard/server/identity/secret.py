"""Secrets of the registry itself, made once and shared by all servers on one database."""

import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.identity.tables import SecretRow


def known_secret(session: Session, name: str) -> str | None:
    return session.scalar(select(SecretRow.value).where(SecretRow.name == name))


def secret_of(session: Session, name: str) -> str:
    """The secret, 384 random bits as text; made now if the database has none. ``session`` must be able to write."""
    found = known_secret(session, name)
    if found is None:
        found = secrets.token_urlsafe(48)
        session.add(SecretRow(name=name, value=found))
        session.flush()
    return found
