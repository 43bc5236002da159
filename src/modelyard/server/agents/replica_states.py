"""Replica states for the API: of one machine, of one model, and of some models on all machines."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import FromClause, Select, and_, false, func, or_, select
from sqlalchemy.orm import Session

from modelyard.server.agents.machine_states import Machine, explain_replica, find_absence
from modelyard.server.agents.operations import get_agent
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.search import SELECTIVE_LIMIT, is_sqlite_session, join_left_to_right
from modelyard.server.database.session import get_table
from modelyard.server.http.paging import Order, Page, list_page
from modelyard.server.models.listing.index_choice import count_up_to
from modelyard.server.models.operations import find_model
from modelyard.server.models.replicas.assignments import (
    find_subscribed_pairs,
    load_assigned_agents,
    select_agents_of,
)
from modelyard.server.models.replicas.desired import (
    DesiredVersion,
    MachineCounts,
    find_desired_versions,
    get_desired_by,
    is_desired,
    is_desired_on,
)
from modelyard.server.models.replicas.labels import has_all_labels
from modelyard.server.models.replicas.machine_keys import load_key_refusals
from modelyard.server.models.replicas.missing import find_missing
from modelyard.server.models.replicas.pins import PinnedVersion, find_pins
from modelyard.server.models.replicas.problems import truncate_reason
from modelyard.server.models.replicas.tables import AgentModelRow, AgentRow
from modelyard.server.models.replicas.uses import load_uses
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems
from modelyard.wire.agents.replicas import AgentModel, AgentModelList, AgentState, ModelStates
from modelyard.wire.agents.values import MAX_REASON_LENGTH, MAX_STATES_IN_RESPONSE, ModelState

_models, _agents, _states = get_table(ModelRow), get_table(AgentRow), get_table(AgentModelRow)
# What ``find_absence`` and ``explain_replica`` read of a machine, and what decides which models it should hold.
_MACHINE_COLUMNS = (
    *(_agents.c.number, _agents.c.agent_id, _agents.c.label_set),
    *(_agents.c.last_heartbeat, _agents.c.stopped_at, _agents.c.paused, _agents.c.waiting_for),
    *(_agents.c.problem, _agents.c.sync_phase, _agents.c.sync_detail),
)
_UNREPORTED = ("queued", None, 0)

StoredState = tuple[str, str | None, int]


@dataclass(frozen=True)
class ReplicaFilter:
    """Which of a machine's models a list has; ``missing`` selects those that are not ready."""

    state: ModelState | None = None
    missing: bool = False


def list_agent_models(
    session: Session, team: TeamContext, agent_id: str, filters: ReplicaFilter, page: Page
) -> AgentModelList:
    """List the models that a machine should hold with their states, newest first.

    Models that the machine has not reported are ``queued``.

    Raises:
        AgentNotFound: see ``get_agent``.
    """
    agent = get_agent(session, team, agent_id)
    state = filters.state
    statement = (
        _select_desired(session, agent) if state in (None, "queued") else _select_reported(session, agent, state)
    )
    if state == "queued":
        statement = statement.where(or_(AgentModelRow.state.is_(None), AgentModelRow.state == state))
    if filters.missing:
        statement = statement.where(find_missing(session, agent.team_id, agent.agent_id).build_condition(session))
    rows, meta = list_page(session, statement, page, Order((ModelRow.created_at, ModelRow.id), is_descending=True))
    facts = _load_pair_facts(session, [agent.number], [row[0].id for row in rows])
    shown = [_build_agent_model(row[0], agent, row[1], facts) for row in rows]
    return AgentModelList(agent_model_list=shown, page_meta=meta)


def _select_desired(session: Session, agent: AgentRow) -> Select[*tuple[Any, ...]]:
    """Build the query for all models that the machine should hold, with their state where there is one."""
    of_agent = and_(AgentModelRow.model_id == ModelRow.id, AgentModelRow.agent_number == agent.number)
    statement = select(ModelRow, AgentModelRow).select_from(ModelRow).outerjoin(AgentModelRow, of_agent)
    return statement.where(is_desired_on(session, agent))


def _select_reported(session: Session, agent: AgentRow, state: ModelState | None) -> Select[*tuple[Any, ...]]:
    """Build the query for a machine's models with this stored state; on SQLite it is chosen by counting the states.

    Labels and assignments need no check, since only desired models have states.
    """
    of_agent = and_(_states.c.agent_number == agent.number, _states.c.state == state)
    is_same_model = _models.c.id == _states.c.model_id
    joined: FromClause = _models.join(_states, is_same_model)
    if is_sqlite_session(session):
        # Few states are looked up and sorted; with many, a scan of the newest models soon fills a page.
        is_selective = (
            count_up_to(session, select(_states.c.model_id).where(of_agent), SELECTIVE_LIMIT) < SELECTIVE_LIMIT
        )
        joined = (
            join_left_to_right(_states, _models, is_same_model)
            if is_selective
            else join_left_to_right(_models, _states, is_same_model)
        )
    return select(ModelRow, AgentModelRow).select_from(joined).where(of_agent, is_desired(agent.team_id))


