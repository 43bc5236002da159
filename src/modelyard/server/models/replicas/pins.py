"""Pins: the versions of models that machines should hold instead of the current ones; read by everything else."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from modelyard.server.database.session import get_table
from modelyard.server.models.replicas.tables import AgentRow, AssignmentRow
from modelyard.server.models.tables import ModelVersionRow

_assignments, _agents = get_table(AssignmentRow), get_table(AgentRow)
_versions = get_table(ModelVersionRow)


@dataclass(frozen=True)
class Pin:
    """Which version of a model a machine should hold: ``version``, or with None the current one.

    ``conflict`` names different versions that are pinned; then the machine changes nothing.
    """

    version: int | None = None
    conflict: str | None = None

    def means_same(self, other: "Pin", current: int | None) -> bool:
        """Return whether a machine should hold the same version with both pins, given the model's current version."""
        is_conflict = self.conflict is not None, other.conflict is not None
        return (self.version or current) == (other.version or current) and is_conflict[0] == is_conflict[1]


NO_PIN = Pin()


class PinnedVersion(NamedTuple):
    """A version that is pinned on a machine, its size in bytes, and whether the registry's copy of it is damaged."""

    number: int
    file_size: int
    is_damaged: bool


def build_pin_set(subscribed: Mapping[UUID, Pin]) -> str:
    """Return a digest of the pins of a machine, which is equal for equal pins; empty without any."""
    pins = sorted(
        (model_id, pin.version or 0, pin.conflict or "") for model_id, pin in subscribed.items() if pin != NO_PIN
    )
    return hashlib.sha256(repr(pins).encode()).hexdigest()[:32] if pins else ""


def find_pins(
    session: Session, numbers: Sequence[int] | None, ids: Collection[UUID]
) -> dict[tuple[int, UUID], PinnedVersion]:
    """Return the versions of these models that are pinned on these machines, by machine and model.

    ``numbers`` is None for all machines.
    """
    if numbers == [] or not ids:
        return {}
    columns = (
        *(_assignments.c.agent_number, _assignments.c.model_id),
        *(_versions.c.number, _versions.c.file_size, _versions.c.verification == "failed"),
    )
    is_version = and_(
        _versions.c.model_id == _assignments.c.model_id, _versions.c.number == _assignments.c.pinned_version
    )
    query = select(*columns).select_from(_assignments.join(_versions, is_version))
    query = query.where(_assignments.c.model_id.in_(ids))
    if numbers is not None:
        query = query.where(_assignments.c.agent_number.in_(numbers))
    return {(row[0], row[1]): PinnedVersion(*row[2:]) for row in session.connection().execute(query)}


def is_pinned_for_key(session: Session, credential_id: UUID | None, model_id: UUID, version: int) -> bool:
    """Return whether a machine that uses this key should hold this version, since it is pinned there."""
    statement = (
        select(_assignments.c.model_id)
        .join(_agents, _agents.c.number == _assignments.c.agent_number)
        .where(
            _assignments.c.model_id == model_id,
            _assignments.c.pinned_version == version,
            _agents.c.credential_id == credential_id,
        )
    )
    return session.connection().execute(statement.limit(1)).first() is not None
