"""Operations on teams and members: create, read, change, delete, restore, transfer, and the audit trail."""

from datetime import timedelta
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.audit.operations import SYSTEM, Actor, EventFilter, record, select_events
from modelyard.server.audit.tables import AuditEventRow
from modelyard.server.database.base import new_id, now
from modelyard.server.http.paging import Order, Page, list_page
from modelyard.server.identity import operations as identity_operations
from modelyard.server.identity.authentication import KEY_CREATOR_ROLES, Caller, format_full_name
from modelyard.server.identity.tables import UserRow
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.loader_table import check_loader_table, describe_change
from modelyard.server.teams.permissions import INVITER_ROLES, check_grant
from modelyard.server.teams.role_dependents import KeysChoice, hand_over_or_revoke_keys, withdraw_invitations_by
from modelyard.server.teams.tables import MemberRow, TeamRow
from modelyard.server.teams.team_limit import check_team_limit
from modelyard.wire import problems
from modelyard.wire.agent_requests.loaders import LoaderInput
from modelyard.wire.people.roles import Role
from modelyard.wire.teams import (
    DEFAULT_KEPT_VERSION_DAYS,
    DEFAULT_KEPT_VERSIONS,
    AuditEvent,
    AuditEventList,
    Member,
    MemberList,
    PicklePolicy,
    Team,
    TeamUpdate,
)

TRASH_DAYS = 7
SETTING_DEFAULTS: dict[str, Any] = {
    "pickle_policy": "block",
    "quota_bytes": None,
    "kept_versions": DEFAULT_KEPT_VERSIONS,
    "kept_version_days": DEFAULT_KEPT_VERSION_DAYS,
    "machines_may_request": True,
    "hub_may_import": False,
}


def create_team(session: Session, owner_id: UUID, actor: Actor, display_name: str) -> TeamRow:
    """Create a team with an owner and empty totals, and record that; ``actor`` is who the audit trail names."""
    row = TeamRow(id=new_id(), display_name=display_name)
    session.add(row)
    session.flush()
    session.add(MemberRow(team_id=row.id, user_id=owner_id, role=Role.OWNER))
    revisions.create_totals(session, row.id)
    record(session, actor, row.id, "team.created", row.id, display_name=display_name)
    return row


def create_own_team(session: Session, caller: Caller, display_name: str, max_teams: int) -> TeamRow:
    """Create a team that the calling user owns.

    Raises:
        KeyNotAllowed: the caller is a key; only signed-in users create teams.
        TooManyTeams: the user owns ``max_teams`` already.
    """
    if caller.kind != "user" or caller.user_id is None:
        raise problems.KeyNotAllowed("Keys cannot do this. Sign in as a user.")
    check_team_limit(session, caller.user_id, max_teams)
    return create_team(session, caller.user_id, caller.actor, display_name)


def get_team_row(session: Session, team: TeamContext) -> TeamRow:
    """Return the row of the caller's team.

    Raises:
        TeamNotFound: the team was deleted after the request was authorised.
    """
    row = session.scalar(select(TeamRow).where(TeamRow.id == team.team_id, TeamRow.deleted_at.is_(None)))
    if row is None:
        raise problems.TeamNotFound("The team was deleted.")
    return row


def get_team(session: Session, team: TeamContext) -> Team:
    """Return the caller's team with its settings and the bytes that it stores.

    Raises:
        TeamNotFound: the team was deleted after the request was authorised.
    """
    row = get_team_row(session, team)
    return Team(
        id=row.id,
        display_name=row.display_name,
        pickle_policy=parse_pickle_policy(row.pickle_policy),
        quota_bytes=row.quota_bytes,
        kept_versions=row.kept_versions,
        kept_version_days=row.kept_version_days,
        machines_may_request=row.machines_may_request,
        hub_may_import=row.hub_may_import,
        loader_list=[LoaderInput.model_validate(each) for each in row.loader_list or ()],
        stored_bytes=revisions.get_totals(session, row.id).stored_bytes,
        created_at=row.created_at,
    )


def parse_pickle_policy(stored: str | None) -> PicklePolicy:
    """Return a stored policy for pickle files; an unknown one, of a newer release, refuses them."""
    return next((policy for policy in get_args(PicklePolicy) if policy == stored), "block")


def load_pickle_policy(session: Session, team_id: UUID) -> PicklePolicy:
    """Return the team's policy for pickle files."""
    return parse_pickle_policy(session.scalar(select(TeamRow.pickle_policy).where(TeamRow.id == team_id)))


def may_machines_request(session: Session, team_id: UUID) -> bool:
    """Return whether the team lets its machines list models and assign them to themselves."""
    return bool(session.scalar(select(TeamRow.machines_may_request).where(TeamRow.id == team_id)))


