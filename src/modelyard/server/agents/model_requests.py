"""Models that users of a machine request: the machine lists what the team has, and assigns models to itself."""

from collections.abc import Iterable
from typing import cast
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.agents.assignments import record_changes
from modelyard.server.agents.operations import get_own_agent
from modelyard.server.http.paging import Page
from modelyard.server.models.listing.pages import list_models
from modelyard.server.models.lookups.by_id import load_models_by_id
from modelyard.server.models.replicas.assignments import add_assignment, find_assigned_models
from modelyard.server.models.replicas.labels import FOLDERS, has_all_labels
from modelyard.server.models.replicas.tables import AgentModelRow, AgentRow
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.operations import may_machines_request
from modelyard.wire import problems
from modelyard.wire.agent_requests.models import (
    ModelRequest,
    ModelRequestResult,
    RefusedModel,
    RequestableModel,
    RequestableModelList,
)
from modelyard.wire.agents.values import ModelState
from modelyard.wire.model_details import TriggerWord
from modelyard.wire.model_filter import ModelFilter

_COPIED_FIELDS = set(RequestableModel.model_fields) - {"trigger_words", "state"}


def request_models(session: Session, team: TeamContext, request: ModelRequest) -> ModelRequestResult:
    """Assign models to the caller's own machine, and record each new assignment; may be repeated.

    Increments the team's revision if one is new. Models that may not be requested are in the result, with the reason. A
    model that is not verified yet reaches the machine once it is.

    Raises:
        KeyNotAllowed, AgentUnknown, MachineRequestsOff: see ``_get_requesting_agent``.
    """
    agent = _get_requesting_agent(session, team, request.agent_id)
    ids = list(dict.fromkeys(request.model_ids))
    models = load_models_by_id(session, team.team_id, ids)

    refused = [(model_id, reason) for model_id in ids if (reason := _find_refusal(agent, models.get(model_id)))]
    granted = [models[model_id] for model_id in ids if model_id not in dict(refused)]

    new = [model for model in granted if add_assignment(session, agent, model)]
    record_changes(session, team, "model.requested", agent, new)
    return ModelRequestResult(
        requested=[model.id for model in granted],
        pending=[model.id for model in granted if model.verified_at is None],
        refused=[RefusedModel(id=model_id, problem=reason) for model_id, reason in refused],
    )


def _get_requesting_agent(session: Session, team: TeamContext, agent_id: str) -> AgentRow:
    """Return the machine that the caller's key is used by, if the team lets machines request models.

    Raises:
        KeyNotAllowed, AgentUnknown: see ``get_own_agent``.
        MachineRequestsOff: the team does not let machines request models.
    """
    agent = get_own_agent(session, team, agent_id)
    if not may_machines_request(session, team.team_id):
        raise problems.MachineRequestsOff(
            "The team does not let machines request models. Ask a member to assign the model to this machine, or an "
            "admin to allow it: modelyard team settings --machines-may-request."
        )
    return agent


def _find_refusal(agent: AgentRow, model: ModelRow | None) -> str | None:
    """Return why a machine does not get a model; None if it does. An unknown model and a deleted one look the same."""
    if model is None or model.deleted_at is not None:
        return "The team has no such model; it may have been deleted."
    if model.is_folder and not has_all_labels(FOLDERS, agent.label_set):
        return f"The model '{model.display_name}' is a folder, which this modelyard does not place. Update it."
    if model.model_status != "active":
        return f"The model '{model.display_name}' is disabled in the registry."
    if model.verified_at is None and model.verification == "failed":
        return f"The model '{model.display_name}' failed its verification."
    return None


def list_requestable_models(
    session: Session, team: TeamContext, agent_id: str, model_filter: ModelFilter, page: Page
) -> RequestableModelList:
    """Return a page of the models that the filter finds, with their state on the caller's machine.

    Raises:
        KeyNotAllowed, AgentUnknown, MachineRequestsOff: see ``_get_requesting_agent``.
        InvalidRequest: see ``list_models``.
    """
    agent = _get_requesting_agent(session, team, agent_id)
    listed = list_models(session, team, model_filter, page)
    states = _load_states(session, agent, listed.models)
    shown = [
        RequestableModel(
            trigger_words=[TriggerWord.model_validate(word) for word in model.trigger_words or []],
            state=states.get(model.id, "absent"),
            **{name: getattr(model, name) for name in _COPIED_FIELDS},
        )
        for model in listed.models
    ]
    return RequestableModelList(model_list=shown, page_meta=listed.meta)


def _load_states(session: Session, agent: AgentRow, models: Iterable[ModelRow]) -> dict[UUID, ModelState]:
    """Return the state of those models that the machine should hold; ``queued`` if it has reported none."""
    by_id = {model.id: model for model in models}
    of_agent = (AgentModelRow.agent_number == agent.number, AgentModelRow.model_id.in_(by_id))
    rows = session.execute(select(AgentModelRow.model_id, AgentModelRow.state).where(*of_agent))
    reported: dict[UUID, str] = {row.model_id: row.state for row in rows}
    assigned = find_assigned_models(session, agent.number, by_id)
    return {
        model_id: cast(ModelState, reported.get(model_id, "queued"))
        for model_id, model in by_id.items()
        if model_id in assigned or has_all_labels(model.label_set, agent.label_set)
    }
