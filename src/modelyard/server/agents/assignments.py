"""Operations of people on assignments: a machine should hold an assigned model whatever its labels are."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.agents.operations import get_agent
from modelyard.server.audit.operations import record
from modelyard.server.models.downloads import build_files_path
from modelyard.server.models.operations import find_model
from modelyard.server.models.replicas import states
from modelyard.server.models.replicas.assignments import add_assignment, find_assigned_models, remove_assignment
from modelyard.server.models.replicas.labels import FOLDERS, has_all_labels
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems


def assign_model(session: Session, team: TeamContext, agent_id: str, model_id: UUID) -> bool:
    """Assign a model to a machine, and record that; return False, and change nothing, if it is assigned already.

    Increments the team's revision. A disabled model, or one that is not verified yet, reaches the machine once it is
    enabled and verified.

    Raises:
        AgentNotFound: see ``get_agent``.
        ModelNotFound: the model does not exist, or is another team's.
        ModelIsFolder: it has many files, and the machine does not place such models.
    """
    agent, model = get_agent(session, team, agent_id), find_model(session, team, model_id)
    if model.is_folder and not has_all_labels(FOLDERS, agent.label_set):
        raise problems.ModelIsFolder(
            f"This model is a folder, which the modelyard on '{agent.agent_id}' does not place. Update it there.",
            files_path=build_files_path(model.id),
        )
    is_new = add_assignment(session, agent, model)
    if is_new:
        record_changes(session, team, "model.assigned", agent, [model])
    return is_new


def unassign_model(session: Session, team: TeamContext, agent_id: str, model_id: UUID) -> None:
    """End the direct assignment of a model to a machine, and record that; do nothing if there is none.

    The machine then removes its copy, unless it has the model's labels or is subscribed to it. If it should not hold
    the model any more, its replica state is deleted, and it reports all states anew. Increments the team's revision.

    Raises:
        AgentNotFound, ModelNotFound: see ``assign_model``.
    """
    agent, model = get_agent(session, team, agent_id), find_model(session, team, model_id)
    if not remove_assignment(session, agent, model):
        return
    is_desired = has_all_labels(model.label_set, agent.label_set) or find_assigned_models(
        session, agent.number, [model.id]
    )
    if not is_desired and states.delete_state(session, agent, model):
        # The machine has to report all states again: it may not see that the model was away.
        agent.report_series = ""
    record_changes(session, team, "model.unassigned", agent, [model])


def record_changes(
    session: Session, team: TeamContext, action: str, agent: AgentRow, models: Collection[ModelRow]
) -> None:
    """Record an audit event for each model whose assignment to a machine has changed, and count a revision of the team.

    That wakes the machines that wait for their manifest. Does nothing without models.
    """
    if models:
        revisions.increment_revision(session, team.team_id)
    for model in models:
        facts = {"agent_id": agent.agent_id, "model_path": model.model_path}
        record(session, team.actor, team.team_id, action, model.id, **facts)
