"""Assignments that come from subscriptions: what changes for machines with equal subscriptions, and writing it.

Machines with equal labels are changed together, so that a statement writes the same change for many machines and
models. Functions that write are called while the team's write lock is held.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Exists, and_, delete, exists, func, insert, literal, select, true, update
from sqlalchemy.orm import Session

from modelyard.server.database.session import get_table, split_ids
from modelyard.server.models.replicas import states
from modelyard.server.models.replicas.labels import has_all_labels
from modelyard.server.models.replicas.pins import NO_PIN, Pin
from modelyard.server.models.replicas.tables import AgentModelRow, AgentRow, AssignmentRow
from modelyard.server.models.tables import ModelRow

_assignments, _models, _agents = get_table(AssignmentRow), get_table(ModelRow), get_table(AgentRow)
_states = get_table(AgentModelRow)


@dataclass(frozen=True)
class Assigned:
    """Why a model is assigned to a machine, and at which version."""

    is_direct: bool
    is_subscribed: bool
    pin: Pin = NO_PIN

    def build_values(self) -> dict[str, object]:
        """Return the values of the columns of ``AssignmentRow``."""
        return {
            "is_direct": self.is_direct,
            "is_subscribed": self.is_subscribed,
            "pinned_version": self.pin.version,
            "pin_conflict": self.pin.conflict,
        }


@dataclass(frozen=True)
class AssignmentChange:
    """A change of the assignment of a model to a machine; None stands for no assignment."""

    before: Assigned | None
    after: Assigned | None

    @property
    def count_change(self) -> int:
        """What the change adds to the number of machines that the model is assigned to."""
        return (self.after is not None) - (self.before is not None)

    def replaces(self, current: int | None) -> bool:
        """Return whether the machine should hold another version than before of a model with this current version."""
        before, after = (NO_PIN if each is None else each.pin for each in (self.before, self.after))
        return not after.means_same(before, current)


class _ModelFacts(NamedTuple):
    """What decides whether a state that a machine reported is still about what it should hold."""

    label_set: str
    current_version: int | None


def load_assigned(session: Session, numbers: Sequence[int]) -> dict[UUID, dict[Assigned, int]]:
    """Return why models are assigned to these machines, with the number of the machines for each reason."""
    table = _assignments.c
    columns = table.model_id, table.is_direct, table.is_subscribed, table.pinned_version, table.pin_conflict
    counted = select(*columns, func.count()).where(table.agent_number.in_(numbers)).group_by(*columns)
    result = defaultdict[UUID, dict[Assigned, int]](dict)
    for model_id, is_direct, is_subscribed, version, conflict, count in session.connection().execute(counted):
        result[model_id][Assigned(is_direct, is_subscribed, Pin(version, conflict))] = count
    return result


def count_assigned(session: Session, numbers: Sequence[int], most: int) -> dict[int, int]:
    """Return how many models are assigned to each of these machines, which are as many as a statement can name.

    In the order of their numbers, at most so many assignments are counted in all.
    """
    table = _assignments.c
    counted = select(table.agent_number).where(table.agent_number.in_(numbers)).order_by(table.agent_number).limit(most)
    of_machines = counted.subquery().c.agent_number
    rows = session.connection().execute(select(of_machines, func.count()).group_by(of_machines))
    return {row[0]: row[1] for row in rows}


def decide_changes(
    present: Mapping[UUID, Mapping[Assigned, int]], subscribed: Mapping[UUID, Pin], machines: int
) -> dict[AssignmentChange, dict[UUID, int]]:
    """Return what changes when so many machines are subscribed to exactly these models, with these pins. Pure.

    For each change, the models that it is about, with the number of machines that it is about.
    """
    result = defaultdict[AssignmentChange, dict[UUID, int]](dict)
    for model_id in sorted(present.keys() | subscribed.keys()):
        counts = dict[Assigned | None, int](present.get(model_id, {}).items())
        counts[None] = machines - sum(counts.values())
        for before, count in counts.items():
            after = _decide_assigned(before, subscribed.get(model_id))
            if count and after != before:
                result[AssignmentChange(before, after)][model_id] = count
    return dict(result)


def _decide_assigned(before: Assigned | None, pin: Pin | None) -> Assigned | None:
    """Return the assignment of a model that a machine gets by subscription with this pin, or with None does not."""
    is_direct = before is not None and before.is_direct
    if pin is not None:
        return Assigned(is_direct, True, pin)
    return Assigned(True, False) if is_direct else None


def apply_changes(
    session: Session, agents: Sequence[AgentRow], changes: Mapping[AssignmentChange, Mapping[UUID, int]]
) -> None:
    """Write changes of the assignments of machines with equal label sets, with the counts of their models.

    States of what the machines should not hold any more are deleted; a machine that had any reports all again, since
    it may not see that the models were away.
    """
    label_set = agents[0].label_set
    facts = _load_facts(session, sorted({model_id for models in changes.values() for model_id in models}))
    for change, models in changes.items():
        unlabelled = [each for each in models if not has_all_labels(facts[each].label_set, label_set)]
        ends = set(unlabelled) if change.after is None else set[UUID]()
        outdated = [each for each in models if each in ends or change.replaces(facts[each].current_version)]
        for part in split_ids(outdated):
            for agent in states.delete_states(session, agents, part, _build_state_condition(change.before)):
                agent.report_series = ""
        for part in split_ids([*models]):
            _write_change(session, agents, part, change)
        _add_to_counts(session, {each: models[each] * change.count_change for each in unlabelled})


def _load_facts(session: Session, ids: Sequence[UUID]) -> dict[UUID, _ModelFacts]:
    """Return the required labels and the current versions of models."""
    columns = _models.c.id, _models.c.label_set, _models.c.current_version
    rows = (
        row for part in split_ids(ids) for row in session.execute(select(*columns).where(_models.c.id.in_(part))).all()
    )
    return {model_id: _ModelFacts(label_set, current) for model_id, label_set, current in rows}


def _build_state_condition(before: Assigned | None) -> ColumnElement[bool]:
    """Build the SQL condition for the replica states whose model is assigned to their machine like this."""
    is_same = _assignments.c.agent_number == _states.c.agent_number, _assignments.c.model_id == _states.c.model_id
    if before is None:
        return ~exists().where(*is_same)
    return exists().where(*is_same, _is_like(before))


def _is_like(assigned: Assigned) -> ColumnElement[bool]:
    """Build the SQL condition for assignments with these values."""
    return and_(*(_assignments.c[name] == value for name, value in assigned.build_values().items()))


def _write_change(session: Session, agents: Sequence[AgentRow], ids: Sequence[UUID], change: AssignmentChange) -> None:
    """Write one change of the assignments of these models to those of the machines that it is about."""
    numbers = [agent.number for agent in agents]
    connection = session.connection()
    if change.before is None and change.after is not None:
        values = {"team_id": agents[0].team_id} | change.after.build_values()
        literals = [literal(value, _assignments.c[name].type) for name, value in values.items()]
        pairs = select(_agents.c.number, _models.c.id, *literals).select_from(_agents.join(_models, true()))
        pairs = pairs.where(_agents.c.number.in_(numbers), _models.c.id.in_(ids), ~_build_is_assigned())
        connection.execute(insert(_assignments).from_select(["agent_number", "model_id", *values], pairs))
    elif change.before is not None:
        of_pairs = _assignments.c.agent_number.in_(numbers), _assignments.c.model_id.in_(ids), _is_like(change.before)
        if change.after is None:
            connection.execute(delete(_assignments).where(*of_pairs))
        else:
            connection.execute(update(_assignments).where(*of_pairs).values(change.after.build_values()))


def _build_is_assigned() -> Exists:
    """Build the SQL condition that a model is assigned to a machine, for a query of both."""
    return (
        exists()
        .where(_assignments.c.agent_number == _agents.c.number, _assignments.c.model_id == _models.c.id)
        .correlate(_agents, _models)
    )


def _add_to_counts(session: Session, changes: Mapping[UUID, int]) -> None:
    """Add to ``agents_assigned`` of each of these models."""
    by_change = defaultdict[int, list[UUID]](list)
    for model_id, change in changes.items():
        by_change[change].append(model_id)
    for change, ids in by_change.items():
        for part in split_ids(ids) if change else ():
            changed = update(_models).where(_models.c.id.in_(part))
            session.connection().execute(changed.values(agents_assigned=_models.c.agents_assigned + change))
