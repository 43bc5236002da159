"""The permission table: which role or kind of key may do which operation. Follows section 2 of the API contract."""

from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Literal

from modelyard.server.identity.authentication import KEY_CREATOR_ROLES, Caller
from modelyard.wire.people.roles import Role
from modelyard.wire.problems import NEEDS_ROLE, KeyNotAllowed, Problem, RoleTooLow


class Operation(StrEnum):
    """An operation in a team that needs a permission. Each route of a team has exactly one."""

    MODELS_READ = auto()
    MODELS_DOWNLOAD = auto()
    MODELS_LOOKUP = auto()  # a machine: what its manifest names
    MODELS_UPLOAD = auto()  # presign, multipart, register
    MODELS_EDIT = auto()  # edit, enable, disable, replace, delete, restore: a member's own, anybody's for an admin
    VERSIONS_READ = auto()  # an agent: the versions that its manifest names
    VERSIONS_ACTIVATE = auto()  # activate, delete, restore: a member's own models, anybody's for an admin
    TRUSTED_FILES_READ = auto()
    TRUSTED_FILES_CHANGE = auto()
    PREVIEWS_READ = auto()  # an agent: those of models that its manifest names, or that it may request
    WORKFLOWS_CHECK = auto()
    COLLECTIONS_READ = auto()
    COLLECTIONS_EDIT = auto()  # create, edit, delete: a member's own, anybody's for an admin
    COLLECTIONS_SUBSCRIBE = auto()  # machines and labels; pin
    IMPORTS_READ = auto()
    SOURCE_TOKENS_MANAGE = auto()
    IMPORTS_CHANGE = auto()  # look up, start; cancel, retry: a member's own, anybody's for an admin
    AGENTS_LIST = auto()
    AGENTS_ASSIGN = auto()  # models to machines
    AGENTS_MANAGE = auto()
    AGENT_MANIFEST = auto()
    AGENT_HEARTBEAT = auto()
    AGENT_REQUEST = auto()  # list models, and assign some to the own machine: if the team lets machines do so
    CREDENTIALS_CREATE = auto()
    CREDENTIALS_LIST = auto()  # below admin: those of what one paired
    CREDENTIALS_REVOKE = auto()  # likewise
    CREDENTIALS_ROTATE = auto()
    PAIR = auto()
    TEAM_READ = auto()
    TEAM_CHANGE = auto()
    TEAM_TRANSFER = auto()
    TEAM_DELETE = auto()
    MEMBERS_LIST = auto()
    MEMBERS_CHANGE = auto()
    MEMBERS_REMOVE = auto()  # oneself for everybody, others for an admin
    INVITE = auto()
    AUDIT_READ = auto()
    WEBHOOKS_MANAGE = auto()


@dataclass(frozen=True)
class Rule:
    """Who is allowed to do an operation.

    ``role`` is the lowest role of a user that is allowed; None allows no user. ``integration`` is the access that an
    integration's key needs. A device acts as its user, so it needs ``device`` and the user's role. Rules about single
    objects (a member changes only their own) belong to the operation itself.
    """

    role: Role | None
    integration: Literal["never", "read", "write"] = "never"
    device: bool = False
    agent: bool = False


def _is_enough(role: Role | None, rule: Rule) -> bool:
    """Return whether a user with this role is allowed by the rule; False without a role."""
    return role is not None and rule.role is not None and role.rank >= rule.role.rank


