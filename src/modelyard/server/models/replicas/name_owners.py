"""Use of a machine's name with another key, see ``machine_names`` for who may do so.

With the name come the machine's central labels, its subscriptions and its assignments.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from modelyard.server.audit.operations import SYSTEM, record
from modelyard.server.credentials.machine_names import may_replace_key
from modelyard.server.identity.authentication import is_valid_key
from modelyard.server.identity.operations import revoke_key
from modelyard.server.identity.tables import CredentialRow
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.replicas.unhealthy import UNHEALTHY_AFTER, is_unhealthy
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems


def check_takeover(session: Session, team: TeamContext, agent: AgentRow, moment: datetime) -> None:
    """Check that the caller's key may replace that of a machine.

    It must be a key of the same person or of an admin; and the machine must have been stopped, or be silent, or have an
    invalid key.

    Raises:
        AgentTaken: the caller's key is another person's, who is no admin; or the machine runs with its own key.
    """
    if not may_replace_key(session, team.team_id, agent.credential_id, team.caller.responsible_user_id):
        raise problems.AgentTaken(
            f"The machine '{agent.agent_id}' was set up with a key of another person, so only they or an admin can set "
            "it up again. Choose another name for this machine (modelyard agent run --agent-id NAME, or install it "
            "again with --agent-id NAME), and pair it again if it had this name before (modelyard agent pair). Or ask "
            "an admin to remove the other machine "
            f"(modelyard machine rm {agent.agent_id}), which deletes its central labels, disk budget, subscriptions "
            "and assignments.",
            agent_id=agent.agent_id,
        )
    is_running = agent.stopped_at is None and not is_unhealthy(agent, moment)
    if is_running and is_valid_key(session, agent.credential_id):
        # Two machines would overwrite each other's states.
        seconds = int(UNHEALTHY_AFTER.total_seconds())
        raise problems.AgentTaken(
            f"A machine with another key sent a heartbeat as '{agent.agent_id}' within the last {seconds} seconds. If "
            "it was this machine, revoke its old key or wait; otherwise give one of the two another name: modelyard "
            "agent run --agent-id NAME, or install it again with --agent-id NAME.",
            agent_id=agent.agent_id,
        )


def record_key_change(session: Session, team: TeamContext, agent: AgentRow) -> None:
    """Record that a machine uses the caller's key from now on, with both keys as ``modelyard key ls`` shows them.

    Revokes the key that a new pairing replaces.
    """
    before = session.get_one(CredentialRow, agent.credential_id)
    after = session.get_one(CredentialRow, team.caller.credential_id)
    facts = {"key_name": after.display_name, "key_prefix": after.key_prefix}
    facts |= {"before_key_name": before.display_name, "before_key_prefix": before.key_prefix}
    _revoke_replaced_key(session, agent, before, after)
    record(session, team.actor, team.team_id, "agent.key_changed", agent.agent_id, **facts)


def _revoke_replaced_key(session: Session, agent: AgentRow, before: CredentialRow, after: CredentialRow) -> None:
    """Revoke the machine's key from an earlier pairing by the same person, and record that; no other machine uses it.

    Keys from ``/credentials`` may serve other machines, and another person's key is theirs to revoke.
    """
    is_of_machine = before.is_paired and before.agent_id == agent.agent_id
    is_replaced = after.is_paired and after.user_id == before.user_id
    if is_of_machine and is_replaced and before.revoked_at is None:
        revoke_key(session, before.id)
        facts = {"kind": before.kind, "display_name": before.display_name, "key_prefix": before.key_prefix}
        record(session, SYSTEM, agent.team_id, "credential.revoked", before.id, agent_id=agent.agent_id, **facts)
