"""The registry client's calls about the versions of a model."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.client.api.models import change_model, find_previous_version, list_all_versions
from modelyard.client.api.registry import RegistryApi
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import Notes, PushRequest
from modelyard.client.transfers.push import Pusher
from modelyard.wire.models import Model, ModelUpdate
from modelyard.wire.problems import RecordStale, VersionInUse, VersionNotFound
from modelyard.wire.schemas import PageMeta
from modelyard.wire.versions import VersionList, VersionUpdate
from tests.client.model_files import write_model_file
from tests.client.scripted_server import Responses

pytestmark = pytest.mark.slow

PATH = "models/loras/ink.safetensors"


@pytest.fixture
async def ink(registry: RegistryApi, settings: ClientSettings, tmp_path: Path) -> Model:
    """A model with three versions."""
    pusher = Pusher(registry, settings, lambda _: None)
    for number in (1, 2, 3):
        file = write_model_file(tmp_path / f"{number}.safetensors", seed=number)
        pushed = await pusher.push(
            PushRequest(file, "loras", PATH, "Ink", Notes(), replace=True, note=f"Try {number}.")
        )
    return pushed.model


async def test_list_all_versions_returns_newest_first(registry: RegistryApi, ink: Model) -> None:
    versions = await list_all_versions(registry, ink.id)
    assert [(each.version, each.version_status, each.note) for each in versions] == [
        (3, "current", "Try 3."),
        (2, "replaced", "Try 2."),
        (1, "replaced", "Try 1."),
    ]


async def test_activate_version_makes_it_current(registry: RegistryApi, ink: Model) -> None:
    await registry.activate_version(ink.id, 1)
    model = await registry.get_model(ink.id)
    assert (model.version, model.version_count) == (1, 3)


async def test_deleted_version_is_listed_in_trash_and_restored(registry: RegistryApi, ink: Model) -> None:
    await registry.delete_version(ink.id, 2)
    with pytest.raises(VersionNotFound):
        await registry.get_version(ink.id, 2)
    (deleted,) = await list_all_versions(registry, ink.id, deleted=True)
    assert deleted.version == 2
    assert deleted.restorable_until is not None
    await registry.restore_version(ink.id, 2)
    assert (await registry.get_version(ink.id, 2)).version_status == "replaced"


async def test_delete_current_version_raises_version_in_use(registry: RegistryApi, ink: Model) -> None:
    with pytest.raises(VersionInUse):
        await registry.delete_version(ink.id, 3)


@pytest.mark.parametrize("note", ["Better hands.", None])
async def test_update_version_sets_or_clears_note(registry: RegistryApi, ink: Model, note: str | None) -> None:
    await registry.update_version(ink.id, 2, VersionUpdate(note=note))
    assert (await registry.get_version(ink.id, 2)).note == note


async def test_download_ticket_of_version_differs_from_that_of_current_one(registry: RegistryApi, ink: Model) -> None:
    current, first = await registry.download_ticket(ink.id), await registry.download_ticket(ink.id, 1)
    assert current.download_url.partition("?")[0] != first.download_url.partition("?")[0]


async def test_find_previous_version_loads_no_page_after_the_one_that_has_it(
    responses: Responses, url: str, registry: RegistryApi, ink: Model
) -> None:
    first, second, third = await list_all_versions(registry, ink.id)
    page = VersionList(version_list=[first, second], page_meta=PageMeta(per_page=2, next_cursor="next"))
    responses.add(200, page.model_dump(mode="json"))
    async with RegistryApi(url, "sk-x", None) as scripted:
        assert await find_previous_version(scripted, ink.id) == 2
    assert len(responses.requests) == 1
    assert third.is_previous is False


async def test_find_previous_version_of_registry_that_does_not_say_asks_for_the_number(
    responses: Responses, url: str, registry: RegistryApi, ink: Model
) -> None:
    listed = [each.model_copy(update={"is_previous": None}) for each in await list_all_versions(registry, ink.id)]
    page = VersionList(version_list=listed, page_meta=PageMeta(per_page=100))
    responses.add(200, page.model_dump(mode="json"))
    async with RegistryApi(url, "sk-x", None) as scripted:
        with pytest.raises(ValueError, match=f"--to N, .*'modelyard version ls {str(ink.id)[:13]}'"):
            await find_previous_version(scripted, ink.id)


async def test_change_model_of_several_at_the_same_time_keeps_each_change(registry: RegistryApi, ink: Model) -> None:
    def add(tag: str) -> Callable[[Model], ModelUpdate]:
        return lambda model: ModelUpdate(tags=[*model.tags, tag])

    tags = [f"tag-{number}" for number in range(6)]
    await asyncio.gather(*(change_model(registry, ink.id, add(tag)) for tag in tags))
    assert sorted((await registry.get_model(ink.id)).tags) == tags


async def test_change_model_that_others_change_each_time_is_refused_in_the_end(
    responses: Responses, url: str, ink: Model
) -> None:
    for _ in range(100):
        responses.add(200, ink.model_dump(mode="json"), ETag='W/"3"')
        responses.add(412, RecordStale("It has changed.").to_json(), Content_Type="application/problem+json")
    async with RegistryApi(url, "sk-x", None) as scripted:
        with pytest.raises(RecordStale):
            await change_model(scripted, ink.id, lambda _: ModelUpdate(tags=["a"]))
    conditions = [headers.get("If-Match") for method, _, headers, _ in responses.requests if method == "PUT"]
    assert len(conditions) > 1
    assert set(conditions) == {'"3"'}
