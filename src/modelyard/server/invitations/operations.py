"""Operations on invitations: create, list, withdraw, preview and accept."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, not_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import Actor, record
from modelyard.server.database.base import new_id, now
from modelyard.server.database.session import Database
from modelyard.server.http.paging import Order, Page, list_page
from modelyard.server.identity import keys
from modelyard.server.identity.authentication import Caller, format_full_name
from modelyard.server.identity.email import email_key
from modelyard.server.identity.operations import create_user, find_user_by_email_key
from modelyard.server.identity.password_rules import check_new_password
from modelyard.server.identity.state import Identity
from modelyard.server.identity.tables import UserRow
from modelyard.server.settings import Settings
from modelyard.server.teams.context import TeamContext, find_role
from modelyard.server.teams.operations import add_member, get_team_row
from modelyard.server.teams.permissions import check_grant
from modelyard.server.teams.role_dependents import end_invitations, is_open_invitation
from modelyard.server.teams.tables import InvitationRow, TeamRow
from modelyard.wire import problems
from modelyard.wire.people.roles import Role
from modelyard.wire.teams import (
    Acceptance,
    CreatedInvitation,
    Invitation,
    InvitationList,
    InvitationPreview,
    Inviter,
    NewInvitation,
)

INVITATION_LIFETIME = timedelta(days=7)


def create_invitation(session: Session, team: TeamContext, new: NewInvitation, settings: Settings) -> CreatedInvitation:
    """Create an invitation. Only this response contains its token, which the caller has to pass on.

    The result has the registry's public address too, for the link. Older invitations of the address that can no longer
    be accepted are ended; the new one is recorded.

    Raises:
        TooManyInvitations: the team has ``max_invitations`` open ones.
        AlreadyMember: the address belongs to a member.
        AlreadyInvited: there is an open invitation for the address.
        TeamNotFound: the team was deleted meanwhile.
        KeyNotAllowed: see ``check_grant``.
    """
    check_grant(team.caller, new.invitation_role)
    team_row = get_team_row(session, team)
    key = email_key(new.email_address)
    user = find_user_by_email_key(session, key)
    if user is not None and find_role(session, team_row.id, user.id) is not None:
        raise problems.AlreadyMember("This user is a member of the team already.")
    _end_invalid_invitations(session, team_row.id, key)
    _check_count(session, team_row.id, settings.max_invitations)

    token = keys.generate_token(keys.INVITATION)
    invitation = InvitationRow(
        id=new_id(),
        team_id=team_row.id,
        email_address=new.email_address,
        email_key=key,
        role=new.invitation_role,
        invited_by=team.user_id,
        token_hash=token.digest,
        expires_at=now() + INVITATION_LIFETIME,
    )
    try:
        with session.begin_nested():
            session.add(invitation)
    except IntegrityError:
        raise problems.AlreadyInvited(
            "An open invitation for this address exists. Withdraw it first.", email_address=new.email_address
        ) from None
    facts = {"email_address": new.email_address, "role": str(new.invitation_role)}
    record(session, team.actor, team_row.id, "invitation.created", invitation.id, **facts)
    return CreatedInvitation(id=invitation.id, invitation_token=token.raw, public_url=settings.public_url)


def _check_count(session: Session, team_id: UUID, max_invitations: int) -> None:
    """Check that a team may have one more open invitation; raises ``TooManyInvitations``.

    Those of users who may not invite any more count too, of which there are none but for an older release.
    """
    is_open = InvitationRow.team_id == team_id, InvitationRow.ended_at.is_(None), InvitationRow.expires_at > now()
    count = session.scalar(select(func.count()).select_from(InvitationRow).where(*is_open)) or 0
    if count >= max_invitations:
        raise problems.TooManyInvitations(
            f"The team has {count} open invitations, and may have {max_invitations}: withdraw some, or wait until they "
            "were accepted or have expired.",
            invitations=count,
            max_invitations=max_invitations,
        )


def _end_invalid_invitations(session: Session, team_id: UUID, key: str) -> None:
    """End the address's invitations to a team that can no longer be accepted, so that it can be invited again."""
    session.execute(
        update(InvitationRow)
        .where(
            InvitationRow.team_id == team_id,
            InvitationRow.email_key == key,
            InvitationRow.ended_at.is_(None),
            not_(is_open_invitation()),
        )
        .values(ended_at=now())
        .execution_options(synchronize_session=False)
    )


