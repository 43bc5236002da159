"""Which versions were current before the current one, in order: what a roll-back goes back to.

Each version that has a place in this history has its number in ``ModelVersionRow.history_position``. The current
version has the highest one. A version that is left by going back to an earlier one loses its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from modelyard.server.models.tables import ModelRow, ModelVersionRow

_HISTORY = select(
    ModelVersionRow.number, ModelVersionRow.history_position, ModelVersionRow.verification, ModelVersionRow.deleted_at
).where(ModelVersionRow.model_id == bindparam("model"), ModelVersionRow.history_position.is_not(None))


@dataclass(frozen=True)
class PastVersion:
    """A version in the history of a model, and whether it can become current: it is verified and not in the trash."""

    number: int
    position: int
    is_usable: bool = True


def find_previous_version(history: Sequence[PastVersion], current: int | None) -> int | None:
    """Return the version that a roll-back makes current: the usable one that was current last before it. Pure."""
    usable = [version for version in history if version.is_usable and version.number != current]
    return max(usable, key=lambda version: version.position).number if usable else None


def decide_positions(history: Sequence[PastVersion], before: int | None, after: int) -> dict[int, int | None]:
    """Return the positions that change when the version ``after`` becomes current instead of ``before``. Pure.

    Going back to a version in the history removes all that followed it; any other version is added at the end.
    """
    places = {version.number: version.position for version in history}
    if after in places:
        return {number: None for number, position in places.items() if position > places[after]}
    end = max(places.values(), default=0)
    if before is None or before in places:
        return {after: end + 1}
    # A server of an earlier release made the version before current.
    return {before: end + 1, after: end + 2}


def load_previous_version(session: Session, model: ModelRow) -> int | None:
    """Return the number of the version that a roll-back of the model makes current, or None without one."""
    return find_previous_version(_load_history(session, model.id), model.current_version)


def update_history(session: Session, model: ModelRow, after: int) -> None:
    """Write the positions of the model's versions for a version that becomes current now; see ``decide_positions``."""
    changed = decide_positions(_load_history(session, model.id), model.current_version, after)
    for number, position in changed.items():
        is_version = (ModelVersionRow.model_id == model.id) & (ModelVersionRow.number == number)
        session.execute(update(ModelVersionRow).where(is_version).values(history_position=position))


def _load_history(session: Session, model_id: UUID) -> list[PastVersion]:
    """Return the versions of a model that have a place in its history."""
    return [
        PastVersion(row.number, row.history_position, row.verification == "verified" and row.deleted_at is None)
        for row in session.execute(_HISTORY, {"model": model_id})
    ]
