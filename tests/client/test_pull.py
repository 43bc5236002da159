import asyncio
from pathlib import Path
from uuid import uuid4

import pytest

from modelyard.client.api.batched_calls import BatchedCalls
from modelyard.client.api.download_urls import DownloadUrls
from modelyard.client.api.registry import RegistryApi
from modelyard.client.resolve_models import ModelAmbiguous, find_model, find_model_version, find_model_versions
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import Notes, PushRequest
from modelyard.client.transfers.pull import Destination, Pulled, pull, pull_all
from modelyard.client.transfers.push import Pusher
from modelyard.transfer.errors import TargetExists
from modelyard.transfer.progress import ignore_progress
from modelyard.wire.models import Model
from modelyard.wire.paths import ModelPathInvalid
from modelyard.wire.problems import ModelNotFound, VersionNotFound
from tests.client.model_files import write_model_file


@pytest.fixture
async def ink(registry: RegistryApi, settings: ClientSettings, tmp_path: Path) -> Model:
    return await push_model(
        registry, settings, tmp_path / "source" / "ink.safetensors", "models/loras/sd/ink.safetensors"
    )


async def push_model(
    registry: RegistryApi, settings: ClientSettings, file: Path, path: str, name: str = "Ink"
) -> Model:
    await asyncio.to_thread(write_model_file, file, 1000 + len(path))
    request = PushRequest(file, path.split("/")[1], path, name, Notes(), replace=False)
    model = (await Pusher(registry, settings, lambda _: None).push(request)).model
    assert model is not None
    return model


async def pull_one(registry: RegistryApi, model: Model, destination: Destination) -> Pulled:
    return await pull(DownloadUrls(registry), model, destination, ignore_progress)


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


@pytest.mark.parametrize(
    "name",
    [
        "models/loras/sd/ink.safetensors",
        "loras/sd/ink.safetensors",
        "loras/sd/INK.safetensors",
        "Ink",
        "ink.safetensors",
    ],
)
async def test_find_model_by_path_display_name_or_file_name_returns_it(
    registry: RegistryApi, ink: Model, name: str
) -> None:
    assert (await find_model(registry, name)).id == ink.id


async def test_find_model_by_id_returns_it(registry: RegistryApi, ink: Model) -> None:
    assert (await find_model(registry, str(ink.id))).id == ink.id


async def test_find_model_at_path_with_alias_of_type_folder_returns_it(
    registry: RegistryApi, settings: ClientSettings, tmp_path: Path
) -> None:
    flux = await push_model(registry, settings, tmp_path / "flux.safetensors", "models/unet/flux.safetensors", "Flux")
    found = await BatchedCalls(registry).find_model_at("diffusion_models", "diffusion_models/flux.safetensors")
    assert found is not None
    assert found.id == flux.id


async def test_find_model_with_file_name_of_nine_words_returns_it(
    registry: RegistryApi, settings: ClientSettings, tmp_path: Path
) -> None:
    path = "models/loras/one two three four five six seven eight nine.safetensors"
    model = await push_model(registry, settings, tmp_path / "long.safetensors", path)
    assert (await find_model(registry, path)).id == model.id
    found = await BatchedCalls(registry).find_model_at("loras", path)
    assert found is not None
    assert found.id == model.id


async def test_find_model_by_name_of_two_models_raises_ambiguous_with_both(
    registry: RegistryApi, settings: ClientSettings, ink: Model, tmp_path: Path
) -> None:
    other = await push_model(registry, settings, tmp_path / "b.safetensors", "models/loras/b.safetensors", "Ink")
    with pytest.raises(ModelAmbiguous) as refused:
        await find_model(registry, "ink")
    assert {model.id for model in refused.value.candidates} == {ink.id, other.id}
    for model in (ink, other):
        short_id = refused.value.short_ids[model.id]
        assert len(short_id) >= 8
        assert (await find_model(registry, short_id)).id == model.id
        assert (await find_model(registry, model.model_path)).id == model.id
    with pytest.raises(ModelAmbiguous) as refused:
        await find_model(registry, str(ink.id)[:8].upper())
    assert {model.id for model in refused.value.candidates} == {ink.id, other.id}


@pytest.mark.parametrize("name", ["0199a1de", "ffffffff", "00000000-0000"])
async def test_find_model_by_short_id_of_no_model_raises_not_found(
    registry: RegistryApi, ink: Model, name: str
) -> None:
    with pytest.raises(ModelNotFound):
        await find_model(registry, name)


async def test_find_model_by_part_of_name_raises_not_found_with_similar_path(registry: RegistryApi, ink: Model) -> None:
    with pytest.raises(ModelNotFound) as refused:
        await find_model(registry, "in")
    assert refused.value.facts["similar"] == [ink.model_path]


@pytest.mark.parametrize("name", ["n" * 300, "bell\x07"])
async def test_find_model_by_name_that_no_model_can_have_raises_not_found(registry: RegistryApi, name: str) -> None:
    with pytest.raises(ModelNotFound):
        await find_model(registry, name)


async def test_find_model_deleted_is_found_only_with_deleted_option(registry: RegistryApi, ink: Model) -> None:
    await registry.delete_model(ink.id)
    with pytest.raises(ModelNotFound):
        await find_model(registry, "ink")
    for name in ("ink", str(ink.id), ink.model_path):
        assert (await find_model(registry, name, deleted=True)).id == ink.id


async def test_find_model_deleted_unknown_id_raises_not_found_without_similar_paths(
    registry: RegistryApi, ink: Model
) -> None:
    await registry.delete_model(ink.id)
    with pytest.raises(ModelNotFound) as refused:
        await find_model(registry, str(uuid4()), deleted=True)
    assert refused.value.facts["similar"] == []


async def test_find_model_by_start_of_id_returns_it(registry: RegistryApi, ink: Model) -> None:
    for short in (str(ink.id)[:8], str(ink.id)[:20].upper(), ink.id.hex[:16]):
        assert (await find_model(registry, short)).id == ink.id
    with pytest.raises(ModelNotFound):
        await find_model(registry, str(ink.id)[:7])


async def test_find_model_version_with_number_returns_record_with_content_of_version(
    registry: RegistryApi, settings: ClientSettings, ink: Model, tmp_path: Path
) -> None:
    file = await asyncio.to_thread(write_model_file, tmp_path / "new.safetensors", 500)
    request = PushRequest(file, ink.model_type, ink.model_path, None, Notes(), replace=True)
    await Pusher(registry, settings, lambda _: None).push(request)
    first = await find_model_version(registry, "ink@1")
    assert (first.id, first.version, first.file_hash, first.file_size) == (ink.id, 1, ink.file_hash, ink.file_size)
    assert (await find_model_version(registry, "ink")).version == 2
    pulled = await pull_one(registry, first, Destination(tmp_path / "old"))
    assert pulled.file.read_bytes() == (tmp_path / "source" / "ink.safetensors").read_bytes()
    with pytest.raises(VersionNotFound):
        await find_model_version(registry, "ink@3")


async def test_find_model_version_with_at_sign_in_name_returns_that_model(
    registry: RegistryApi, settings: ClientSettings, ink: Model, tmp_path: Path
) -> None:
    other = await push_model(registry, settings, tmp_path / "b.safetensors", "models/loras/b.safetensors", "Ink@1")
    assert (await find_model_version(registry, "ink@1")).id == other.id
    with pytest.raises(ModelNotFound):
        await find_model_version(registry, "ink@first")