ALLOWED: dict[Operation, Rule] = {
    Operation.MODELS_READ: Rule(Role.VIEWER, integration="read", device=True),
    Operation.MODELS_DOWNLOAD: Rule(Role.VIEWER, integration="read", device=True, agent=True),
    Operation.MODELS_LOOKUP: Rule(Role.VIEWER, integration="read", device=True, agent=True),
    Operation.MODELS_UPLOAD: Rule(Role.MEMBER, integration="write", device=True),
    Operation.MODELS_EDIT: Rule(Role.MEMBER, integration="write", device=True),
    Operation.VERSIONS_READ: Rule(Role.VIEWER, integration="read", device=True, agent=True),
    Operation.VERSIONS_ACTIVATE: Rule(Role.MEMBER, device=True),
    Operation.TRUSTED_FILES_READ: Rule(Role.VIEWER, integration="read", device=True),
    Operation.TRUSTED_FILES_CHANGE: Rule(Role.ADMIN, device=True),
    Operation.PREVIEWS_READ: Rule(Role.VIEWER, integration="read", device=True, agent=True),
    Operation.WORKFLOWS_CHECK: Rule(Role.VIEWER, integration="read", device=True, agent=True),
    Operation.COLLECTIONS_READ: Rule(Role.VIEWER, integration="read", device=True),
    Operation.COLLECTIONS_EDIT: Rule(Role.MEMBER, integration="write", device=True),
    Operation.COLLECTIONS_SUBSCRIBE: Rule(Role.ADMIN, device=True),
    Operation.IMPORTS_READ: Rule(Role.VIEWER, integration="read", device=True),
    Operation.IMPORTS_CHANGE: Rule(Role.MEMBER, integration="write", device=True),
    Operation.SOURCE_TOKENS_MANAGE: Rule(Role.ADMIN, device=True),
    Operation.AGENTS_LIST: Rule(Role.VIEWER, integration="read", device=True),
    Operation.AGENTS_ASSIGN: Rule(Role.MEMBER, integration="write", device=True),
    Operation.AGENTS_MANAGE: Rule(Role.ADMIN, device=True),
    Operation.AGENT_MANIFEST: Rule(None, agent=True),
    Operation.AGENT_HEARTBEAT: Rule(None, agent=True),
    Operation.AGENT_REQUEST: Rule(None, agent=True),
    Operation.CREDENTIALS_CREATE: Rule(Role.ADMIN),
    Operation.CREDENTIALS_LIST: Rule(Role.VIEWER),
    Operation.CREDENTIALS_REVOKE: Rule(Role.VIEWER),
    Operation.CREDENTIALS_ROTATE: Rule(Role.ADMIN),
    Operation.PAIR: Rule(Role.VIEWER),
    Operation.TEAM_READ: Rule(Role.VIEWER, device=True),
    Operation.TEAM_CHANGE: Rule(Role.ADMIN, device=True),
    Operation.TEAM_TRANSFER: Rule(Role.OWNER),
    Operation.TEAM_DELETE: Rule(Role.OWNER),
    Operation.MEMBERS_LIST: Rule(Role.ADMIN, device=True),
    Operation.MEMBERS_CHANGE: Rule(Role.ADMIN, device=True),
    Operation.MEMBERS_REMOVE: Rule(Role.VIEWER, device=True),
    Operation.INVITE: Rule(Role.ADMIN, device=True),
    Operation.AUDIT_READ: Rule(Role.ADMIN, device=True),
    Operation.WEBHOOKS_MANAGE: Rule(Role.ADMIN, device=True),
}
# Members edit the models and collections that they created; users with this role or a higher one edit all.
EDIT_EVERY_ROLE = Role.ADMIN
# An invitation can be accepted while the user who made it has one of these roles.
INVITER_ROLES = tuple(role for role in Role if _is_enough(role, ALLOWED[Operation.INVITE]))


def check_permission(operation: Operation, caller: Caller, role: Role | None) -> None:
    """Check that the caller may do the operation; ``role`` is the user's role in the team, None without a user.

    Raises:
        KeyNotAllowed: this kind of key, or a key with this access, may not do the operation.
        RoleTooLow: the user's role is too low.
    """
    rule = ALLOWED[operation]
    if caller.kind == "integration":
        problem = _find_integration_problem(rule, caller)
    elif caller.kind == "agent":
        problem = (
            None
            if rule.agent
            else KeyNotAllowed("Agent keys cannot do this. Sign in as a user, or use another kind of key.")
        )
    elif caller.kind == "device" and not rule.device:
        problem = KeyNotAllowed("Device keys cannot do this. Sign in as a user.")
    else:
        problem = _find_role_problem(rule, role)
    if problem is not None:
        raise problem


def _find_integration_problem(rule: Rule, caller: Caller) -> Problem | None:
    """Return why an integration's key may not do the operation, or None if it may."""
    if rule.integration == "never":
        return KeyNotAllowed("Integration keys cannot do this. Sign in as a user.")
    if rule.integration == "write" and caller.access != "write":
        return KeyNotAllowed("This key has read access only. Use a key with write access.")
    return None


def _find_role_problem(rule: Rule, role: Role | None) -> Problem | None:
    """Return why a user with this role may not do the operation, or None if the user may."""
    if rule.role is None:
        return KeyNotAllowed("Only machines can do this, with an agent key.")
    if not _is_enough(role, rule):
        return build_role_too_low_problem(rule.role)
    return None


def check_grant(caller: Caller, role: Role) -> None:
    """Check that the caller may give a user this role.

    A device's key may not create keys, so it may not make an admin either, who could then create them.

    Raises:
        KeyNotAllowed: the caller is a device's key, and the role may create keys.
    """
    if caller.kind == "device" and role in KEY_CREATOR_ROLES:
        raise KeyNotAllowed(f"Device keys cannot give the role '{role}'. Sign in as a user.")


def build_role_too_low_problem(needed: Role) -> RoleTooLow:
    """Build the problem for a user whose role is below ``needed``."""
    if needed == Role.OWNER:
        return RoleTooLow("Only the owner of the team can do this. Ask the owner.", needed_role=str(needed))
    return RoleTooLow(NEEDS_ROLE.format(needed=needed), needed_role=str(needed))
