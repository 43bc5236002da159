"""The registry client's calls about the versions of a model."""

from pathlib import Path

import pytest

from modelyard.client.api.models import list_all_versions
from modelyard.client.api.registry import RegistryApi
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import Notes, PushRequest
from modelyard.client.transfers.push import Pusher
from modelyard.wire.models import Model
from modelyard.wire.problems import VersionInUse, VersionNotFound
from modelyard.wire.versions import VersionUpdate
from tests.client.model_files import write_model_file

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
