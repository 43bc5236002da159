"""Which versions of models that a version of a pinned collection lists are purged, so that no machine can get them."""

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from modelyard.server.collections.tables import CollectionEntryRow, CollectionRow
from modelyard.server.models.tables import ModelVersionRow

# Of more purged models, a message names the first.
_MAX_NAMED = 3


def describe_purged(session: Session, collection: CollectionRow, number: int) -> str | None:
    """Return a text that names what a version of a collection lists and the registry no longer has; None if nothing.

    Collections that are not pinned give machines the current version of each model, so nothing of them is missed.
    """
    if not collection.is_pinned:
        return None
    is_version = and_(
        ModelVersionRow.model_id == CollectionEntryRow.model_id,
        ModelVersionRow.number == CollectionEntryRow.model_version,
    )
    query = (
        select(CollectionEntryRow.model_path, CollectionEntryRow.model_version)
        .outerjoin(ModelVersionRow, is_version)
        .where(CollectionEntryRow.collection_id == collection.id, CollectionEntryRow.number == number)
        .where(ModelVersionRow.number.is_(None))
        .order_by(CollectionEntryRow.model_path)
    )
    purged = [f"'{path.removeprefix('models/')}' version {version}" for path, version in session.execute(query)]
    if not purged:
        return None
    more = f" and {len(purged) - _MAX_NAMED} more" if len(purged) > _MAX_NAMED else ""
    return f"Version {number} of the collection lists what was purged: {', '.join(purged[:_MAX_NAMED])}{more}"
