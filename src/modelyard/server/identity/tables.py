"""Tables of users, their sessions, keys of programs and machines, and the registry's own secrets.

users ──< sign_ins ──< spent_tokens      a session, and its used refresh tokens
  └────< credentials >── teams           sk-, dk- and ak- keys in one table, with a kind
credentials.paired_with ── the dk- key that was created together with an ak- key
credentials ──< retired_secrets          secrets that a rotation replaced, during their grace
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, false
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import Row, new_id, now


class UserRow(Row):
    """A user. ``email_address`` is as entered; ``email_key`` is its normalised form, unique among accounts."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    email_address: Mapped[str]
    email_key: Mapped[str] = mapped_column(unique=True)
    first_name: Mapped[str]
    last_name: Mapped[str]
    password_hash: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


class SignInRow(Row):
    """A session. Its access tokens are valid while it lasts; ``token_hash`` is of its current refresh token."""

    __tablename__ = "sign_ins"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]
    # Of the request that signed in, so that people recognise the session; null for those of earlier releases.
    user_agent: Mapped[str | None]


class SpentTokenRow(Row):
    """A used refresh token. A second use means that the token was stolen: the session ends."""

    __tablename__ = "spent_tokens"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    sign_in_id: Mapped[UUID] = mapped_column(ForeignKey("sign_ins.id", ondelete="CASCADE"), index=True)
    spent_at: Mapped[datetime] = mapped_column(default=now, index=True)


class CredentialRow(Row):
    """A key. Only its first characters and its SHA-256 are stored.

    ``user_id`` is the user who paired the device or machine; for other keys the admin who is responsible: the user who
    created, rotated or took over the key.
    """

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
    # Whether it came by pairing: it depends on its user's membership. False for keys from ``/credentials``.
    is_paired: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    # Set while the key's team is deleted: a restored team gets its keys back, a revoked key never comes back.
    suspended_at: Mapped[datetime | None]


class RetiredSecretRow(Row):
    """A key's secret that was replaced by a rotation and works until ``expires_at``."""

    __tablename__ = "retired_secrets"

    key_hash: Mapped[str] = mapped_column(primary_key=True)
    credential_id: Mapped[UUID] = mapped_column(ForeignKey("credentials.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class SecretRow(Row):
    """A secret of the registry itself, shared by all its servers."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class FailedAttemptRow(Row):
    """A counter of failed attempts within a minute of the first. ``name`` is a digest of the account and address."""

    __tablename__ = "failed_attempts"

    name: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class PasswordResetRow(Row):
    """A one-time token with which a user's password can be set."""

    __tablename__ = "password_resets"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