def list_invitations(session: Session, team: TeamContext, page: Page) -> InvitationList:
    """Return the team's open invitations, newest first."""
    query = _select_open_invitations().where(InvitationRow.team_id == team.team_id)
    rows, meta = list_page(session, query, page, Order((InvitationRow.id,), is_descending=True))
    return InvitationList(invitation_list=[_build_invitation(row[0], row[1]) for row in rows], page_meta=meta)


def _select_open_invitations() -> Select[InvitationRow, UserRow]:
    """Return a query for open invitations with the users who made them."""
    return (
        select(InvitationRow, UserRow).join(UserRow, UserRow.id == InvitationRow.invited_by).where(is_open_invitation())
    )


def _build_invitation(invitation: InvitationRow, inviter: UserRow) -> Invitation:
    """Return the API's representation of an invitation."""
    return Invitation(
        id=invitation.id,
        email_address=invitation.email_address,
        invitation_role=Role(invitation.role),
        invited_by=Inviter(id=inviter.id, display_name=format_full_name(inviter.first_name, inviter.last_name)),
        created_at=invitation.created_at,
        expires_at=invitation.expires_at,
    )


def withdraw_invitation(session: Session, team: TeamContext, invitation_id: UUID) -> None:
    """Withdraw an open invitation, and record that in the audit log.

    Raises:
        InvitationNotFound: the team has no open invitation with this id.
    """
    row = session.execute(
        _select_open_invitations().where(InvitationRow.id == invitation_id, InvitationRow.team_id == team.team_id)
    ).one_or_none()
    if row is None:
        raise build_invitation_not_found_problem()
    invitation, inviter = row
    end_invitations(session, team, [invitation], format_full_name(inviter.first_name, inviter.last_name))


def build_invitation_not_found_problem() -> problems.InvitationNotFound:
    """Build the problem for an invitation that cannot be used; it does not tell why."""
    return problems.InvitationNotFound("There is no such open invitation.")


def preview_invitation(session: Session, token: str) -> InvitationPreview:
    """Return the team, address and role of an open invitation to a holder of its token.

    Raises:
        InvitationNotFound: see ``accept_invitation``.
    """
    invitation = _get_open_invitation(session, token)
    return InvitationPreview(
        team_id=invitation.team_id,
        team_name=session.get_one(TeamRow, invitation.team_id).display_name,
        email_address=invitation.email_address,
        invitation_role=Role(invitation.role),
        expires_at=invitation.expires_at,
        has_account=find_user_by_email_key(session, invitation.email_key) is not None,
    )


def accept_invitation(database: Database, identity: Identity, acceptance: Acceptance, caller: Caller | None) -> None:
    """Accept an invitation as the signed-in user, or with a new account if ``caller`` is None.

    Idempotent for a user who signed in, so that a lost response can be retried.

    Raises:
        InvitationNotFound: the invitation is unknown, expired, withdrawn, used by another user or for another address,
            or its inviter may no longer invite.
        KeyNotAllowed: the caller is a key.
        AlreadyMember: the user has joined the team in another way.
        InvalidRequest: a new account lacks a name, or its password is missing or easily guessed.
        AccountExists: there is an account with the address, whose user must sign in first.
    """
    if caller is None:
        _accept_as_new(database, identity, acceptance)
        return
    if caller.kind != "user" or caller.user_id is None:
        raise problems.KeyNotAllowed("Keys cannot do this. Sign in as a user.")
    with database.reading() as session:
        invitation = _find_invitation(session, acceptance.invitation_token)
    if invitation is None:
        raise build_invitation_not_found_problem()
    with database.writing(invitation.team_id) as session:
        _accept_as_user(session, acceptance.invitation_token, caller.user_id)


