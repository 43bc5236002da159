"""The labels that a machine gives itself."""

from modelyard.server.models.replicas.labels import FOLDERS
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.teams.context import TeamContext
from modelyard.wire.agents.heartbeats import Heartbeat
from modelyard.wire.people.roles import Role

# Who may decide with the labels of a machine of theirs which models of collections it gets.
LABELLING_ROLE = Role.MEMBER


def has_other_labels(agent: AgentRow, team: TeamContext, beat: Heartbeat) -> bool:
    """Return whether a machine's own labels, or whether they count for collections, differ from what is stored."""
    return (agent.own_labels, agent.trusts_own_labels) != (list_own_labels(beat), trusts_own_labels(team))


def trusts_own_labels(team: TeamContext) -> bool:
    """Return whether the labels that the caller's machine gives itself count for collections: not a viewer's."""
    return team.responsible_role is not None and team.responsible_role.rank >= LABELLING_ROLE.rank


def list_own_labels(beat: Heartbeat) -> list[str]:
    """Return the labels that a machine reports, and the one of its ability to place folders."""
    return [*beat.agent_labels, *([FOLDERS] if beat.places_folders else [])]
