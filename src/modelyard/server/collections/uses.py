"""Which collections use a model: in their newest version, or in one that subscribed machines get."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session

from modelyard.server.collections.tables import CollectionEntryRow, CollectionRow, SubscriptionRow
from modelyard.server.http.paging import Order, Page, list_page
from modelyard.server.models.operations import find_model
from modelyard.server.teams.context import TeamContext
from modelyard.wire.collections import CollectionOfModel, CollectionOfModelList, VersionWithModel

_BY_NAME = Order((CollectionRow.name_key, CollectionRow.id))


def list_collections_of_model(session: Session, team: TeamContext, model_id: UUID, page: Page) -> CollectionOfModelList:
    """Return one page of the collections that use a model, by name, with the versions that have it; two queries.

    Raises:
        ModelNotFound: the team has no such model outside the trash.
    """
    model = find_model(session, team, model_id)
    query = select(CollectionRow).where(exists().where(_uses(model.id)).correlate(CollectionRow))
    rows, meta = list_page(session, query, page, _BY_NAME)
    collections = [row[0] for row in rows]
    versions = _load_versions(session, model.id, collections)
    uses = [_build_use(collection, versions[collection.id]) for collection in collections]
    return CollectionOfModelList(collection_list=uses, page_meta=meta)


def _uses(model_id: UUID) -> ColumnElement[bool]:
    """Build the SQL condition that an entry of a collection is a use of a model."""
    is_on_machines = and_(
        CollectionEntryRow.number.in_([CollectionRow.rolled_out_version, CollectionRow.rollout_version]),
        exists().where(SubscriptionRow.collection_id == CollectionRow.id).correlate(CollectionRow),
    )
    return and_(
        CollectionEntryRow.collection_id == CollectionRow.id,
        CollectionEntryRow.model_id == model_id,
        or_(CollectionEntryRow.number == CollectionRow.latest_version, is_on_machines),
    )


def _load_versions(
    session: Session, model_id: UUID, collections: Sequence[CollectionRow]
) -> dict[UUID, list[VersionWithModel]]:
    """Return the versions of these collections that use a model, newest first."""
    ids = [collection.id for collection in collections]
    subscribed = set(
        session.scalars(select(SubscriptionRow.collection_id).where(SubscriptionRow.collection_id.in_(ids)).distinct())
    )
    columns = CollectionRow, CollectionEntryRow.number, CollectionEntryRow.model_version
    rows = session.execute(
        select(*columns)
        .join(CollectionEntryRow, _uses(model_id))
        .where(CollectionRow.id.in_(ids))
        .order_by(CollectionEntryRow.number.desc())
    )
    result = defaultdict[UUID, list[VersionWithModel]](list)
    for collection, number, model_version in rows:
        used = VersionWithModel(
            version=number,
            model_version=model_version,
            is_newest=number == collection.latest_version,
            is_on_machines=collection.id in subscribed
            and number in (collection.rolled_out_version, collection.rollout_version),
        )
        result[collection.id].append(used)
    return result


def _build_use(collection: CollectionRow, versions: list[VersionWithModel]) -> CollectionOfModel:
    """Return the API's representation of a collection that uses a model in these versions."""
    return CollectionOfModel(
        id=collection.id, name=collection.name, version_list=versions, is_pinned=collection.is_pinned
    )
