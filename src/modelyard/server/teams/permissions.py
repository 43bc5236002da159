"""Who may do what: one table, written after the contract's section 2, and nothing decides elsewhere."""

from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Literal

from modelyard.server.identity.bearer import Caller
from modelyard.wire.problems import KeyNotAllowed, Problem, RoleTooLow
from modelyard.wire.teams import Role


class Operation(StrEnum):
    """Everything that needs a team and a permission. One route has one of these."""

    MODELS_READ = auto()
    MODELS_DOWNLOAD = auto()
    MODELS_UPLOAD = auto()  # presign, multipart, register
    MODELS_EDIT = auto()  # edit, enable, disable, replace, delete, restore: a member's own, anybody's for an admin
    AGENTS_LIST = auto()
    AGENTS_MANAGE = auto()
    AGENT_MANIFEST = auto()
    AGENT_HEARTBEAT = auto()
    CREDENTIALS_CREATE = auto()
    CREDENTIALS_LIST = auto()  # below admin: one's own device keys
    CREDENTIALS_REVOKE = auto()  # likewise
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


@dataclass(frozen=True)
class Rule:
    """Who passes. ``role`` is the least role of a person (None: no person); keys pass by their kind.

    A device acts as its user, so it also needs the user's role. What a person may do to *which* object (their own,
    only) is the slice's rule.
    """

    role: Role | None
    integration: Literal["never", "read", "write"] = "never"
    device: bool = False
    agent: bool = False


ALLOWED: dict[Operation, Rule] = {
    Operation.MODELS_READ: Rule(Role.VIEWER, integration="read", device=True),
    Operation.MODELS_DOWNLOAD: Rule(Role.VIEWER, integration="read", device=True, agent=True),
    Operation.MODELS_UPLOAD: Rule(Role.MEMBER, integration="write", device=True),
    Operation.MODELS_EDIT: Rule(Role.MEMBER, integration="write", device=True),
    Operation.AGENTS_LIST: Rule(Role.VIEWER, integration="read", device=True),
    Operation.AGENTS_MANAGE: Rule(Role.ADMIN, device=True),
    Operation.AGENT_MANIFEST: Rule(None, agent=True),
    Operation.AGENT_HEARTBEAT: Rule(None, agent=True),
    Operation.CREDENTIALS_CREATE: Rule(Role.ADMIN),
    Operation.CREDENTIALS_LIST: Rule(Role.VIEWER),
    Operation.CREDENTIALS_REVOKE: Rule(Role.VIEWER),
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
}


def check(operation: Operation, caller: Caller, role: Role | None) -> None:
    """Let the caller pass, or raise. ``role`` is that of the user in the team, None for keys without a user.

    Raises:
        KeyNotAllowed: never for this kind of caller, or never with this key's access.
        RoleTooLow: a person whose role is too low.
    """
    rule = ALLOWED[operation]
    if caller.kind == "integration":
        refused = _refused_integration(rule, caller)
    elif caller.kind == "agent":
        refused = None if rule.agent else KeyNotAllowed("An agent's key may not do this.")
    elif caller.kind == "device" and not rule.device:
        refused = KeyNotAllowed("A device's key may not do this: sign in as a user.")
    else:
        refused = _refused_person(rule, role)
    if refused is not None:
        raise refused


def _refused_integration(rule: Rule, caller: Caller) -> Problem | None:
    if rule.integration == "never":
        return KeyNotAllowed("An integration's key may not do this.")
    if rule.integration == "write" and caller.access != "write":
        return KeyNotAllowed("This key may read, not write.")
    return None


def _refused_person(rule: Rule, role: Role | None) -> Problem | None:
    if rule.role is None:
        return KeyNotAllowed("Only an agent's key may do this.")
    if role is None or role.rank < rule.role.rank:
        return role_too_low(rule.role)
    return None


def role_too_low(needed: Role) -> RoleTooLow:
    return RoleTooLow(f"This needs the role '{needed}' or higher.", needed_role=str(needed))
