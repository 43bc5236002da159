"""Which versions were current before the current one, in order: what a roll-back goes back to.

Each version that has a place in this history has its number in ``ModelVersionRow.history_position``. The current
version has the highest one. A version that is left by going back to an earlier one loses its place.
"""

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from modelyard.server.models.tables import ModelRow, ModelVersionRow


def load_previous_version(session: Session, model: ModelRow) -> int | None:
    """Return the number of the version that a roll-back of the model makes current, or None without one.

    Of those that are verified and not in the trash, it was the current one last before the current version.
    """
    return session.scalar(
        select(ModelVersionRow.number)
        .where(
            ModelVersionRow.model_id == model.id,
            ModelVersionRow.number != model.current_version,
            ModelVersionRow.history_position.is_not(None),
            ModelVersionRow.verification == "verified",
            ModelVersionRow.deleted_at.is_(None),
        )
        .order_by(ModelVersionRow.history_position.desc())
        .limit(1)
    )


def update_history(session: Session, model: ModelRow, after: int) -> None:
    """Write the positions of the model's versions for the version ``after``, which becomes current now.

    Going back to a version in the history removes all that followed it; any other version is added at the end.
    """
    is_of_model, position = ModelVersionRow.model_id == model.id, ModelVersionRow.history_position
    is_after = is_of_model & (ModelVersionRow.number == after)
    place = session.scalar(select(position).where(is_after))
    if place is not None:
        session.execute(update(ModelVersionRow).where(is_of_model, position > place).values(history_position=None))
        return
    last = session.scalar(select(func.max(position)).where(is_of_model)) or 0
    session.execute(update(ModelVersionRow).where(is_after).values(history_position=last + 1))
