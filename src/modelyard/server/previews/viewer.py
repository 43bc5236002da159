"""Who may see a picture: a caller with a token, or a browser with the cookie that is for pictures only."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.accounts.cookies import PREVIEW_COOKIE
from modelyard.server.database.session import Db
from modelyard.server.fairness.accounts import Account
from modelyard.server.identity.authentication import (
    OptionalBearerToken,
    authenticate,
    build_unauthenticated_problem,
    run_authentication,
)
from modelyard.server.identity.keys import KIND_OF_PREFIX
from modelyard.server.identity.state import Identity, IdentityState
from modelyard.server.models.replicas.desired import is_desired_once_verified
from modelyard.server.models.replicas.key_access import find_models_of_key
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.previews.tables import PreviewRow
from modelyard.server.teams.context import TeamContext, resolve_team_context
from modelyard.server.teams.operations import may_machines_request
from modelyard.server.teams.permissions import Operation, check_permission
from modelyard.server.teams.tables import MemberRow, TeamRow
from modelyard.wire import problems
from modelyard.wire.hashes.texts import is_sha256


@dataclass(frozen=True)
class Viewer:
    """A user, who sees the pictures of all their teams, or a key's context in its team."""

    user_id: UUID | None
    team: TeamContext | None = None

    @property
    def team_id(self) -> UUID | None:
        """The team of a key."""
        return self.team.team_id if self.team else None

    @property
    def account(self) -> Account:
        """The account that the viewer's requests are charged to."""
        return self.team.account if self.team else Account(person=self.user_id)


async def _get_viewer(request: Request, token: OptionalBearerToken, database: Db, identity: IdentityState) -> Viewer:
    """Authenticate a request for a picture, by its token or else by the cookie.

    Raises:
        Unauthenticated: it has neither, or one that is not valid.
        KeyNotAllowed, RoleTooLow: see ``check_permission``.
    """
    cookie = request.cookies.get(PREVIEW_COOKIE, "")

    def check() -> Viewer:
        with database.reading() as session:
            return _check_cookie(session, identity, cookie) if token is None else _check_token(session, identity, token)

    return await run_authentication(request, token or cookie, check)


def _check_cookie(session: Session, identity: Identity, cookie: str) -> Viewer:
    """Return the user whose session the cookie names.

    Raises:
        Unauthenticated: it names none that is valid.
    """
    user_id = identity.preview_tokens.authenticate(session, cookie)
    if user_id is None:
        raise build_unauthenticated_problem()
    return Viewer(user_id)


def _check_token(session: Session, identity: Identity, token: str) -> Viewer:
    """Return the caller of a token; raises as ``_get_viewer``."""
    if token[:3] not in KIND_OF_PREFIX:
        caller, _ = authenticate(session, identity, token)
        return Viewer(caller.user_id)
    team = resolve_team_context(session, identity, token, [])
    check_permission(Operation.PREVIEWS_READ, team.caller, team.role)
    return Viewer(None, team)


PictureViewer = Annotated[Viewer, Depends(_get_viewer)]


def find_visible_picture(session: Session, viewer: Viewer, sha256: str) -> PreviewRow:
    """Return a picture that the viewer may see: of their teams; for a machine, of what it should hold or may request.

    Raises:
        PreviewNotFound: there is none; also if only another team has it.
    """
    if not is_sha256(sha256):
        raise problems.PreviewNotFound("There is no such picture.")
    query = select(PreviewRow).where(PreviewRow.sha256 == sha256)
    if viewer.team is not None:
        query = query.where(PreviewRow.team_id == viewer.team.team_id)
    else:
        query = (
            query.join(TeamRow, TeamRow.id == PreviewRow.team_id)
            .join(MemberRow, MemberRow.team_id == PreviewRow.team_id)
            .where(MemberRow.user_id == viewer.user_id, TeamRow.deleted_at.is_(None))
        )
    row = session.scalars(query.limit(1)).first()
    if row is None or not _is_shown_to(session, viewer, row):
        raise problems.PreviewNotFound("There is no such picture.")
    return row


def _is_shown_to(session: Session, viewer: Viewer, row: PreviewRow) -> bool:
    """Return whether a machine's manifest lists a model with this picture, or the machine may request such a model.

    True for everybody but machines.
    """
    if viewer.team is None or viewer.team.caller.kind != "agent":
        return True
    models = (
        select(ModelRow.id, ModelRow.label_set, ModelRow.deleted_at, ModelRow.model_status)
        .join(ModelVersionRow, ModelVersionRow.model_id == ModelRow.id)
        .where(
            ModelVersionRow.team_id == row.team_id,
            ModelVersionRow.preview_sha256 == row.sha256,
            ModelRow.preview_sha256 == row.sha256,
        )
    )
    shown = {model.id: model.label_set for model in session.execute(models) if is_desired_once_verified(model)}
    return bool(shown) and (
        may_machines_request(session, row.team_id) or bool(find_models_of_key(session, viewer.team, shown))
    )
