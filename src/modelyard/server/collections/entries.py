"""The models of a new version of a collection: which ones a request means, and at which versions."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from modelyard.server.models.lookups.by_id import load_models_by_id
from modelyard.server.models.tables import ModelVersionRow
from modelyard.wire import problems
from modelyard.wire.collections import NewCollectionModel

VersionKey = tuple[UUID, int]


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
    models = load_models_by_id(session, team_id, [each.model_id for each in asked])
    by_id = {model_id: model for model_id, model in models.items() if model.deleted_at is None}
    keys = {
        (each.model_id, each.version or by_id[each.model_id].shown_version) for each in asked if each.model_id in by_id
    }
    is_asked = tuple_(ModelVersionRow.model_id, ModelVersionRow.number).in_(keys)
    columns = (
        *(ModelVersionRow.model_id, ModelVersionRow.number),
        *(ModelVersionRow.file_size, ModelVersionRow.file_hash),
    )
    versions = session.execute(select(*columns).where(is_asked, ModelVersionRow.deleted_at.is_(None))) if keys else ()
    entries = [
        Entry(model_id, number, by_id[model_id].model_path, file_size, file_hash)
        for model_id, number, file_size, file_hash in versions
    ]
    shown = {model_id: model.shown_version for model_id, model in by_id.items()}
    folders = {model_id for model_id, model in by_id.items() if model.is_folder}
    paths = {model_id: model.model_path for model_id, model in by_id.items()}
    return KnownModels(shown, paths, folders, {entry.key: entry for entry in entries})


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
