"""Operations on keys: create, list, rotate and revoke."""

from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, and_, func, select
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import record
from modelyard.server.database.base import now
from modelyard.server.http.paging import Order, Page, list_page
from modelyard.server.identity.authentication import KEY_CREATOR_ROLES, Caller, has_authorized_creator
from modelyard.server.identity.operations import KeyRequest, issue_key, revoke_key, rotate_key
from modelyard.server.identity.tables import CredentialRow, RetiredSecretRow
from modelyard.server.teams.context import TeamContext, find_role
from modelyard.server.teams.operations import get_team_row
from modelyard.server.teams.permissions import build_role_too_low_problem
from modelyard.server.teams.role_dependents import is_working_creator_key
from modelyard.wire import problems
from modelyard.wire.credentials import (
    Access,
    CreatedCredential,
    Credential,
    CredentialList,
    KeyStatus,
    Kind,
    NewCredential,
    RotatedCredential,
    Rotation,
)
from modelyard.wire.people.roles import Role


def check_key_count(session: Session, team_id: UUID, max_keys: int) -> None:
    """Check that a team may have one more working key from ``/credentials``.

    Called before the team is locked, since revoked keys, of which there may be many, are read too: requests at the same
    time may exceed the limit.

    Raises:
        TooManyKeys: the team has ``max_keys``.
    """
    is_working = CredentialRow.team_id == team_id, is_working_creator_key()
    count = session.scalar(select(func.count()).select_from(CredentialRow).where(*is_working)) or 0
    if count >= max_keys:
        raise problems.TooManyKeys(
            f"The team has {count} keys for programs and machines, and may have {max_keys}: revoke those that are no "
            "longer used.",
            keys=count,
            max_keys=max_keys,
        )


def create_credential(session: Session, team: TeamContext, new: NewCredential) -> CreatedCredential:
    """Create a key for a program or a machine of the team, and record that; only this response contains the raw key.

    An integration's key has write access unless the request says otherwise.

    Raises:
        InvalidRequest: ``access`` was given for an agent's key.
        TeamNotFound: the team was deleted meanwhile.
    """
    if new.kind == "agent" and new.access is not None:
        raise problems.InvalidRequest.for_field("access", "Only integration keys have an access")
    access: Access = (new.access or "write") if new.kind == "integration" else "read"
    expires_at = None if new.expires_in_days is None else now() + timedelta(days=new.expires_in_days)
    team_row = get_team_row(session, team)
    request = KeyRequest(new.kind, new.display_name, access, expires_at)
    row, raw_key = issue_key(session, team_row.id, cast(UUID, team.user_id), request)
    facts = {"kind": row.kind, "display_name": row.display_name, "key_prefix": row.key_prefix, "access": access}
    record(session, team.actor, team.team_id, "credential.created", row.id, **facts)
    return CreatedCredential(id=row.id, kind=new.kind, key_prefix=row.key_prefix, raw_key=raw_key)


def list_credentials(session: Session, team: TeamContext, page: Page, kind: Kind | None) -> CredentialList:
    """Return the team's keys, newest first, also ended ones; callers below admin see their own only."""
    query = select(CredentialRow, has_authorized_creator, _select_secret_expiry()).where(_is_visible(team))
    if kind is not None:
        query = query.where(CredentialRow.kind == kind)
    rows, meta = list_page(session, query, page, Order((CredentialRow.id,), is_descending=True))
    return CredentialList(credentials=[_build_credential(*row[:3]) for row in rows], page_meta=meta)


def _is_visible(team: TeamContext) -> ColumnElement[bool]:
    """Build the SQL condition for the keys that the caller may list and revoke.

    Admins may list and revoke all keys of the team, other users those of the devices and machines that they paired.
    """
    is_of_team = CredentialRow.team_id == team.team_id
    if team.is_at_least(Role.ADMIN):
        return is_of_team
    return and_(is_of_team, CredentialRow.is_paired, CredentialRow.user_id == team.user_id)


def _select_secret_expiry() -> ScalarSelect[datetime]:
    """Return a subquery for the time at which the last of a key's replaced secrets stops working."""
    return (
        select(func.max(RetiredSecretRow.expires_at))
        .where(RetiredSecretRow.credential_id == CredentialRow.id, RetiredSecretRow.expires_at > now())
        .correlate(CredentialRow)
        .scalar_subquery()
    )


