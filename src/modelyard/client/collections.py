"""List and find the team's collections, and change which models they have."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from uuid import UUID

from modelyard.client.api.paging import Paging, list_pages
from modelyard.client.api.registry import RegistryApi
from modelyard.client.references.matching import ReferenceKind, get_only_match
from modelyard.client.resolve_models import find_each
from modelyard.client.workflow_checks import check_workflows, is_loadable
from modelyard.wire.collections import (
    Collection,
    CollectionModel,
    CollectionOfModel,
    CollectionOfModelList,
    CollectionSummary,
    CollectionUpdate,
    CollectionVersionList,
    CollectionVersionSummary,
    NewCollectionModel,
    NewCollectionVersion,
    NewSubscription,
    Subscription,
    SubscriptionList,
    build_name_key,
)
from modelyard.wire.models import Model
from modelyard.wire.problems import CollectionNotFound, ModelNotFound, RouteNotFound, SubscriptionNotFound
from modelyard.wire.workflows import WorkflowReference


async def list_all_collections(registry: RegistryApi) -> list[CollectionSummary]:
    """Return all collections of the team by name, from all pages."""
    return [each async for page in list_pages(registry.list_collections) for each in page.collection_list]


async def list_all_collection_versions(registry: RegistryApi, collection_id: UUID) -> list[CollectionVersionSummary]:
    """Return all versions of a collection, newest first, from all pages."""

    async def load_page(paging: Paging) -> CollectionVersionList:
        return await registry.list_collection_versions(collection_id, paging)

    return [each async for page in list_pages(load_page) for each in page.version_list]


async def list_all_subscriptions(registry: RegistryApi, collection_id: UUID) -> list[Subscription]:
    """Return all subscriptions to a collection, oldest first, from all pages."""

    async def load_page(paging: Paging) -> SubscriptionList:
        return await registry.list_subscriptions(collection_id, paging)

    return [each async for page in list_pages(load_page) for each in page.subscription_list]


async def unsubscribe(registry: RegistryApi, collection: Collection, target: NewSubscription) -> None:
    """End the subscription of a label or a machine to a collection.

    Raises:
        SubscriptionNotFound: it is not subscribed.
    """
    for each in await list_all_subscriptions(registry, collection.id):
        if (each.label, each.agent_id) == (target.label, target.agent_id):
            await registry.unsubscribe(collection.id, each.id)
            return
    raise SubscriptionNotFound(f"'{target.label or target.agent_id}' is not subscribed to '{collection.name}'.")


async def list_collections_with(registry: RegistryApi, model_id: UUID) -> list[CollectionOfModel]:
    """Return all collections whose newest version, or one that machines get, has a model.

    None from a registry that has no collections.
    """

    async def load_page(paging: Paging) -> CollectionOfModelList:
        return await registry.list_collections_of(model_id, paging)

    try:
        return [each async for page in list_pages(load_page) for each in page.collection_list]
    except RouteNotFound:
        return []


async def find_collection_named(registry: RegistryApi, name: str) -> CollectionSummary | None:
    """Return the collection with this name, without its models; None if the team has none."""
    return next((each for each in await list_all_collections(registry) if _has_name(each, name)), None)


async def find_collection(registry: RegistryApi, name: str) -> Collection:
    """Return the collection with this id, start of the id or name, with its newest models.

    Spellings of names are as in ``build_name_key``.

    Raises:
        CollectionNotFound: none matches, or several do.
    """
    found = get_only_match(_COLLECTION, name, await list_all_collections(registry), CollectionNotFound)
    return await registry.get_collection(found.id)


class ModelNotInCollection(ModelNotFound):
    """A name matches none of the models of the collection ``collection_id``, or several."""


class WorkflowModels(NamedTuple):
    """The models that workflows require; the names that the team lacks, and those for which it has other content."""

    models: list[NewCollectionModel]
    missing: list[str]
    other_content: list[str]


async def read_models_of_workflows(registry: RegistryApi, paths: Sequence[Path]) -> WorkflowModels:
    """Return the models that workflow files require, as far as the team has files of these names.

    Raises:
        WorkflowsUnchecked: see ``check_workflows``.
    """
    checked = await check_workflows(registry, paths)
    return collect_required_models([each for file in checked for each in file.check.reference_list if each.is_required])


def collect_required_models(references: Sequence[WorkflowReference]) -> WorkflowModels:
    """Return the models that these references name, all of which are required. Pure."""
    models = [
        NewCollectionModel(model_id=each.model_id, version=each.version)
        for each in references
        if is_loadable(each) and each.model_id is not None
    ]
    missing = [each.name for each in references if not is_loadable(each)]
    other_content = [each.name for each in references if each.state == "other_content"]
    return WorkflowModels(models, list(dict.fromkeys(missing)), list(dict.fromkeys(other_content)))


def build_entries(models: Sequence[Model]) -> list[NewCollectionModel]:
    """Return the entries for models at the versions that their records show."""
    return [NewCollectionModel(model_id=model.id, version=model.version) for model in models]


def merge_entries(present: Sequence[CollectionModel], added: Sequence[NewCollectionModel]) -> list[NewCollectionModel]:
    """Return the entries of a collection with others added; one of the same model is replaced in its place. Pure.

    Entries whose model or version was deleted since are left out, since a new version cannot have them.
    """
    kept = [NewCollectionModel(model_id=each.model_id, version=each.version) for each in present if each.is_available]
    return list({each.model_id: each for each in (*kept, *added)}.values())


async def change_models(
    registry: RegistryApi, collection: CollectionSummary, models: Sequence[NewCollectionModel], note: str | None
) -> Collection:
    """Make these models the next version of a collection in the registry, and return the collection then.

    Raises:
        VersionConflict: the version of ``collection`` is not the newest one any more.
    """
    new = NewCollectionVersion(model_list=list(models), note=note, expected_version=collection.version)
    await registry.add_collection_version(collection.id, new)
    return await registry.get_collection(collection.id)


class CollectionNotes(NamedTuple):
    """What a collection is for, and what is new in its next version; None changes nothing."""

    of_collection: str | None = None
    of_version: str | None = None


async def replace_models(
    registry: RegistryApi, collection: CollectionSummary, models: Sequence[NewCollectionModel], notes: CollectionNotes
) -> Collection:
    """Make these models the next version of a collection, set its note, and return it then.

    Raises:
        VersionConflict: as ``change_models``; the note is not changed then.
        ValidationError: a note is invalid; nothing is changed then.
    """
    # Before the version is made, since an invalid note must not leave half of the change.
    update = CollectionUpdate(note=notes.of_collection)
    changed = await change_models(registry, collection, models, notes.of_version)
    if update.note in (None, changed.note):
        return changed
    await registry.update_collection(collection.id, update)
    return await registry.get_collection(collection.id)


async def select_models(collection: Collection, names: Sequence[str]) -> set[UUID]:
    """Return the ids of the collection's models with these ids, paths or file names; case does not matter.

    Raises:
        ModelNotInCollection: a name matches none of its models, or several.
        SeveralNotFound: several names do.
    """
    not_found = partial(ModelNotInCollection, collection_id=str(collection.id))

    async def find(name: str) -> UUID:
        """Return the id of the model that a name means."""
        return get_only_match(_ENTRY, name, collection.model_list, not_found, owner=collection.name).model_id

    return set(await find_each(names, find))


def _has_name(collection: CollectionSummary, name: str) -> bool:
    """Return whether this is a spelling of a collection's name."""
    return build_name_key(collection.name) == build_name_key(name)


def _build_relative_path(path: str) -> PurePosixPath:
    """Return a path below the models folder, as ``build_name_key`` writes it."""
    return PurePosixPath(build_name_key(path).removeprefix("models/"))


def _has_file_name(model: CollectionModel, text: str) -> bool:
    """Return whether a text is the file name of a model, with or without its extension."""
    path = _build_relative_path(model.model_path)
    return build_name_key(text) in (path.name, path.stem)


_COLLECTION = ReferenceKind[CollectionSummary](
    name="collection",
    get_id=lambda collection: collection.id,
    has_name=_has_name,
    show=lambda collection: collection.name,
)
_ENTRY = ReferenceKind[CollectionModel](
    name="model",
    get_id=lambda model: model.model_id,
    is_unique_value=lambda model, text: _build_relative_path(model.model_path) == _build_relative_path(text),
    has_name=_has_file_name,
    show=lambda model: model.model_path,
)
