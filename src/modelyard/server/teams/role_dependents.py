"""Keys and open invitations that are valid only while the user who made them has a role, and how they end with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, or_, select, update
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import record_each
from modelyard.server.database.base import now
from modelyard.server.database.session import split_ids
from modelyard.server.identity.authentication import KEY_CREATOR_ROLES, depends_on_creator, format_full_name
from modelyard.server.identity.operations import revoke_keys
from modelyard.server.identity.tables import CredentialRow, UserRow
from modelyard.server.teams.context import TeamContext, find_role
from modelyard.server.teams.permissions import INVITER_ROLES
from modelyard.server.teams.tables import InvitationRow, MemberRow
from modelyard.wire import problems

# How many keys a refusal lists; a longer list is read with GET /credentials.
MAX_LISTED_KEYS = 100


@dataclass(frozen=True)
class KeysChoice:
    """What to do with the keys of a user who loses the right to create keys.

    ``new_creator_id`` is the admin who becomes responsible for the keys; ``stop`` revokes them instead.
    """

    new_creator_id: UUID | None = None
    stop: bool = False


def hand_over_or_revoke_keys(session: Session, team: TeamContext, creator_id: UUID, choice: KeysChoice) -> None:
    """Hand over or revoke the working keys of a user who is about to leave the team or to lose the admin role.

    Called before the role changes: of a user who is no admin, no keys are found. Device keys are not concerned. Without
    such keys nothing changes, but the new creator is checked.

    Raises:
        KeysWouldStop: there are such keys, and the request does not choose.
        InvalidRequest: the new creator is not another admin or the owner of the team.
    """
    if choice.new_creator_id is not None:
        _check_new_creator(session, team, creator_id, choice.new_creator_id)
    keys = _list_working_keys(session, team.team_id, creator_id)
    if not keys:
        return
    if choice.new_creator_id is not None:
        _hand_over(session, team, keys, choice.new_creator_id)
    elif choice.stop:
        _revoke(session, team, keys)
    else:
        raise _build_keys_would_stop_problem(keys)


def _list_working_keys(session: Session, team_id: UUID, creator_id: UUID) -> list[CredentialRow]:
    """Return the working keys for programs and machines of a creator, oldest first; none unless they are an admin."""
    if find_role(session, team_id, creator_id) not in KEY_CREATOR_ROLES:
        return []
    return list(
        session.scalars(
            select(CredentialRow)
            .where(CredentialRow.team_id == team_id, CredentialRow.user_id == creator_id, is_working_creator_key())
            .order_by(CredentialRow.id)
        )
    )


def is_working_creator_key() -> ColumnElement[bool]:
    """Build the SQL condition for keys for programs and machines that work while their creator may create keys."""
    is_current = or_(CredentialRow.expires_at.is_(None), CredentialRow.expires_at > now())
    return and_(depends_on_creator, CredentialRow.revoked_at.is_(None), is_current)


def _check_new_creator(session: Session, team: TeamContext, creator_id: UUID, new_creator_id: UUID) -> None:
    """Check that the new creator is another admin or the owner of the team.

    Raises:
        InvalidRequest: it is not.
    """
    if new_creator_id == creator_id or find_role(session, team.team_id, new_creator_id) not in KEY_CREATOR_ROLES:
        raise problems.InvalidRequest.for_field("keys_to", "It is not the user id of another admin of this team")


def _build_keys_would_stop_problem(keys: list[CredentialRow]) -> problems.KeysWouldStop:
    """Build the problem that lists the keys that would stop working, at most ``MAX_LISTED_KEYS``."""
    subject = "1 key that this person made" if len(keys) == 1 else f"{len(keys)} keys that this person made"
    return problems.KeysWouldStop(
        f"{subject} would stop working. Choose: keys_to=<user id of another admin> hands them over, "
        "keys=stop revokes them.",
        key_list=[_describe_key(key) | {"id": str(key.id)} for key in keys[:MAX_LISTED_KEYS]],
        key_count=len(keys),
    )


def _describe_key(key: CredentialRow) -> dict[str, str]:
    """Return the facts about a key that problems and audit events contain."""
    return {"kind": key.kind, "display_name": key.display_name, "key_prefix": key.key_prefix}


def _hand_over(session: Session, team: TeamContext, keys: list[CredentialRow], new_creator_id: UUID) -> None:
    """Make another admin responsible for the keys, and record an audit event for each."""
    new_owner = session.get_one(UserRow, new_creator_id)
    facts = {
        "new_maker_id": str(new_creator_id),
        "new_maker": format_full_name(new_owner.first_name, new_owner.last_name),
    }
    for part in split_ids([key.id for key in keys]):
        session.execute(
            update(CredentialRow)
            .where(CredentialRow.id.in_(part))
            .values(user_id=new_creator_id)
            .execution_options(synchronize_session=False)
        )
    of_keys = {key.id: _describe_key(key) | facts for key in keys}
    record_each(session, team.actor, team.team_id, "credential.handed_over", of_keys)


def _revoke(session: Session, team: TeamContext, keys: list[CredentialRow]) -> None:
    """Revoke the keys, and record an audit event for each."""
    revoke_keys(session, [key.id for key in keys])
    record_each(session, team.actor, team.team_id, "credential.revoked", {key.id: _describe_key(key) for key in keys})


def is_open_invitation() -> ColumnElement[bool]:
    """Build the SQL condition for an invitation that can be accepted now.

    It has not ended or expired, and the user who made it may still invite to that team. Whether the team was deleted is
    not checked.
    """
    return and_(
        InvitationRow.ended_at.is_(None),
        InvitationRow.expires_at > now(),
        exists().where(
            MemberRow.team_id == InvitationRow.team_id,
            MemberRow.user_id == InvitationRow.invited_by,
            MemberRow.role.in_(INVITER_ROLES),
        ),
    )


def withdraw_invitations_by(session: Session, team: TeamContext, inviter_id: UUID) -> None:
    """Withdraw the open invitations of a member who is about to lose the right to invite.

    Called before the role changes: afterwards none of them counts as open.
    """
    invitations = session.scalars(
        select(InvitationRow)
        .where(InvitationRow.team_id == team.team_id, InvitationRow.invited_by == inviter_id, is_open_invitation())
        .order_by(InvitationRow.id)
    ).all()
    inviter = session.get_one(UserRow, inviter_id)
    end_invitations(session, team, invitations, format_full_name(inviter.first_name, inviter.last_name))


def end_invitations(session: Session, team: TeamContext, invitations: Sequence[InvitationRow], inviter: str) -> None:
    """End open invitations of one user as withdrawn and record it; ``inviter`` is the name of the user."""
    for part in split_ids([each.id for each in invitations]):
        session.execute(
            update(InvitationRow)
            .where(InvitationRow.id.in_(part))
            .values(ended_at=now())
            .execution_options(synchronize_session=False)
        )
    facts = {
        each.id: {"email_address": each.email_address, "role": each.role, "invited_by": inviter} for each in invitations
    }
    record_each(session, team.actor, team.team_id, "invitation.withdrawn", facts)