def _build_credential(key: CredentialRow, has_authorized_creator: bool, previous_until: datetime | None) -> Credential:
    """Return the API's representation of a key; it is ``stopped`` if its user has lost the role it depends on."""
    status = _get_end_status(key) or ("active" if has_authorized_creator else "stopped")
    return Credential(
        id=key.id,
        kind=cast(Kind, key.kind),
        display_name=key.display_name,
        key_prefix=key.key_prefix,
        user_id=key.user_id,
        access=cast(Access, key.access),
        key_status=status,
        created_at=key.created_at,
        last_used_at=key.last_used_at,
        expires_at=key.expires_at,
        is_paired=key.is_paired,
        paired_with=key.paired_with,
        previous_key_until=previous_until if status == "active" else None,
    )


def _get_end_status(key: CredentialRow) -> KeyStatus | None:
    """Return ``revoked`` or ``expired`` for a key that has ended permanently, else None."""
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now() else None


def rotate_credential(
    session: Session, team: TeamContext, credential_id: UUID, rotation: Rotation
) -> RotatedCredential:
    """Replace a key's secret, and record that; the old secret works for the requested grace.

    The caller becomes the key's creator, so a key that stopped because its creator is no admin any more works again.

    Raises:
        RoleTooLow: the caller is no admin any more.
        CredentialNotFound: the team has no such key.
        KeyNotRotatable: the key was revoked, has expired, or came by pairing.
    """
    if team.user_id is None or find_role(session, team.team_id, team.user_id) not in KEY_CREATOR_ROLES:
        raise build_role_too_low_problem(Role.ADMIN)
    key = _get_key(session, team, credential_id)
    _check_rotatable(key)
    facts = {"kind": key.kind, "display_name": key.display_name, "previous_prefix": key.key_prefix}
    raw_key, until = rotate_key(session, key, timedelta(hours=rotation.grace_hours))
    key.user_id = team.user_id
    facts |= {"key_prefix": key.key_prefix, "grace_hours": str(rotation.grace_hours)}
    record(session, team.actor, team.team_id, "credential.rotated", key.id, **facts)
    return RotatedCredential(
        id=key.id,
        kind=cast(Kind, key.kind),
        key_prefix=key.key_prefix,
        raw_key=raw_key,
        previous_key_until=until,
    )


def _check_rotatable(key: CredentialRow) -> None:
    """Check that a key can be rotated.

    Raises:
        KeyNotRotatable: it was revoked, has expired, or came by pairing.
    """
    ended = _get_end_status(key)
    if ended is not None:
        raise problems.KeyNotRotatable(f"This key is {ended}. Create a new one.")
    if key.is_paired:
        raise problems.KeyNotRotatable("This key came by pairing. Pair the machine again to renew it.")


def _get_key(session: Session, team: TeamContext, credential_id: UUID) -> CredentialRow:
    """Return the team's key with this id.

    Raises:
        CredentialNotFound: there is none, or the caller may not see it.
    """
    key = session.scalar(select(CredentialRow).where(CredentialRow.id == credential_id, _is_visible(team)))
    if key is None:
        raise problems.CredentialNotFound("There is no such credential.")
    return key


def revoke_credential(session: Session, team: TeamContext, credential_id: UUID) -> None:
    """Revoke a key and the agent's key that was paired with it. Idempotent; the first revocation is recorded.

    Raises:
        CredentialNotFound: the team has no such key, or the caller is below admin and did not pair its machine.
    """
    key = _get_key(session, team, credential_id)
    if key.revoked_at is None:
        revoke_key(session, key.id)
        facts = {"kind": key.kind, "display_name": key.display_name, "key_prefix": key.key_prefix}
        record(session, team.actor, team.team_id, "credential.revoked", key.id, **facts)


def revoke_own_device(session: Session, caller: Caller) -> None:
    """Revoke the calling device's key and the agent's key that was paired with it, and record that.

    Raises:
        KeyNotAllowed: the caller is not a device.
    """
    if caller.kind != "device" or caller.credential_id is None or caller.team_id is None:
        raise problems.KeyNotAllowed("Only a device's key can be revoked this way.")
    revoke_key(session, caller.credential_id)
    record(session, caller.actor, caller.team_id, "credential.revoked", caller.credential_id, kind="device")
