"""The generated password of a user that was not used yet: kept, so that each start of a server can show it."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from modelyard.server.identity.tables import SecretRow

_PREFIX = "initial password of "


class InitialPassword(NamedTuple):
    """A generated password, as plain text, and whose it is."""

    user_id: UUID
    password: str


def keep_initial_password(session: Session, user_id: UUID, password: str) -> None:
    """Store a generated password until ``delete_initial_password``, beside the secrets that sign access tokens."""
    session.add(SecretRow(name=f"{_PREFIX}{user_id}", value=password))


def find_initial_password(session: Session) -> InitialPassword | None:
    """Return the generated password that was not used yet, or None."""
    row = session.scalar(select(SecretRow).where(SecretRow.name.startswith(_PREFIX)))
    return None if row is None else InitialPassword(UUID(row.name.removeprefix(_PREFIX)), row.value)


def delete_initial_password(session: Session, user_id: UUID) -> None:
    """Delete the user's generated password, which they have used or replaced; does nothing if there is none."""
    session.execute(delete(SecretRow).where(SecretRow.name == f"{_PREFIX}{user_id}"))