def list_model_agents(session: Session, team: TeamContext, model_id: UUID, page: Page) -> AgentModelList:
    """List the machines that should hold a model, by agent id, with its state on each.

    Empty unless the model is active and was verified at least once; a damaged one is listed.

    Raises:
        ModelNotFound: it does not exist, or is another team's.
    """
    model = find_model(session, team, model_id)
    is_available = model.model_status == "active" and model.verified_at is not None
    label_sets = MachineCounts.load(session, team.team_id).list_sets_with(model.label_set)
    is_labelled, is_assigned = AgentRow.label_set.in_(label_sets), AgentRow.number.in_(select_agents_of(model.id))
    of_model = and_(AgentModelRow.agent_number == AgentRow.number, AgentModelRow.model_id == model.id)
    statement = (
        select(AgentRow, AgentModelRow)
        .select_from(AgentRow)
        .outerjoin(AgentModelRow, of_model)
        .where(AgentRow.team_id == team.team_id, or_(is_labelled, is_assigned) if is_available else false())
    )
    rows, meta = list_page(session, statement, page, Order((AgentRow.agent_id,)))
    facts = _load_pair_facts(session, [row[0].number for row in rows], [model.id])
    shown = [_build_agent_model(model, row[0], row[1], facts) for row in rows]
    return AgentModelList(agent_model_list=shown, page_meta=meta)


@dataclass(frozen=True)
class _PairFacts:
    """What is stored of machines and models: which are assigned by a subscription only, pinned versions, last uses.

    ``moment`` is when that was read; ``refusals`` says why the keys of machines are refused.
    """

    moment: datetime
    refusals: Mapping[int, str]
    subscribed: Collection[tuple[int, UUID]]
    pins: Mapping[tuple[int, UUID], PinnedVersion]
    last_uses: Mapping[tuple[int, UUID], datetime]


def _load_pair_facts(session: Session, numbers: Sequence[int], ids: Sequence[UUID]) -> _PairFacts:
    """Load the facts of these machines and models."""
    return _PairFacts(
        get_database_time(session),
        load_key_refusals(session, numbers),
        find_subscribed_pairs(session, numbers, ids),
        find_pins(session, numbers, ids),
        load_uses(session, numbers, ids),
    )


def _build_agent_model(
    model: ModelRow, agent: AgentRow, reported: AgentModelRow | None, facts: _PairFacts
) -> AgentModel:
    """Build the API's view of one replica; ``queued`` without a stored state."""
    pair = agent.number, model.id
    shown = PinnedVersion(model.shown_version, model.file_size, is_damaged=model.verification == "failed")
    version = facts.pins.get(pair, shown)
    absence = find_absence(agent, facts.moment, facts.refusals.get(agent.number))
    stored = None if reported is None else (reported.state, reported.reason)
    return AgentModel(
        model_id=model.id,
        agent_id=agent.agent_id,
        desired_by=get_desired_by(model.label_set, agent.label_set, is_subscribed=pair in facts.subscribed),
        version=version.number,
        display_name=model.display_name,
        model_path=model.model_path,
        file_size=version.file_size,
        state="queued" if reported is None else cast(ModelState, reported.state),
        reason=explain_replica(agent, absence, stored, is_damaged=version.is_damaged),
        bytes_done=0 if reported is None else reported.bytes_done,
        reported_at=None if reported is None else reported.reported_at,
        last_used_at=facts.last_uses.get(pair),
    )


def encode_replica_states(session: Session, team: TeamContext, ids: Collection[UUID]) -> bytes:
    """Return the JSON of a ``ModelStatesList``: the states of models on all machines that should hold them.

    The models are in the order of ``ids``, each once. Those of other teams, and those that no machine could need (see
    ``is_desired``), are left out. A desired model whose labels no machine has gets empty lists.

    Raises:
        InvalidRequest: the response would have more than ``MAX_STATES_IN_RESPONSE`` states.
    """
    desired = find_desired_versions(session, team.team_id, ids)
    _check_state_count(session, team.team_id, desired.values())
    of_team = select(*_MACHINE_COLUMNS).where(_agents.c.team_id == team.team_id)
    machines = session.execute(of_team.order_by(_agents.c.agent_id)).all()
    assigned, facts = load_assigned_agents(session, desired), _load_matrix_facts(session, team, machines, desired)
    found = [model_id for model_id in dict.fromkeys(ids) if model_id in desired]
    models = (
        _build_model_states(
            model_id,
            desired[model_id],
            _select_machines(machines, desired[model_id], assigned.get(model_id, ())),
            facts,
        )
        for model_id in found
    )
    # One at a time: while one is encoded, no other thread of the process can run.
    return b'{"model_list":[' + b",".join(model.model_dump_json().encode() for model in models) + b"]}"


