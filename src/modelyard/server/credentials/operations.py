"""Making, listing and revoking keys."""

from datetime import timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import record
from modelyard.server.database.base import now
from modelyard.server.identity.bearer import Caller
from modelyard.server.identity.listing import Order, listed
from modelyard.server.identity.operations import WantedKey, make_credential, revoke_key
from modelyard.server.identity.tables import CredentialRow
from modelyard.server.paging import Page
from modelyard.server.teams.acting import Acting
from modelyard.server.teams.operations import team_of
from modelyard.wire import problems
from modelyard.wire.credentials import (
    Access,
    Credential,
    CredentialList,
    CredentialMade,
    KeyStatus,
    Kind,
    NewCredential,
)
from modelyard.wire.teams import Role


def create_credential(session: Session, acting: Acting, new: NewCredential) -> CredentialMade:
    """A key for a program or a machine of the team; the raw key is shown this once.

    Raises:
        InvalidRequest: ``access`` was given for an agent's key.
        TeamNotFound: see ``team_of``.
    """
    if new.kind == "agent" and new.access is not None:
        message = "Only integration keys have an access"
        raise problems.InvalidRequest(
            f"Not valid: 'access'. {message}.", errors=[{"field": "access", "message": message}]
        )
    access: Access = (new.access or "write") if new.kind == "integration" else "read"
    expires_at = None if new.expires_in_days is None else now() + timedelta(days=new.expires_in_days)
    team = team_of(session, acting)
    wanted = WantedKey(new.kind, new.display_name, access, expires_at)
    row, raw_key = make_credential(session, team.id, cast(UUID, acting.user_id), wanted)
    facts = {"kind": row.kind, "display_name": row.display_name, "key_prefix": row.key_prefix, "access": access}
    record(session, acting.actor, acting.team_id, "credential.created", row.id, **facts)
    return CredentialMade(id=row.id, kind=new.kind, key_prefix=row.key_prefix, raw_key=raw_key)


def list_credentials(session: Session, acting: Acting, page: Page, kind: Kind | None) -> CredentialList:
    """The team's keys, newest first; below admin, one's own device keys only."""
    found = select(CredentialRow).where(CredentialRow.team_id == acting.team_id)
    if kind is not None:
        found = found.where(CredentialRow.kind == kind)
    if not acting.is_at_least(Role.ADMIN):
        found = found.where(CredentialRow.kind == "device", CredentialRow.user_id == acting.user_id)
    rows, meta = listed(session, found, page, Order((CredentialRow.id,), is_descending=True))
    return CredentialList(credentials=[_shown(row[0]) for row in rows], page_meta=meta)


def _shown(key: CredentialRow) -> Credential:
    return Credential(
        id=key.id,
        kind=cast(Kind, key.kind),
        display_name=key.display_name,
        key_prefix=key.key_prefix,
        user_id=key.user_id,
        access=cast(Access, key.access),
        key_status=_status(key),
        created_at=key.created_at,
        last_used_at=key.last_used_at,
        expires_at=key.expires_at,
    )


def _status(key: CredentialRow) -> KeyStatus:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now() else "active"


def revoke_credential(session: Session, acting: Acting, credential_id: UUID) -> None:
    """End a key, and the agent's key that was born with it. May be repeated.

    Raises:
        CredentialNotFound: not a key of this team, or, below admin, not one's own device key.
    """
    key = session.scalar(
        select(CredentialRow).where(CredentialRow.id == credential_id, CredentialRow.team_id == acting.team_id)
    )
    if key is None or not _may_revoke(acting, key):
        raise problems.CredentialNotFound("There is no such credential.")
    if key.revoked_at is None:
        revoke_key(session, key.id)
        facts = {"kind": key.kind, "display_name": key.display_name, "key_prefix": key.key_prefix}
        record(session, acting.actor, acting.team_id, "credential.revoked", key.id, **facts)


def _may_revoke(acting: Acting, key: CredentialRow) -> bool:
    return acting.is_at_least(Role.ADMIN) or (key.kind == "device" and key.user_id == acting.user_id)


def revoke_own_device(session: Session, caller: Caller) -> None:
    """A device ends its own key and its agent's.

    Raises:
        KeyNotAllowed: the caller is no device.
    """
    if caller.kind != "device" or caller.credential_id is None or caller.team_id is None:
        raise problems.KeyNotAllowed("Only a device's key ends itself this way.")
    revoke_key(session, caller.credential_id)
    record(session, caller.actor, caller.team_id, "credential.revoked", caller.credential_id, kind="device")
