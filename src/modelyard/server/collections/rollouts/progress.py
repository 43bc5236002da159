"""The machines of a roll-out, with what they last reported about the models of its version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, case, func, or_, select
from sqlalchemy.orm import Session

from modelyard.server.collections.rollouts.decisions import (
    BLOCKED_FOR,
    MachineFacts,
    Remark,
    count_states,
    is_problem_lasting,
    is_settling,
)
from modelyard.server.collections.subscribed_models import list_subscribed_agents
from modelyard.server.collections.tables import CollectionEntryRow, CollectionRow, RolloutRow
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import get_table, split_ids
from modelyard.server.models.replicas.labels import has_all_labels
from modelyard.server.models.replicas.problems import describe_held_removals
from modelyard.server.models.replicas.tables import AgentModelRow, AgentRow
from modelyard.server.models.replicas.unhealthy import is_unhealthy
from modelyard.server.models.tables import ModelRow
from modelyard.wire.collections.rollouts import MAX_ROLLOUT_MACHINES, RolloutMachine, RolloutProgress

_entries, _models, _states = get_table(CollectionEntryRow), get_table(ModelRow), get_table(AgentModelRow)
_is_desired = and_(_models.c.deleted_at.is_(None), _models.c.model_status == "active")
_DUE = Remark(None, "The registry has not updated yet which models the machine should hold.")
_is_ready = and_(_states.c.state == "ready", _states.c.reason.is_(None))


@dataclass
class _Reported:
    """What a machine reported about the models of a version."""

    ready: int = 0
    changed_at: datetime | None = None
    remarks: dict[bool, Remark] = field(default_factory=dict)


def load_machines(session: Session, collection: CollectionRow, rollout: RolloutRow) -> list[MachineFacts]:
    """Return the subscribed machines of a collection by name, with their progress in a roll-out."""
    return _load_facts(session, (collection, rollout), list_subscribed_agents(session, collection))


def load_deciding_machines(session: Session, collection: CollectionRow, rollout: RolloutRow) -> list[MachineFacts]:
    """Return the machines that decide the next step of a roll-out.

    At first, these are the canaries. Once all machines get the version, one that is offline is enough: the roll-out
    cannot finish, and what the others reported need not be counted.
    """
    agents = list_subscribed_agents(session, collection)
    if rollout.state != "rolling_out":
        return _load_facts(session, (collection, rollout), [agent for agent in agents if is_canary(rollout, agent)])
    moment = get_database_time(session)
    offline = [agent for agent in agents if _is_offline(agent, moment)]
    return _load_facts(session, (collection, rollout), offline[:1] or agents)


def _load_facts(
    session: Session, of: tuple[CollectionRow, RolloutRow], agents: Sequence[AgentRow]
) -> list[MachineFacts]:
    """Return what decides the states of machines, by name.

    Of those that are due, and of those with another version, no reports are read.
    """
    collection, rollout = of
    total = _count_models(session, collection, rollout.version)
    with_version = [
        agent.number
        for agent in agents
        if collection.get_version_for(agent.collection_label_set) == rollout.version and not agent.subscriptions_due
    ]
    moment = get_database_time(session)
    reported = _load_reported(session, _of_version(collection, rollout.version), with_version, moment)
    return [
        _build_facts(agent, of, total, reported.get(agent.number, _Reported()), moment)
        for agent in sorted(agents, key=lambda agent: agent.agent_id)
    ]


def _is_offline(agent: AgentRow, moment: datetime) -> bool:
    """Return whether a machine was stopped or sends no heartbeats."""
    return agent.stopped_at is not None or is_unhealthy(agent, moment)


def is_canary(rollout: RolloutRow, agent: AgentRow) -> bool:
    """Return whether a machine gets the version before others do."""
    return rollout.canary_label is not None and has_all_labels(rollout.canary_label, agent.collection_label_set)


def _build_facts(
    agent: AgentRow, of: tuple[CollectionRow, RolloutRow], total: int, reported: _Reported, moment: datetime
) -> MachineFacts:
    """Return what decides the state of a machine in the roll-out of a collection."""
    collection, rollout = of
    is_incomplete = reported.ready < total
    problem = _find_problem(agent) if is_incomplete and not agent.subscriptions_due else None
    is_lasting = is_problem_lasting(rollout.created_at, agent.last_heartbeat, moment)
    return MachineFacts(
        agent_id=agent.agent_id,
        is_canary=is_canary(rollout, agent),
        has_version=collection.get_version_for(agent.collection_label_set) == rollout.version,
        models_total=total,
        models_ready=reported.ready,
        is_offline=_is_offline(agent, moment),
        is_settling=agent.subscriptions_due
        or (
            agent.agent_status == "syncing"
            and is_settling(rollout.state, rollout.canaries_ready_at, reported.changed_at, moment)
        ),
        failure=reported.remarks.get(True) or (problem if is_lasting else None),
        wait=reported.remarks.get(False) or problem or (_find_wait(agent) if is_incomplete else None),
    )


def _find_problem(agent: AgentRow) -> Remark | None:
    """Return what a person has to solve on a machine before it can get any model."""
    return None if agent.problem is None else Remark(None, agent.problem)


def _find_wait(agent: AgentRow) -> Remark | None:
    """Return why a machine gets no models now."""
    if agent.subscriptions_due:
        return _DUE
    if agent.paused:
        return Remark(None, "The machine is paused.")
    if agent.removal_token is not None:
        return Remark(None, describe_held_removals(agent.removal_waiting))
    return None if agent.waiting_for is None else Remark(None, agent.waiting_for)


def _of_version(collection: CollectionRow, number: int) -> ColumnElement[bool]:
    """Build the SQL condition for the models of a version that machines may hold."""
    return and_(_entries.c.collection_id == collection.id, _entries.c.number == number, _is_desired)


def _count_models(session: Session, collection: CollectionRow, number: int) -> int:
    """Return how many models of a version machines should hold, with those that wait for their verification."""
    joined = _entries.join(_models, _models.c.id == _entries.c.model_id)
    counted = select(func.count()).select_from(joined).where(_of_version(collection, number))
    return session.connection().scalar(counted) or 0


def _load_reported(
    session: Session, of_version: ColumnElement[bool], agents: Sequence[int], moment: datetime
) -> Mapping[int, _Reported]:
    """Return what machines, by their number, reported about the models of a version."""
    joined: FromClause = _entries.join(_models, _models.c.id == _entries.c.model_id)
    joined = joined.join(_states, _states.c.model_id == _models.c.id)
    columns = _states.c.agent_number, func.sum(case((_is_ready, 1), else_=0)), func.max(_states.c.reported_at)
    result: dict[int, _Reported] = {}
    for part in split_ids(agents):
        of_part = and_(of_version, _states.c.agent_number.in_(part))
        counted_states = select(*columns).select_from(joined).where(of_part)
        for agent, ready, changed_at in session.connection().execute(counted_states.group_by(_states.c.agent_number)):
            result[agent] = _Reported(ready, changed_at)
        for row in session.connection().execute(_select_remarks(joined, of_part, moment)):
            remark = Remark(row.model_path, row.reason or f"The state of the model is '{row.state}'.")
            result[row.agent_number].remarks.setdefault(row.is_failure, remark)
    return result


def _select_remarks(joined: FromClause, of_part: ColumnElement[bool], moment: datetime) -> Any:
    """Build the query for one model of each machine and kind that is not as it should be, the first by its path.

    A ready model with a reason is one that ComfyUI does not load. Only a person changes that, or a conflict.
    """
    state = _states.c.state
    is_failure = or_(
        state == "conflict",
        and_(state == "ready", _states.c.reason.is_not(None)),
        and_(state == "blocked", _states.c.reported_at <= moment - BLOCKED_FOR),
    )
    kind = case((is_failure, 1), else_=0)
    rank = func.row_number().over(partition_by=(_states.c.agent_number, kind), order_by=_models.c.model_path)
    columns = _states.c.agent_number, state, _states.c.reason, _models.c.model_path
    ranked = (
        select(*columns, (kind == 1).label("is_failure"), rank.label("rank"))
        .select_from(joined)
        .where(of_part, or_(is_failure, state.in_(["blocked", "failed"])))
        .subquery()
    )
    return select(ranked).where(ranked.c.rank == 1)


def build_progress(machines: Sequence[MachineFacts]) -> RolloutProgress:
    """Return the API's representation of the machines of a roll-out."""
    shown = [machine for machine in machines if machine.is_canary or machine.state not in ("ready", "held")]
    shown.sort(key=lambda machine: (not machine.is_canary, machine.state != "failed", machine.agent_id))
    return RolloutProgress(
        canaries=count_states(machine for machine in machines if machine.is_canary),
        others=count_states(machine for machine in machines if not machine.is_canary),
        machine_list=[_build_machine(machine) for machine in shown[:MAX_ROLLOUT_MACHINES]],
    )


def _build_machine(machine: MachineFacts) -> RolloutMachine:
    """Return the API's representation of a machine of a roll-out."""
    remark = machine.failure or machine.wait
    is_shown = remark is not None and machine.has_version
    return RolloutMachine(
        agent_id=machine.agent_id,
        is_canary=machine.is_canary,
        state=machine.state,
        models_ready=machine.models_ready,
        models_total=machine.models_total,
        model_path=remark.model_path if remark is not None and is_shown else None,
        reason=remark.reason if remark is not None and is_shown else None,
    )