def may_hub_import(session: Session, team_id: UUID) -> bool:
    """Return whether the team lets requests of the Hugging Face endpoint import what it does not have."""
    return bool(session.scalar(select(TeamRow.hub_may_import).where(TeamRow.id == team_id)))


def load_team_loaders(session: Session, team_id: UUID) -> list[LoaderInput]:
    """Return the inputs of nodes that the team has added for checks of workflows."""
    stored = session.scalar(select(TeamRow.loader_list).where(TeamRow.id == team_id)) or []
    return [LoaderInput.model_validate(each) for each in stored]


def update_team(session: Session, team: TeamContext, change: TeamUpdate) -> TeamRow:
    """Set the settings that the request contains, and return the team's row; null restores a setting's default.

    A change is recorded in the audit log; nothing is if all settings have the requested values already.

    Raises:
        TeamNotFound: the team was deleted after the request was authorised.
        LoadersChanged, InvalidRequest: see ``check_loader_table``.
    """
    row = get_team_row(session, team)
    loaders = row.loader_list or []
    check_loader_table(loaders, change)
    # As stored: lists of objects as JSON.
    values = change.model_dump(include=change.model_fields_set - {"expected_loader_list"})
    if not values.get("loader_list", True):
        values["loader_list"] = None
    values = {name: SETTING_DEFAULTS.get(name) if value is None else value for name, value in values.items()}
    changed = {name: value for name, value in values.items() if getattr(row, name) != value}
    for name, value in changed.items():
        setattr(row, name, value)
    if changed:
        facts = changed | (describe_change(loaders, changed["loader_list"] or []) if "loader_list" in changed else {})
        record(session, team.actor, row.id, "team.changed", row.id, **facts)
    return row


def delete_team(session: Session, team: TeamContext) -> None:
    """End all access to a team, suspend its keys, and record that; its rows and files stay for the trash time.

    ``restore_team`` undoes it until then.

    Raises:
        TeamNotFound: the team was deleted after the request was authorised.
    """
    row = get_team_row(session, team)
    row.deleted_at = now()
    identity_operations.suspend_keys(session, row.id)
    record(session, team.actor, row.id, "team.deleted", row.id)


def restore_team(session: Session, team_id: UUID, *, trash_days: int = TRASH_DAYS) -> TeamRow:
    """Undo ``delete_team``, resume the team's keys, and record that. For the operator's command.

    Raises:
        TeamNotFound: no team with this id was deleted in the last ``trash_days`` days.
    """
    row = session.get(TeamRow, team_id)
    if row is None or row.deleted_at is None or row.deleted_at < now() - timedelta(days=trash_days):
        raise problems.TeamNotFound(f"No team with this id was deleted in the last {trash_days} days.")
    row.deleted_at = None
    identity_operations.resume_keys(session, row.id)
    record(session, SYSTEM, row.id, "team.restored", row.id)
    return row


def transfer_team(session: Session, team: TeamContext, new_owner_id: UUID) -> None:
    """Make another member the owner and the current owner an admin, and record that; nothing if they are the same.

    Raises:
        TeamNotFound: the team was deleted after the request was authorised.
        MemberNotFound: the new owner is not a member.
        RoleTooLow: the caller is no longer the owner.
    """
    row = get_team_row(session, team)
    new_owner = _get_member(session, team, new_owner_id)
    owner = _get_member(session, team, team.user_id)
    if owner.role != Role.OWNER:
        raise problems.RoleTooLow("Only the owner can transfer the team.", needed_role="owner")
    if new_owner.user_id == owner.user_id:
        return
    owner.role = Role.ADMIN
    # Written separately: a unique index allows one owner a team.
    session.flush()
    new_owner.role = Role.OWNER
    facts = {"new_owner_id": str(new_owner.user_id), "display_name": _get_user_name(session, new_owner.user_id)}
    record(session, team.actor, row.id, "team.transferred", row.id, **facts)


def add_member(session: Session, team_id: UUID, user_id: UUID, role: Role) -> None:
    """Add a user to a team; the caller records it.

    Raises:
        AlreadyMember: the user is a member of the team.
    """
    if session.get(MemberRow, (team_id, user_id)) is not None:
        raise problems.AlreadyMember("This user is a member of the team already.")
    session.add(MemberRow(team_id=team_id, user_id=user_id, role=role))


