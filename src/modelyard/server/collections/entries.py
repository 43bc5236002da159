"""The models of a new version of a collection: which ones a request means, at which versions, and their rows."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Integer, String, Uuid, bindparam, func, insert, select, tuple_
from sqlalchemy.orm import Session

from modelyard.server.collections.tables import CollectionEntryRow
from modelyard.server.database.decided_writes import ChangedMeanwhile
from modelyard.server.database.session import get_table
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.wire import problems
from modelyard.wire.collections import NewCollectionModel

VersionKey = tuple[UUID, int]
# Of a version that is in the trash or was purged, it inserts nothing.
_insert_entry = (
    insert(get_table(CollectionEntryRow))
    .from_select(
        ["collection_id", "number", "position", "model_path", "model_id", "model_version", "file_size", "file_hash"],
        select(
            bindparam("of_collection", type_=Uuid()),
            bindparam("as_number", type_=Integer()),
            bindparam("at", type_=Integer()),
            bindparam("path", type_=String()),
            *(ModelVersionRow.model_id, ModelVersionRow.number),
            *(ModelVersionRow.file_size, ModelVersionRow.file_hash),
        ).where(
            ModelVersionRow.model_id == bindparam("of_model"),
            ModelVersionRow.number == bindparam("of"),
            ModelVersionRow.deleted_at.is_(None),
        ),
    )
    .execution_options(preserve_rowcount=True)
)


@dataclass(frozen=True)
class Entry:
    """A model at one version, as a collection stores it."""

    model_id: UUID
    model_version: int
    model_path: str
    file_size: int
    file_hash: str

    @property
    def key(self) -> VersionKey:
        """The model and the version, which determine the rest."""
        return self.model_id, self.model_version


@dataclass(frozen=True)
class KnownModels:
    """What the team has of the models that a request names, without the trash.

    ``shown`` has the number of the version that each model has now, ``paths`` its path, ``folders`` those of many
    files, ``entries`` the requested and shown versions.
    """

    shown: Mapping[UUID, int]
    paths: Mapping[UUID, str]
    folders: Collection[UUID]
    entries: Mapping[VersionKey, Entry]


def load_known_models(session: Session, team_id: UUID, asked: Collection[NewCollectionModel]) -> KnownModels:
    """Load the models of the team among those that a request names; two queries."""
    # Whole records take several times as long. The team is compared here for the reason of ``load_models_by_id``.
    model, shown = ModelRow, func.coalesce(ModelRow.current_version, ModelRow.pending_version)
    columns = model.id, model.team_id, model.deleted_at, model.model_path, model.file_count, shown.label("shown")
    rows = session.execute(select(*columns).where(model.id.in_([each.model_id for each in asked])))
    by_id = {row.id: row for row in rows if row.team_id == team_id and row.deleted_at is None}
    keys = {(each.model_id, each.version or by_id[each.model_id].shown) for each in asked if each.model_id in by_id}
    version = ModelVersionRow
    is_asked = tuple_(version.model_id, version.number).in_(keys)
    content = version.model_id, version.number, version.file_size, version.file_hash
    versions = session.execute(select(*content).where(is_asked, version.deleted_at.is_(None))) if keys else ()
    entries = [
        Entry(model_id, number, by_id[model_id].model_path, file_size, file_hash)
        for model_id, number, file_size, file_hash in versions
    ]
    numbers = {model_id: row.shown for model_id, row in by_id.items()}
    folders = {model_id for model_id, row in by_id.items() if row.file_count is not None}
    paths = {model_id: row.model_path for model_id, row in by_id.items()}
    return KnownModels(numbers, paths, folders, {entry.key: entry for entry in entries})


def decide_entries(asked: Sequence[NewCollectionModel], known: KnownModels) -> list[Entry]:
    """Return the entries of a new version, in the order of the request. Pure.

    Raises:
        InvalidRequest: a model or version is not the team's, is in the trash, or is named twice; names each item.
    """
    errors = list(_list_errors(asked, known))
    if errors:
        names = ", ".join(f"'{error['field']}'" for error in errors)
        raise problems.InvalidRequest(f"Not valid: {names}. {errors[0]['message']}.", errors=errors)
    return [known.entries[each.model_id, each.version or known.shown[each.model_id]] for each in asked]


def _list_errors(asked: Sequence[NewCollectionModel], known: KnownModels) -> Iterator[dict[str, str]]:
    """Yield the error of each item that cannot be in a collection."""
    seen = set[UUID]()
    for index, each in enumerate(asked):
        item, path = f"model_list.{index}", known.paths.get(each.model_id)
        if path is None:
            message = f"The team has no model with the id {each.model_id}, or it is in the trash"
            yield {"field": f"{item}.model_id", "message": message}
        elif each.model_id in known.folders:
            yield {"field": f"{item}.model_id", "message": f"'{path}' is a folder, which a collection cannot have yet"}
        elif each.model_id in seen:
            yield {"field": f"{item}.model_id", "message": f"'{path}' is in the list twice"}
        elif each.version is not None and (each.model_id, each.version) not in known.entries:
            message = f"'{path}' has no version {each.version}, or it is in the trash"
            yield {"field": f"{item}.version", "message": message}
        seen.add(each.model_id)


def insert_entries(session: Session, collection_id: UUID, number: int, entries: Sequence[Entry]) -> None:
    """Insert the entries of a version of a collection.

    Raises:
        ChangedMeanwhile: a version of a model was deleted or purged since it was loaded, which makes no revision.
    """
    of_version = {"of_collection": collection_id, "as_number": number}
    rows = [
        of_version | {"at": position, "path": entry.model_path, "of_model": entry.model_id, "of": entry.model_version}
        for position, entry in enumerate(entries)
    ]
    inserted = session.connection().execute(_insert_entry, rows).rowcount if rows else 0
    if inserted < len(entries):
        raise ChangedMeanwhile