@dataclass(frozen=True)
class _MatrixFacts:
    """Stored states by model and machine, pins by machine and model, and why machines do nothing, by machine."""

    reported: Mapping[tuple[UUID, int], StoredState]
    pins: Mapping[tuple[int, UUID], PinnedVersion]
    absences: Mapping[int, str | None]


def _load_matrix_facts(
    session: Session, team: TeamContext, machines: Sequence[Machine], ids: Collection[UUID]
) -> _MatrixFacts:
    """Load the facts of these models on the machines of a team."""
    moment = get_database_time(session)
    refusals = load_key_refusals(session, select(_agents.c.number).where(_agents.c.team_id == team.team_id))
    absences = {machine.number: find_absence(machine, moment, refusals.get(machine.number)) for machine in machines}
    return _MatrixFacts(_load_states(session, ids), find_pins(session, None, ids), absences)


def _select_machines(machines: Iterable[Machine], version: DesiredVersion, assigned: Collection[int]) -> list[Machine]:
    """Return those of the machines that should hold a model, given the numbers of those that it is assigned to."""
    return [
        machine
        for machine in machines
        if machine.number in assigned or has_all_labels(version.label_set, machine.label_set)
    ]


def _check_state_count(session: Session, team_id: UUID, models: Collection[DesiredVersion]) -> None:
    """Check the size of the response before it is loaded.

    Raises:
        InvalidRequest: it would have more than ``MAX_STATES_IN_RESPONSE`` states.
    """
    machines = MachineCounts.load(session, team_id)
    labelled = Counter(version.label_set for version in models)
    states = sum(count * machines.count_with(labels) for labels, count in labelled.items())
    states += sum(version.agents_assigned for version in models)
    if states > MAX_STATES_IN_RESPONSE:
        max_models = max(1, len(models) * MAX_STATES_IN_RESPONSE // states)
        raise problems.InvalidRequest.for_field(
            "model_id",
            f"These models have {states} states on the team's machines, and one response has at most "
            f"{MAX_STATES_IN_RESPONSE}. Request about {max_models} models at once.",
        )


def _load_states(session: Session, ids: Collection[UUID]) -> dict[tuple[UUID, int], StoredState]:
    """Load the stored states of these models by model and machine; reasons are cut to ``MAX_REASON_LENGTH``."""
    # Rows of an earlier version may have reasons above the limit.
    reason = func.substr(_states.c.reason, 1, MAX_REASON_LENGTH).label("reason")
    columns = (_states.c.model_id, _states.c.agent_number, _states.c.state, reason, _states.c.bytes_done)
    rows = session.execute(select(*columns).where(_states.c.model_id.in_(ids)))
    return {(row.model_id, row.agent_number): (row.state, row.reason, row.bytes_done) for row in rows}


def _build_model_states(
    model_id: UUID, current: DesiredVersion, machines: Iterable[Machine], facts: _MatrixFacts
) -> ModelStates:
    """Build the states of one model on the machines that should hold it.

    Machines on which the current version is ready without a reason are only named, other states are in full.
    """
    result = ModelStates(model_id=model_id, version=current.number, ready=[], state_list=[])
    for machine in machines:
        stored = facts.reported.get((model_id, machine.number))
        pin = facts.pins.get((machine.number, model_id))
        is_pinned = pin is not None and pin.number != current.number
        if stored is not None and stored[:2] == ("ready", None) and not is_pinned:
            result.ready.append(machine.agent_id)
            continue
        state, _, bytes_done = stored or _UNREPORTED
        is_damaged = current.is_damaged if pin is None else pin.is_damaged
        reason = explain_replica(machine, facts.absences[machine.number], stored and stored[:2], is_damaged=is_damaged)
        values = {"agent_id": machine.agent_id, "state": state, "bytes_done": bytes_done}
        values["reason"] = truncate_reason(reason)
        values["pinned_version"] = pin.number if pin is not None and is_pinned else None
        result.state_list.append(AgentState.model_validate(values))
    return result