def _accept_as_user(session: Session, token: str, user_id: UUID) -> None:
    """Add an existing user to the team and record that; do nothing if they are in it by this invitation already.

    Raises:
        InvitationNotFound: see ``accept_invitation``; also if it is for another address.
    """
    user = session.get(UserRow, user_id)
    invitation = _find_invitation(session, token)
    if user is None or invitation is None or invitation.email_key != user.email_key:
        raise build_invitation_not_found_problem()
    if invitation.accepted_by == user.id and find_role(session, invitation.team_id, user.id) is not None:
        return
    _add_member_from_invitation(session, _get_open_invitation(session, token), user)


def _accept_as_new(database: Database, identity: Identity, acceptance: Acceptance) -> None:
    """Create an account with the invitation's address, add it to the team, and record that.

    Raises:
        InvitationNotFound, AccountExists, InvalidRequest: see ``accept_invitation``.
    """
    with database.reading() as session:
        invitation = _get_open_invitation(session, acceptance.invitation_token)
        if find_user_by_email_key(session, invitation.email_key) is not None:
            raise problems.AccountExists("This address has an account. Sign in, then accept the invitation.")
    first_name, last_name, password = _validate_new_account(acceptance)
    check_new_password(password, "user_password", (invitation.email_address, first_name, last_name))
    password_hash = identity.passwords.hash(password)
    with database.writing(invitation.team_id) as session:
        invitation = _get_open_invitation(session, acceptance.invitation_token)
        user = create_user(session, invitation.email_address, first_name, last_name, password_hash)
        _add_member_from_invitation(session, invitation, user)


def _validate_new_account(acceptance: Acceptance) -> tuple[str, str, str]:
    """Return the first name, last name and password of a new account.

    Raises:
        InvalidRequest: one of them is missing; the problem names each.
    """
    given = {name: getattr(acceptance, name) for name in ("first_name", "last_name", "user_password")}
    missing = [name for name, value in given.items() if value is None]
    if missing:
        names = ", ".join(f"'{name}'" for name in missing)
        raise problems.InvalidRequest(
            f"Not valid: {names}. A new account needs them; with an account, sign in and then accept.",
            errors=[{"field": name, "message": "Field required for a new account"} for name in missing],
        )
    return given["first_name"], given["last_name"], given["user_password"]


def _add_member_from_invitation(session: Session, invitation: InvitationRow, user: UserRow) -> None:
    """End the invitation as accepted, add the user to the team, and record it."""
    invitation.ended_at = now()
    invitation.accepted_by = user.id
    add_member(session, invitation.team_id, user.id, Role(invitation.role))
    actor = Actor("user", user.id, format_full_name(user.first_name, user.last_name))
    record(session, actor, invitation.team_id, "member.joined", user.id, role=invitation.role)


def _get_open_invitation(session: Session, token: str) -> InvitationRow:
    """Return the invitation with this token if it can be accepted now.

    Raises:
        InvitationNotFound: there is none.
    """
    invitation = _find_invitation(session, token, is_open_invitation())
    if invitation is None:
        raise build_invitation_not_found_problem()
    return invitation


def _find_invitation(session: Session, token: str, *conditions: ColumnElement[bool]) -> InvitationRow | None:
    """Return the invitation with this token, to a team that is not deleted, that meets the conditions; or None.

    Without conditions, also one that was accepted, withdrawn or has expired.
    """
    if not keys.is_well_formed(token, keys.INVITATION):
        return None
    return session.scalar(
        select(InvitationRow)
        .join(TeamRow, TeamRow.id == InvitationRow.team_id)
        .where(InvitationRow.token_hash == keys.digest(token), TeamRow.deleted_at.is_(None), *conditions)
    )
