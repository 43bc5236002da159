"""What happens to teams and their members."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from modelyard.server import changes
from modelyard.server.audit.operations import SYSTEM, Actor, EventFilter, events_of, record
from modelyard.server.audit.tables import AuditEventRow
from modelyard.server.database.base import new_id, now
from modelyard.server.identity import operations as identity_operations
from modelyard.server.identity.bearer import Caller, full_name
from modelyard.server.identity.listing import Order, listed
from modelyard.server.identity.tables import UserRow
from modelyard.server.paging import Page
from modelyard.server.teams.acting import Acting
from modelyard.server.teams.tables import MemberRow, TeamRow
from modelyard.wire import problems
from modelyard.wire.teams import AuditEvent, AuditEventList, Member, MemberList, Role, Team, TeamChange

TRASH_DAYS = 7
DEFAULTS: dict[str, Any] = {"pickle_policy": "block", "quota_bytes": None}


def create_team(session: Session, owner_id: UUID, actor: Actor, display_name: str) -> TeamRow:
    """A new team with its owner."""
    team = TeamRow(id=new_id(), display_name=display_name)
    session.add(team)
    session.flush()
    session.add(MemberRow(team_id=team.id, user_id=owner_id, role=Role.OWNER))
    changes.begin(session, team.id)
    record(session, actor, team.id, "team.created", team.id, display_name=display_name)
    return team


def create_own_team(session: Session, caller: Caller, display_name: str) -> TeamRow:
    """A new team of the caller's.

    Raises:
        KeyNotAllowed: keys make no teams.
    """
    if caller.kind != "user" or caller.user_id is None:
        raise problems.KeyNotAllowed("A key may not do this: sign in as a user.")
    return create_team(session, caller.user_id, caller.actor, display_name)


def team_of(session: Session, acting: Acting) -> TeamRow:
    """The team that the caller acts in.

    Raises:
        TeamNotFound: it was deleted since the caller was let in.
    """
    team = session.scalar(select(TeamRow).where(TeamRow.id == acting.team_id, TeamRow.deleted_at.is_(None)))
    if team is None:
        raise problems.TeamNotFound("The team was deleted.")
    return team


def shown_team(session: Session, acting: Acting) -> Team:
    team = team_of(session, acting)
    return Team(
        id=team.id,
        display_name=team.display_name,
        pickle_policy="scan" if team.pickle_policy == "scan" else "block",
        quota_bytes=team.quota_bytes,
        stored_bytes=changes.totals_of(session, team.id).stored_bytes,
        created_at=team.created_at,
    )


def change_team(session: Session, acting: Acting, change: TeamChange) -> TeamRow:
    team = team_of(session, acting)
    wanted = {name: getattr(change, name) for name in change.model_fields_set}
    wanted = {name: DEFAULTS.get(name) if value is None else value for name, value in wanted.items()}
    changed = {name: value for name, value in wanted.items() if getattr(team, name) != value}
    for name, value in changed.items():
        setattr(team, name, value)
    if changed:
        record(session, acting.actor, team.id, "team.changed", team.id, **changed)
    return team


def delete_team(session: Session, acting: Acting) -> None:
    """End all access to a team. ``restore_team`` brings it back while its rows and bytes are kept."""
    team = team_of(session, acting)
    team.deleted_at = now()
    identity_operations.suspend_keys(session, team.id)
    record(session, acting.actor, team.id, "team.deleted", team.id)


def restore_team(session: Session, team_id: UUID, *, trash_days: int = TRASH_DAYS) -> TeamRow:
    """Undo ``delete_team``, for the operator.

    Raises:
        TeamNotFound: no team with this id was deleted in the last ``trash_days`` days.
    """
    team = session.get(TeamRow, team_id)
    if team is None or team.deleted_at is None or team.deleted_at < now() - timedelta(days=trash_days):
        raise problems.TeamNotFound(f"No team with this id was deleted in the last {trash_days} days.")
    team.deleted_at = None
    identity_operations.resume_keys(session, team.id)
    record(session, SYSTEM, team.id, "team.restored", team.id)
    return team


def teams_deleted_before(session: Session, trash_days: int = TRASH_DAYS) -> list[UUID]:
    """Teams that can no longer be restored, for whoever removes their models and bytes."""
    return list(session.scalars(select(TeamRow.id).where(TeamRow.deleted_at < now() - timedelta(days=trash_days))))


def transfer_team(session: Session, acting: Acting, new_owner_id: UUID) -> None:
    """Make another member the owner; the old one stays as an admin.

    Raises:
        MemberNotFound: the new owner is no member.
        RoleTooLow: the caller is not the owner any more.
    """
    team = team_of(session, acting)
    heir = _member(session, acting, new_owner_id)
    owner = _member(session, acting, acting.user_id)
    if owner.role != Role.OWNER:
        raise problems.RoleTooLow("Only the owner can transfer the team.", needed_role="owner")
    if heir.user_id == owner.user_id:
        return
    owner.role = Role.ADMIN
    # One at a time: the database knows no team with two owners.
    session.flush()
    heir.role = Role.OWNER
    facts = {"new_owner_id": str(heir.user_id), "display_name": _name_of(session, heir.user_id)}
    record(session, acting.actor, team.id, "team.transferred", team.id, **facts)


def add_member(session: Session, team_id: UUID, user_id: UUID, role: Role) -> None:
    """Raises:
    AlreadyMember: the user belongs to the team.
    """
    if session.get(MemberRow, (team_id, user_id)) is not None:
        raise problems.AlreadyMember("This person is a member already.")
    session.add(MemberRow(team_id=team_id, user_id=user_id, role=role))


def change_role(session: Session, acting: Acting, user_id: UUID, role: Role) -> None:
    """Raises:
    OwnRole: nobody changes their own role.
    MemberNotFound: no such member in this team.
    OwnerStays: the owner's role ends by transfer only.
    """
    if user_id == acting.user_id:
        raise problems.OwnRole("Ask another admin to change your role.")
    member = _member(session, acting, user_id)
    if member.role == Role.OWNER:
        raise problems.OwnerStays("The owner's role changes by transferring the team.")
    if member.role != role:
        facts = {"before": member.role, "after": str(role), "display_name": _name_of(session, user_id)}
        record(session, acting.actor, acting.team_id, "member.role_changed", user_id, **facts)
        member.role = role


def remove_member(session: Session, acting: Acting, user_id: UUID) -> None:
    """Take somebody out of the team, or leave it; device keys of theirs end with it.

    Raises:
        RoleTooLow: the caller is no admin, and it is somebody else.
        MemberNotFound: no such member in this team.
        OwnerStays: the owner cannot go.
    """
    if user_id != acting.user_id:
        acting.require(Role.ADMIN)
    member = _member(session, acting, user_id)
    if member.role == Role.OWNER:
        raise problems.OwnerStays("Transfer the team before its owner leaves.")
    session.execute(delete(MemberRow).where(MemberRow.team_id == acting.team_id, MemberRow.user_id == user_id))
    identity_operations.revoke_devices_of(session, acting.team_id, user_id)
    action = "member.left" if user_id == acting.user_id else "member.removed"
    record(session, acting.actor, acting.team_id, action, user_id, display_name=_name_of(session, user_id))


def member_not_found() -> problems.MemberNotFound:
    return problems.MemberNotFound("The team has no such member.")


def _member(session: Session, acting: Acting, user_id: UUID | None) -> MemberRow:
    member = session.get(MemberRow, (acting.team_id, user_id))
    if member is None:
        raise member_not_found()
    return member


def _name_of(session: Session, user_id: UUID) -> str:
    """For the audit trail, where people are read about who have left."""
    user = session.get_one(UserRow, user_id)
    return full_name(user.first_name, user.last_name)


def list_members(session: Session, acting: Acting, page: Page) -> MemberList:
    found = (
        select(MemberRow, UserRow)
        .join(UserRow, UserRow.id == MemberRow.user_id)
        .where(MemberRow.team_id == acting.team_id)
    )
    rows, meta = listed(session, found, page, Order((MemberRow.joined_at, MemberRow.user_id)))
    members = [_shown_member(row[0], row[1]) for row in rows]
    return MemberList(member_list=members, page_meta=meta)


def _shown_member(member: MemberRow, user: UserRow) -> Member:
    return Member(
        user_id=user.id,
        display_name=full_name(user.first_name, user.last_name),
        email_address=user.email_address,
        member_role=Role(member.role),
        joined_at=member.joined_at,
    )


def list_audit_events(session: Session, acting: Acting, page: Page, asked: EventFilter) -> AuditEventList:
    rows, meta = listed(session, events_of(acting.team_id, asked), page, Order((AuditEventRow.id,), is_descending=True))
    return AuditEventList(audit_event_list=[_shown_event(row[0]) for row in rows], page_meta=meta)


def _shown_event(event: AuditEventRow) -> AuditEvent:
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
