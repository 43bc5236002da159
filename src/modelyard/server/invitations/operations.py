"""Inviting people and accepting invitations."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import Actor, record
from modelyard.server.database.base import new_id, now
from modelyard.server.database.session import Database
from modelyard.server.identity import keys
from modelyard.server.identity.bearer import Caller, full_name
from modelyard.server.identity.email import email_key
from modelyard.server.identity.listing import Order, listed
from modelyard.server.identity.operations import make_user, user_by_key
from modelyard.server.identity.state import Identity
from modelyard.server.identity.tables import UserRow
from modelyard.server.invitations.tables import InvitationRow
from modelyard.server.paging import Page
from modelyard.server.teams.acting import Acting, role_in
from modelyard.server.teams.operations import add_member, team_of
from modelyard.server.teams.tables import TeamRow
from modelyard.wire import problems
from modelyard.wire.teams import (
    Acceptance,
    Invitation,
    InvitationList,
    InvitationMade,
    InvitationPreview,
    NewInvitation,
    Role,
)

LIFE = timedelta(days=7)


def invite(session: Session, acting: Acting, new: NewInvitation) -> InvitationMade:
    """An invitation, and the token to hand over; it is shown this once.

    Raises:
        AlreadyMember: this address belongs to a member.
        AlreadyInvited: an open invitation for this address exists.
        TeamNotFound: see ``team_of``.
    """
    team = team_of(session, acting)
    key = email_key(new.email_address)
    user = user_by_key(session, key)
    if user is not None and role_in(session, team.id, user.id) is not None:
        raise problems.AlreadyMember("This person is a member already.")
    _end_expired(session, team.id, key)

    token = keys.new_token(keys.INVITATION)
    invitation = InvitationRow(
        id=new_id(),
        team_id=team.id,
        email_address=new.email_address,
        email_key=key,
        role=new.invitation_role,
        token_hash=token.digest,
        expires_at=now() + LIFE,
    )
    try:
        with session.begin_nested():
            session.add(invitation)
    except IntegrityError:
        raise problems.AlreadyInvited("An open invitation for this address exists. Withdraw it first.") from None
    facts = {"email_address": new.email_address, "role": str(new.invitation_role)}
    record(session, acting.actor, team.id, "invitation.created", invitation.id, **facts)
    return InvitationMade(id=invitation.id, invitation_token=token.raw)


def _end_expired(session: Session, team_id: UUID, key: str) -> None:
    session.execute(
        update(InvitationRow)
        .where(
            InvitationRow.team_id == team_id,
            InvitationRow.email_key == key,
            InvitationRow.ended_at.is_(None),
            InvitationRow.expires_at <= now(),
        )
        .values(ended_at=now())
    )


def list_invitations(session: Session, acting: Acting, page: Page) -> InvitationList:
    """The open ones, newest first."""
    found = select(InvitationRow).where(
        InvitationRow.team_id == acting.team_id, InvitationRow.ended_at.is_(None), InvitationRow.expires_at > now()
    )
    rows, meta = listed(session, found, page, Order((InvitationRow.id,), is_descending=True))
    return InvitationList(invitation_list=[_shown(row[0]) for row in rows], page_meta=meta)


def _shown(invitation: InvitationRow) -> Invitation:
    return Invitation(
        id=invitation.id,
        email_address=invitation.email_address,
        invitation_role=Role(invitation.role),
        created_at=invitation.created_at,
        expires_at=invitation.expires_at,
    )


def withdraw(session: Session, acting: Acting, invitation_id: UUID) -> None:
    """End an open invitation.

    Raises:
        InvitationNotFound: the team has no open invitation with this id.
    """
    invitation = session.scalar(
        select(InvitationRow).where(
            InvitationRow.id == invitation_id,
            InvitationRow.team_id == acting.team_id,
            InvitationRow.ended_at.is_(None),
            InvitationRow.expires_at > now(),
        )
    )
    if invitation is None:
        raise invitation_not_found()
    invitation.ended_at = now()
    facts = {"email_address": invitation.email_address}
    record(session, acting.actor, acting.team_id, "invitation.withdrawn", invitation.id, **facts)


def invitation_not_found() -> problems.InvitationNotFound:
    return problems.InvitationNotFound("There is no such open invitation.")


def preview(session: Session, token: str) -> InvitationPreview:
    """What an open invitation says, for whoever holds it: to which team, for whom, as what.

    Raises:
        InvitationNotFound: see ``accept``.
    """
    invitation = _open_invitation(session, token)
    return InvitationPreview(
        team_id=invitation.team_id,
        team_name=session.get_one(TeamRow, invitation.team_id).display_name,
        email_address=invitation.email_address,
        invitation_role=Role(invitation.role),
        expires_at=invitation.expires_at,
        has_account=user_by_key(session, invitation.email_key) is not None,
    )


def accept(database: Database, identity: Identity, asked: Acceptance, caller: Caller | None) -> None:
    """Join a team: as the signed-in user whom it invites, or with a new account.

    The same user may repeat it: a lost answer costs nothing.

    Raises:
        InvitationNotFound: unknown, used by somebody else, withdrawn, too old, or for another address.
        KeyNotAllowed: a key accepts nothing.
        InvalidRequest: a new account needs names and a password.
        AccountExists: the address has an account: sign in, then accept.
    """
    if caller is None:
        _accept_as_new(database, identity, asked)
        return
    if caller.kind != "user" or caller.user_id is None:
        raise problems.KeyNotAllowed("A key may not do this: sign in as a user.")
    with database.reading() as session:
        named = _invitation(session, asked.invitation_token)
    if named is None:
        raise invitation_not_found()
    with database.writing(named.team_id) as session:
        _accept_as(session, asked.invitation_token, caller.user_id)


def _accept_as(session: Session, token: str, user_id: UUID) -> None:
    user = session.get(UserRow, user_id)
    invitation = _invitation(session, token)
    if user is None or invitation is None or invitation.email_key != user.email_key:
        raise invitation_not_found()
    if invitation.accepted_by == user.id and role_in(session, invitation.team_id, user.id) is not None:
        return
    _join(session, invitation, user)


def _accept_as_new(database: Database, identity: Identity, asked: Acceptance) -> None:
    with database.reading() as session:
        invitation = _open_invitation(session, asked.invitation_token)
        if user_by_key(session, invitation.email_key) is not None:
            raise problems.AccountExists("This address has an account: sign in, then accept.")
    first_name, last_name, password = _new_account(asked)
    password_hash = identity.passwords.hash(password)
    with database.writing(invitation.team_id) as session:
        invitation = _open_invitation(session, asked.invitation_token)
        user = make_user(session, invitation.email_address, first_name, last_name, password_hash)
        _join(session, invitation, user)


def _new_account(asked: Acceptance) -> tuple[str, str, str]:
    given = {name: getattr(asked, name) for name in ("first_name", "last_name", "user_password")}
    missing = [name for name, value in given.items() if value is None]
    if missing:
        names = ", ".join(f"'{name}'" for name in missing)
        raise problems.InvalidRequest(
            f"Not valid: {names}. A new account needs them; with an account, sign in and then accept.",
            errors=[{"field": name, "message": "Field required for a new account"} for name in missing],
        )
    return given["first_name"], given["last_name"], given["user_password"]


def _join(session: Session, invitation: InvitationRow, user: UserRow) -> None:
    if invitation.ended_at is not None or invitation.expires_at <= now():
        raise invitation_not_found()
    invitation.ended_at = now()
    invitation.accepted_by = user.id
    add_member(session, invitation.team_id, user.id, Role(invitation.role))
    actor = Actor("user", user.id, full_name(user.first_name, user.last_name))
    record(session, actor, invitation.team_id, "member.joined", user.id, role=invitation.role)


def _open_invitation(session: Session, token: str) -> InvitationRow:
    invitation = _invitation(session, token)
    if invitation is None or invitation.ended_at is not None or invitation.expires_at <= now():
        raise invitation_not_found()
    return invitation


def _invitation(session: Session, token: str) -> InvitationRow | None:
    if not keys.is_well_formed(token, keys.INVITATION):
        return None
    return session.scalar(
        select(InvitationRow)
        .join(TeamRow, TeamRow.id == InvitationRow.team_id)
        .where(InvitationRow.token_hash == keys.digest(token), TeamRow.deleted_at.is_(None))
    )
