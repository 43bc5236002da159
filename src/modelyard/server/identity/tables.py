"""Users, their sign-ins, the keys of programs and machines, and the registry's own secrets.

users ──< sign_ins ──< spent_tokens      a session, and the refresh tokens that it has used up
  └────< credentials >── teams           sk-, dk-, ak-: one table, told apart by kind
credentials.paired_with ── the dk- key that an ak- key was born with
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import Row, new_id, now


class UserRow(Row):
    """A person. ``email_address`` is as sent; ``email_key`` is what makes two addresses the same account."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    email_address: Mapped[str]
    email_key: Mapped[str] = mapped_column(unique=True)
    first_name: Mapped[str]
    last_name: Mapped[str]
    password_hash: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


class SignInRow(Row):
    """A session: the access tokens that name it live while it does, and one refresh token continues it."""

    __tablename__ = "sign_ins"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]


class SpentTokenRow(Row):
    """A refresh token that was turned into a newer one; seeing it again means that two hold the session."""

    __tablename__ = "spent_tokens"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    sign_in_id: Mapped[UUID] = mapped_column(ForeignKey("sign_ins.id", ondelete="CASCADE"), index=True)
    spent_at: Mapped[datetime] = mapped_column(default=now, index=True)


class CredentialRow(Row):
    """A key. Only its first characters and its SHA-256 are kept."""

    __tablename__ = "credentials"
    __table_args__ = (
        Index("ix_credentials_team_id_id", "team_id", "id"),
        Index("ix_credentials_team_id_user_id", "team_id", "user_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    kind: Mapped[str]
    display_name: Mapped[str]
    key_prefix: Mapped[str]
    key_hash: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    access: Mapped[str]
    agent_id: Mapped[str | None]
    paired_with: Mapped[UUID | None] = mapped_column(ForeignKey("credentials.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    # Set while the key's team is deleted: a restored team gets its keys back, a revoked key never comes back.
    suspended_at: Mapped[datetime | None]


class SecretRow(Row):
    """A secret of the registry itself, shared by all its servers."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class PasswordResetRow(Row):
    """A one-time permission to set a user's password."""

    __tablename__ = "password_resets"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
