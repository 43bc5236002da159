from pathlib import Path

import pytest

from modelyard.client.api.registry import RegistryApi
from modelyard.client.resolve_models import find_model_versions
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.pull import Destination, Pulled, PullFailed, PullOptions, PullResult, pull_all
from modelyard.transfer.errors import TargetExists
from modelyard.transfer.progress import ignore_progress
from modelyard.wire.models import Model
from modelyard.wire.paths import ModelPathInvalid
from modelyard.wire.problems import ModelNotFound, ModelNotVerified, Unauthenticated
from tests.client.pushed_models import pull_one, push_model
from tests.client.server_process import Team


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
    done: list[PullResult] = []
    results = await pull_all(registry, models, Destination(tmp_path / "new"), ignore_progress, done.append)
    files = [tmp_path / "new" / name for name in names]
    assert results == [Pulled(model, file, "pulled") for model, file in zip(models, files, strict=True)]
    assert sorted(done, key=results.index) == results
    assert sorted((tmp_path / "new").iterdir()) == files
    again = await pull_all(registry, models, Destination(tmp_path / "new"), ignore_progress, lambda _: None)
    assert again == [Pulled(model, file, "already here") for model, file in zip(models, files, strict=True)]


async def test_pull_all_failure_of_one_model_does_not_stop_the_others(
    registry: RegistryApi, settings: ClientSettings, ink: Model, tmp_path: Path
) -> None:
    oil = await push_model(registry, settings, tmp_path / "source" / "oil.safetensors", "models/loras/oil.safetensors")
    (tmp_path / "ink.safetensors").write_bytes(b"user file")
    unverified = ink.model_copy(update={"verification": "pending"})
    options = PullOptions(jobs=1)
    results = await pull_all(
        registry, [ink, unverified, oil], Destination(tmp_path), ignore_progress, lambda _: None, options
    )
    errors = [type(each.error) for each in results if isinstance(each, PullFailed)]
    assert errors == [TargetExists, ModelNotVerified]
    assert isinstance(results[2], Pulled)
    assert (tmp_path / "oil.safetensors").is_file()
    assert (tmp_path / "ink.safetensors").read_bytes() == b"user file"


async def test_pull_all_with_unknown_key_raises_unauthenticated(team: Team, ink: Model, tmp_path: Path) -> None:
    async with RegistryApi(team.url, "sk-unknown", team.id) as stranger:
        with pytest.raises(Unauthenticated):
            await pull_all(stranger, [ink, ink], Destination(tmp_path), ignore_progress, lambda _: None)


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