def change_role(session: Session, team: TeamContext, user_id: UUID, role: Role, keys: KeysChoice) -> None:
    """Change a member's role, and record that; ``keys`` says whether a demoted admin's keys are handed over or revoked.

    The open invitations of a demoted admin are withdrawn.

    Raises:
        OwnRole: the member is the caller.
        MemberNotFound: the team has no such member.
        OwnerStays: the member is the owner, whose role changes by transfer only.
        KeyNotAllowed: see ``check_grant``.
        KeysWouldStop, InvalidRequest: see ``hand_over_or_revoke_keys``.
    """
    check_grant(team.caller, role)
    if user_id == team.user_id:
        raise problems.OwnRole("You cannot change your own role. Ask another admin.")
    member = _get_member(session, team, user_id)
    if member.role == Role.OWNER:
        raise problems.OwnerStays("The owner's role cannot be changed. Transfer the team to another member first.")
    if member.role != role:
        if role not in KEY_CREATOR_ROLES:
            hand_over_or_revoke_keys(session, team, user_id, keys)
        if role not in INVITER_ROLES:
            withdraw_invitations_by(session, team, user_id)
        facts = {"before": member.role, "after": str(role), "display_name": _get_user_name(session, user_id)}
        record(session, team.actor, team.team_id, "member.role_changed", user_id, **facts)
        member.role = role


def remove_member(session: Session, team: TeamContext, user_id: UUID, keys: KeysChoice) -> None:
    """Remove a member from the team, or let the caller leave it, and record that.

    The keys of what they paired are revoked and their open invitations withdrawn; ``keys`` says whether the keys that
    they made are handed over or revoked.

    Raises:
        RoleTooLow: the caller is below admin and removes another member.
        MemberNotFound: the team has no such member.
        OwnerStays: the member is the owner, who must transfer the team first.
        KeysWouldStop, InvalidRequest: see ``hand_over_or_revoke_keys``.
    """
    if user_id != team.user_id:
        team.require_role(Role.ADMIN)
    member = _get_member(session, team, user_id)
    if member.role == Role.OWNER:
        raise problems.OwnerStays("The owner cannot leave the team. Transfer it to another member first.")
    hand_over_or_revoke_keys(session, team, user_id, keys)
    withdraw_invitations_by(session, team, user_id)
    session.execute(delete(MemberRow).where(MemberRow.team_id == team.team_id, MemberRow.user_id == user_id))
    identity_operations.revoke_paired_keys(session, team.team_id, user_id)
    action = "member.left" if user_id == team.user_id else "member.removed"
    record(session, team.actor, team.team_id, action, user_id, display_name=_get_user_name(session, user_id))


def build_member_not_found_problem() -> problems.MemberNotFound:
    """Build the problem for a user id that no member of the team has."""
    return problems.MemberNotFound("The team has no such member.")


def _get_member(session: Session, team: TeamContext, user_id: UUID | None) -> MemberRow:
    """Return the team's member with this user id.

    Raises:
        MemberNotFound: there is none.
    """
    member = session.get(MemberRow, (team.team_id, user_id))
    if member is None:
        raise build_member_not_found_problem()
    return member


def _get_user_name(session: Session, user_id: UUID) -> str:
    """Return a user's full name as the audit trail stores it, since the user may leave later."""
    user = session.get_one(UserRow, user_id)
    return format_full_name(user.first_name, user.last_name)


def list_members(session: Session, team: TeamContext, page: Page) -> MemberList:
    """Return a page of the team's members, oldest membership first."""
    query = (
        select(MemberRow, UserRow)
        .join(UserRow, UserRow.id == MemberRow.user_id)
        .where(MemberRow.team_id == team.team_id)
    )
    rows, meta = list_page(session, query, page, Order((MemberRow.joined_at, MemberRow.user_id)))
    members = [_build_member(row[0], row[1]) for row in rows]
    return MemberList(member_list=members, page_meta=meta)


def _build_member(member: MemberRow, user: UserRow) -> Member:
    """Return the API's representation of a member."""
    return Member(
        user_id=user.id,
        display_name=format_full_name(user.first_name, user.last_name),
        email_address=user.email_address,
        member_role=Role(member.role),
        joined_at=member.joined_at,
    )


def list_audit_events(session: Session, team: TeamContext, page: Page, event_filter: EventFilter) -> AuditEventList:
    """Return a page of the team's audit events that match the filter, newest first."""
    rows, meta = list_page(
        session, select_events(team.team_id, event_filter), page, Order((AuditEventRow.id,), is_descending=True)
    )
    return AuditEventList(audit_event_list=[_build_event(row[0]) for row in rows], page_meta=meta)


def _build_event(event: AuditEventRow) -> AuditEvent:
    """Return the API's representation of an audit event."""
    return AuditEvent(
        id=event.id,
        created_at=event.created_at,
        action=event.action,
        object_id=event.object_id,
        actor_kind=event.actor_kind,
        actor_id=event.actor_id,
        actor_name=event.actor_name,
        facts=event.facts,
    )
