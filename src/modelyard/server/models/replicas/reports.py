"""Compares a machine's report with the stored replica states; writes nothing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy import Row as ResultRow
from sqlalchemy.orm import Session

from modelyard.server.database.session import get_table
from modelyard.server.models.replicas.assignments import find_assigned_models
from modelyard.server.models.replicas.desired import DesiredVersion, find_desired_versions
from modelyard.server.models.replicas.labels import has_all_labels
from modelyard.server.models.replicas.pins import find_pins
from modelyard.server.models.replicas.problems import truncate_reason
from modelyard.server.models.replicas.tables import AgentModelRow, AgentRow
from modelyard.wire.agents.heartbeats import ReportedModel
from modelyard.wire.agents.partial_reading import ModelOfUnreadableVersion

_states = get_table(AgentModelRow)


@dataclass(frozen=True)
class IdRange:
    """A range of model ids for which a report is complete: above ``after`` (None: from the start), up to ``last``.

    With ``last`` None the range has no upper end.
    """

    after: UUID | None
    last: UUID | None

    def build_condition(self) -> ColumnElement[bool]:
        """Build the SQL condition that a state's model id is in this range."""
        column = _states.c.model_id
        bounds = [column > self.after] if self.after else []
        return and_(True, *bounds, *([column <= self.last] if self.last else []))


@dataclass(frozen=True)
class ReportChanges:
    """What a report changes in the database: state rows to write, and by how much it changes counts of models.

    ``ready`` and ``unloaded`` change the numbers of machines on which a model is ready, and of those of them whose
    ComfyUI does not load it.
    """

    added: list[dict[str, Any]]
    changed: list[dict[str, Any]]
    removed: Collection[UUID]
    ready: "CountChanges"
    unloaded: "CountChanges"

    def split(self, count: int) -> list["ReportChanges"]:
        """Return the changes in parts of at most ``count`` models, each complete for its models; at least one part."""
        added = {row["model_id"]: row for row in self.added}
        changed = {row["model"]: row for row in self.changed}
        ids = [*added, *changed, *self.removed]
        if len(ids) <= count:
            return [self]
        return [
            ReportChanges(
                added=[added[each] for each in part if each in added],
                changed=[changed[each] for each in part if each in changed],
                removed=[each for each in part if each not in added and each not in changed],
                ready=self.ready.of(part),
                unloaded=self.unloaded.of(part),
            )
            for part in (ids[start : start + count] for start in range(0, len(ids), count))
        ]


@dataclass(frozen=True)
class CountChanges:
    """Models that a machine begins to count for, and those that it no longer counts for."""

    increased: Collection[UUID]
    decreased: Collection[UUID]

    @classmethod
    def between(cls, before: Collection[UUID], after: Collection[UUID]) -> "CountChanges":
        """Return the changes from the models that the machine counted for to those that it counts for now."""
        return cls({*after} - {*before}, {*before} - {*after})

    def of(self, ids: Sequence[UUID]) -> "CountChanges":
        """Return the changes for some of the models."""
        increased = [each for each in ids if each in self.increased]
        return CountChanges(increased, [each for each in ids if each in self.decreased])


def compute_report_changes(
    session: Session, agent: AgentRow, reported: Sequence[ReportedModel], id_range: IdRange | None, moment: datetime
) -> ReportChanges:
    """Compare a report with the stored states and return the changes; writes nothing.

    States of models that the machine should not hold, of versions that are neither current nor pinned there, and of
    other paths, are ignored. Without an ``id_range`` only the reported models change; with one, the states of its other
    models are removed. May run before the team's write lock is taken, if the caller checks then that the data is still
    current. Reasons are cut, see ``truncate_reason``.
    """
    desired = find_desired_versions(session, agent.team_id, {model.model_id for model in reported})
    may_have = _find_versions_for(session, agent, desired)
    new = {
        model.model_id: _truncate_reason(model)
        for model in reported
        if model.model_id in may_have and _is_about(model, may_have[model.model_id])
    }
    known = _load_states(session, agent, new.keys(), id_range)
    return ReportChanges(
        added=[
            {"agent_number": agent.number, "model_id": model_id, **_build_state_values(model, moment)}
            for model_id, model in new.items()
            if model_id not in known
        ],
        changed=[
            {"agent": agent.number, "model": model_id, **_build_state_values(model, moment)}
            for model_id, model in new.items()
            if model_id in known and _has_changed(known[model_id], model)
        ],
        removed=known.keys() - new.keys(),
        ready=CountChanges.between(_list_ready(known), _list_ready(new)),
        unloaded=CountChanges.between(_list_unloaded(known), _list_unloaded(new)),
    )


def _is_about(model: ReportedModel, version: DesiredVersion) -> bool:
    """Return whether a reported state is about this version; one whose version could not be read counts for any."""
    return isinstance(model, ModelOfUnreadableVersion) or version.is_meant_by(model)


class _State(Protocol):
    """A stored or a reported state."""

    @property
    def state(self) -> str: ...

    @property
    def reason(self) -> str | None: ...


def _list_ready(states: Mapping[UUID, _State]) -> set[UUID]:
    """Return the models that are ready, also those that ComfyUI does not load."""
    return {model_id for model_id, each in states.items() if each.state == "ready"}


def _list_unloaded(states: Mapping[UUID, _State]) -> set[UUID]:
    """Return the models that are ready and that ComfyUI does not load, for the state's reason."""
    return {model_id for model_id, each in states.items() if each.state == "ready" and each.reason is not None}


def _find_versions_for(
    session: Session, agent: AgentRow, desired: Mapping[UUID, DesiredVersion]
) -> Mapping[UUID, DesiredVersion]:
    """Return those of the desired models that this machine should hold, with the pinned version of pinned ones."""
    unfit = {
        model_id for model_id, version in desired.items() if not has_all_labels(version.label_set, agent.label_set)
    }
    unfit -= find_assigned_models(session, agent.number, unfit)
    fit = {model_id: version for model_id, version in desired.items() if model_id not in unfit}
    pins = find_pins(session, [agent.number], [*fit]) if agent.pin_set else {}
    return fit | {model_id: fit[model_id]._replace(number=pinned.number) for (_, model_id), pinned in pins.items()}


def _build_state_values(model: ReportedModel, moment: datetime) -> dict[str, Any]:
    """Return the column values of a reported state."""
    return {"state": model.state, "reason": model.reason, "bytes_done": model.bytes_done, "reported_at": moment}


def _truncate_reason(model: ReportedModel) -> ReportedModel:
    """Return the reported state with its reason cut, see ``truncate_reason``."""
    reason = truncate_reason(model.reason)
    return model if reason == model.reason else model.model_copy(update={"reason": reason})


def _load_states(
    session: Session, agent: AgentRow, ids: Collection[UUID], id_range: IdRange | None
) -> dict[UUID, ResultRow[*tuple[Any, ...]]]:
    """Return a machine's stored states by model id: of all models in ``id_range``, or without one of ``ids``."""
    if not ids and id_range is None:
        return {}
    condition = _states.c.model_id.in_(ids) if id_range is None else id_range.build_condition()
    columns = (_states.c.model_id, _states.c.state, _states.c.reason, _states.c.bytes_done)
    rows = session.execute(select(*columns).where(_states.c.agent_number == agent.number, condition))
    return {row.model_id: row for row in rows}


def _has_changed(row: ResultRow[*tuple[Any, ...]], model: ReportedModel) -> bool:
    """Return whether a reported state differs from the stored one; the time of the report does not count."""
    return (row.state, row.reason, row.bytes_done) != (model.state, model.reason, model.bytes_done)
