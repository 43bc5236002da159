from pathlib import Path

import pytest

from modelyard.client.api.registry import RegistryApi
from modelyard.client.resolve_models import find_model_versions
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.pull import Destination, pull_all
from modelyard.transfer.errors import TargetExists
from modelyard.transfer.progress import ignore_progress
from modelyard.wire.models import Model
from modelyard.wire.paths import ModelPathInvalid
from modelyard.wire.problems import ModelNotFound
from tests.client.pushed_models import pull_one, push_model


@pytest.fixture
async def ink(registry: RegistryApi, settings: ClientSettings, tmp_path: Path) -> Model:
    return await push_model(
        registry, settings, tmp_path / "source" / "ink.safetensors", "models/loras/sd/ink.safetensors"
    )


async def test_pull_new_file_downloads_pushed_content_and_leaves_no_other_file(
    registry: RegistryApi, ink: Model, tmp_path: Path
) -> None:
    pulled = await pull_one(registry, ink, Destination(tmp_path / "new"))
    assert (pulled.outcome, pulled.file) == ("pulled", tmp_path / "new" / "ink.safetensors")
    assert pulled.file.read_bytes() == (tmp_path / "source" / "ink.safetensors").read_bytes()
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["ink.safetensors"]


async def test_pull_file_that_exists_with_same_content_is_not_downloaded(
    registry: RegistryApi, ink: Model, tmp_path: Path
) -> None:
    await pull_one(registry, ink, Destination(tmp_path))
    assert (await pull_one(registry, ink, Destination(tmp_path))).outcome == "already here"


async def test_pull_with_tree_places_file_at_its_model_path(registry: RegistryApi, ink: Model, tmp_path: Path) -> None:
    pulled = await pull_one(registry, ink, Destination(tmp_path / "models", tree=True))
    assert pulled.file == tmp_path / "models" / "loras" / "sd" / "ink.safetensors"


async def test_pull_over_different_file_raises_target_exists_unless_replace(
    registry: RegistryApi, ink: Model, tmp_path: Path
) -> None:
    (tmp_path / "ink.safetensors").write_bytes(b"user file")
    with pytest.raises(TargetExists):
        await pull_one(registry, ink, Destination(tmp_path))
    assert (tmp_path / "ink.safetensors").read_bytes() == b"user file"
    assert (await pull_one(registry, ink, Destination(tmp_path, replace=True))).outcome == "pulled"


async def test_pull_all_downloads_models_and_returns_results_in_order(
    registry: RegistryApi, settings: ClientSettings, tmp_path: Path
) -> None:
    names = [f"{number}.safetensors" for number in range(6)]
    models = [
        await push_model(registry, settings, tmp_path / "source" / name, f"models/loras/{name}") for name in names
    ]
    done: list[str] = []
    results = await pull_all(
        registry, models, Destination(tmp_path / "new"), ignore_progress, lambda pulled: done.append(pulled.file.name)
    )
    assert [(each.outcome, each.file.name) for each in results] == [("pulled", name) for name in names]
    assert sorted(done) == sorted(file.name for file in (tmp_path / "new").iterdir()) == names
    again = await pull_all(registry, models, Destination(tmp_path / "new"), ignore_progress, lambda _: None)
    assert {each.outcome for each in again} == {"already here"}


async def test_pull_all_first_failure_is_raised(registry: RegistryApi, ink: Model, tmp_path: Path) -> None:
    (tmp_path / "ink.safetensors").write_bytes(b"user file")
    with pytest.raises(TargetExists):
        await pull_all(registry, [ink, ink], Destination(tmp_path), ignore_progress, lambda _: None)


async def test_find_model_versions_returns_paths_names_ids_and_versions_in_order(
    registry: RegistryApi, settings: ClientSettings, ink: Model, tmp_path: Path
) -> None:
    oil = await push_model(
        registry, settings, tmp_path / "source" / "oil.safetensors", "models/loras/oil.safetensors", "Oil"
    )
    names = ["loras/oil.safetensors", "models/LORAS/sd/INK.safetensors", str(oil.id), "ink@1"]
    found = await find_model_versions(registry, [*names, "loras/sd/ink.safetensors@1"])
    assert [model.id for model in found] == [oil.id, ink.id, oil.id, ink.id, ink.id]
    with pytest.raises(ModelNotFound):
        await find_model_versions(registry, [*names, "loras/none.safetensors"])


@pytest.mark.parametrize(
    "path", ["loras/../../etc/passwd", "/etc/passwd", "loras\\..\\x", "custom_nodes/x/__init__.py"]
)
async def test_pull_destination_of_unsafe_model_path_raises_model_path_invalid(
    path: str, ink: Model, tmp_path: Path
) -> None:
    unsafe = ink.model_copy(update={"model_type": path.partition("/")[0] or "loras", "model_path": path})
    with pytest.raises(ModelPathInvalid):
        Destination(tmp_path, tree=True).get_file(unsafe)
