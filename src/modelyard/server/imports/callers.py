"""Who started an import or a check of all models: stored with it, and loaded with the permissions of now."""

from uuid import UUID

from sqlalchemy.orm import Session

from modelyard.server.identity.authentication import Caller, build_unauthenticated_problem, is_valid_key
from modelyard.server.identity.tables import CredentialRow
from modelyard.server.imports.tables import ImportRow, SourceCheckRunRow
from modelyard.server.teams.context import TeamContext, build_not_a_member_problem, find_role
from modelyard.server.teams.permissions import Operation, check_permission
from modelyard.wire import problems


def load_team_context(session: Session, row: ImportRow | SourceCheckRunRow) -> TeamContext:
    """Return the context of the caller who started an import or a check, with the role and key of now.

    Raises:
        NotAMember, RoleTooLow: the user left the team, or may not import any more.
        Unauthenticated, KeyNotAllowed: the key is not valid any more, or has read access only now.
    """
    credential = _get_credential(session, row.credential_id)
    acts_for_user = row.creator_kind in ("user", "device")
    caller = Caller(
        kind=credential.kind if credential else "user",  # type: ignore[arg-type]  # the table has these kinds only
        user_id=row.creator_id if acts_for_user else None,
        credential_id=row.credential_id,
        sign_in_id=None,
        team_id=row.team_id if credential else None,
        access="read" if credential and credential.access == "read" else "write",
        display_name=row.creator_name,
        agent_id=None,
        # A job has no secret: its key may be rotated meanwhile.
        key_hash=None,
        responsible_user_id=credential.user_id if credential else None,
    )
    role = find_role(session, row.team_id, caller.user_id) if caller.user_id else None
    if acts_for_user and role is None:
        raise build_not_a_member_problem()
    check_permission(Operation.IMPORTS_CHANGE, caller, role)
    return TeamContext(caller, row.team_id, role)


def _get_credential(session: Session, credential_id: UUID | None) -> CredentialRow | None:
    """Return the key that started an import; None if a signed-in user did.

    Raises:
        Unauthenticated: the key is not valid any more.
    """
    if credential_id is None:
        return None
    credential = session.get(CredentialRow, credential_id)
    if credential is None or not is_valid_key(session, credential_id):
        raise build_unauthenticated_problem()
    return credential


def describe_problem(row: ImportRow | SourceCheckRunRow, problem: problems.Problem) -> str:
    """Return why an import or a check has failed, for everybody in the team: a permission is that of its starter."""
    if isinstance(problem, problems.NotAMember):
        return f"{row.creator_name}, who started this, is not a member of the team now."
    if isinstance(problem, problems.Unauthenticated):
        return (
            "The key that started this is not accepted now: it was revoked or has expired, or its creator is no admin"
            " any more."
        )
    if isinstance(problem, problems.RoleTooLow | problems.KeyNotAllowed):
        return f"{row.creator_name} started this, and does not have the permission for this. {problem.detail}"
    return problem.detail
