import asyncio
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest

from modelyard.client.api.batched_calls import BatchedCalls
from modelyard.client.api.registry import RegistryApi
from modelyard.client.resolve_models import (
    ModelAmbiguous,
    ModelInTrash,
    SeveralNotFound,
    find_model,
    find_model_version,
    find_model_versions,
)
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import Notes, PushRequest
from modelyard.client.transfers.pull import Destination
from modelyard.client.transfers.push import Pusher
from modelyard.wire.models import Model
from modelyard.wire.problems import ModelNotFound, VersionNotFound
from tests.client.model_files import write_model_file
from tests.client.pushed_models import pull_one, push_model
from tests.client.scripted_server import Responses


@pytest.fixture
async def ink(registry: RegistryApi, settings: ClientSettings, tmp_path: Path) -> Model:
    return await push_model(
        registry, settings, tmp_path / "source" / "ink.safetensors", "models/loras/sd/ink.safetensors"
    )


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
    assert set(refused.value.references) == {ink.model_path, other.model_path}
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


async def test_find_model_version_of_part_of_name_raises_not_found_with_similar_path(
    registry: RegistryApi, ink: Model
) -> None:
    with pytest.raises(ModelNotFound) as refused:
        await find_model_version(registry, "in@2")
    assert refused.value.facts["similar"] == [ink.model_path]


async def test_find_model_version_named_like_its_own_version_raises_ambiguous_with_both(
    registry: RegistryApi, settings: ClientSettings, tmp_path: Path
) -> None:
    path = "models/loras/ink.safetensors"
    model = await push_model(registry, settings, tmp_path / "ink.safetensors", path, "Ink@1")
    with pytest.raises(ModelAmbiguous) as refused:
        await find_model_version(registry, "ink@1")
    assert refused.value.references == [path, f"{path}@1"]
    assert (await find_model(registry, "ink@1")).id == model.id


@pytest.mark.parametrize(("name", "searches"), [("00001000", 4), ("01234567", 4), ("deadbeef", 4), ("ffffffff", 2)])
async def test_find_model_by_name_like_a_short_id_never_lists_the_whole_team(
    responses: Responses, url: str, name: str, searches: int
) -> None:
    responses.add(200, {"model_list": [], "page_meta": {"per_page": 100}})
    async with RegistryApi(url, "sk-x", None) as registry:
        with pytest.raises(ModelNotFound):
            await find_model(registry, name)
    sent = [parse_qs(urlsplit(path).query) for _, path, *_ in responses.requests]
    queries = [each["q"][0] for each in sent]
    assert (len(queries), sum("deleted" in each for each in sent)) == (searches, searches // 2)
    assert [each for each in queries if not each.startswith("added:")] == [f'"{name}"'] * 2


async def test_find_model_version_of_id_searches_only_the_trash_of_its_day(responses: Responses, url: str) -> None:
    model_id = UUID("01a23352-716d-77d6-97c4-5b7d1494cc22")
    responses.add(404, ModelNotFound("The team has no such model.").to_json(), content_type="application/problem+json")
    responses.add(200, {"model_list": [], "page_meta": {"per_page": 100}})
    async with RegistryApi(url, "sk-x", None) as registry:
        with pytest.raises(ModelNotFound):
            await find_model_version(registry, f"{model_id}@1")
    paths = [path for _, path, *_ in responses.requests]
    assert paths[0] == f"/api/v1/models/{model_id}"
    (query,) = [parse_qs(urlsplit(path).query) for path in paths[1:]]
    assert (query["deleted"], query["q"]) == (["true"], ["added:2026-12-01..2026-12-01"])


async def test_find_model_versions_of_paths_share_a_lookup_and_send_no_search(
    responses: Responses, url: str, ink: Model
) -> None:
    match = {"asked": "loras/sd/ink.safetensors", "id": str(ink.id), "matched_by": "path", "version": 1}
    found = {"match_list": [match | {"model_path": ink.model_path}], "model_list": [ink.model_dump(mode="json")]}
    responses.add(200, found)
    responses.add(404, VersionNotFound("No such version.").to_json(), content_type="application/problem+json")
    async with RegistryApi(url, "sk-x", None) as registry:
        with pytest.raises(SeveralNotFound) as refused:
            await find_model_versions(registry, [f"{ink.model_path}@{number}" for number in (1, 2, 3)])
    assert [str(error) for error in refused.value.errors] == [
        f"'{ink.model_path}' has no version {number}." for number in (1, 2, 3)
    ]
    methods = [method for method, *_ in responses.requests]
    assert (methods[0], set(methods[1:])) == ("POST", {"GET"})
    assert not [path for _, path, *_ in responses.requests if "q=" in path]


async def test_model_ambiguous_of_many_lists_ten_references_and_counts_the_others(ink: Model) -> None:
    refused = ModelAmbiguous("ink", {f"models/loras/{number}.bin": ink for number in range(10, 22)})
    assert [f"/{number}.bin" in str(refused) for number in range(10, 22)] == [True] * 10 + [False] * 2
    assert "2 more" in str(refused)


@pytest.mark.parametrize("name", ["inkwesh", "loras/inkwesh.safetensors", "inkwesh@2", "inkwash.ckpt"])
async def test_find_model_of_misspelt_name_names_similar_models(
    registry: RegistryApi, settings: ClientSettings, tmp_path: Path, name: str
) -> None:
    path = "models/loras/inkwash.safetensors"
    await push_model(registry, settings, tmp_path / "inkwash.safetensors", path, "Inkwash")
    for find in (find_model, find_model_version):
        with pytest.raises(ModelNotFound) as refused:
            await find(registry, name)
        assert refused.value.facts["similar"] == [path]


async def test_find_model_deleted_is_found_only_with_deleted_option(registry: RegistryApi, ink: Model) -> None:
    await registry.delete_model(ink.id)
    with pytest.raises(ModelNotFound):
        await find_model(registry, "ink")
    for name in ("ink", str(ink.id), ink.model_path):
        assert (await find_model(registry, name, deleted=True)).id == ink.id


async def test_find_model_that_is_in_the_trash_only_says_so_with_its_id(registry: RegistryApi, ink: Model) -> None:
    await registry.delete_model(ink.id)
    for name in ("ink", "ink@1", "loras/sd/ink.safetensors", str(ink.id), f"{ink.id}@1", str(ink.id)[:20]):
        for find in (find_model, find_model_version):
            with pytest.raises(ModelInTrash) as refused:
                await find(registry, name)
            assert refused.value.facts["model_id"] == str(ink.id)
    with pytest.raises(ModelInTrash):
        await find_model_versions(registry, [ink.model_path])


async def test_find_model_of_a_word_of_a_model_in_the_trash_does_not_mean_that(
    registry: RegistryApi, settings: ClientSettings, ink: Model, tmp_path: Path
) -> None:
    other = await push_model(registry, settings, tmp_path / "b.safetensors", "models/loras/b.safetensors", "Ink wash")
    await registry.delete_model(other.id)
    assert (await find_model(registry, "ink")).id == ink.id
    for name in ("wash", str(uuid4())):
        with pytest.raises(ModelNotFound) as refused:
            await find_model(registry, name)
        assert type(refused.value) is ModelNotFound


async def test_find_model_with_path_of_two_in_the_trash_raises_with_their_number(
    registry: RegistryApi, settings: ClientSettings, ink: Model, tmp_path: Path
) -> None:
    await registry.delete_model(ink.id)
    other = await push_model(registry, settings, tmp_path / "b.safetensors", ink.model_path, "Other")
    await registry.delete_model(other.id)
    with pytest.raises(ModelInTrash) as refused:
        await find_model(registry, ink.model_path)
    assert refused.value.facts == {"trash_count": 2, "similar": []}


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


async def test_find_model_version_of_a_name_with_at_sign_returns_that_model(
    registry: RegistryApi, settings: ClientSettings, tmp_path: Path
) -> None:
    model = await push_model(registry, settings, tmp_path / "b.safetensors", "models/loras/b.safetensors", "Ink@1")
    assert (await find_model_version(registry, "ink@1")).id == model.id
    with pytest.raises(ModelNotFound):
        await find_model_version(registry, "ink@first")


async def test_find_model_version_of_id_or_path_with_number_is_never_a_model_with_that_name(
    registry: RegistryApi, settings: ClientSettings, ink: Model, tmp_path: Path
) -> None:
    for index, exact in enumerate((str(ink.id), "loras/sd/ink.safetensors")):
        path = f"models/loras/other{index}.safetensors"
        await push_model(registry, settings, tmp_path / "other.safetensors", path, f"{exact}@1")
        assert (await find_model_version(registry, f"{exact}@1")).id == ink.id
        with pytest.raises(ModelNotFound) as refused:
            await find_model(registry, f"{exact}@1")
        assert refused.value.facts["similar"] == [ink.model_path]


async def test_find_model_version_that_is_a_name_too_raises_ambiguous_with_a_reference_to_each(
    registry: RegistryApi, settings: ClientSettings, ink: Model, tmp_path: Path
) -> None:
    other = await push_model(registry, settings, tmp_path / "b.safetensors", "models/loras/b.safetensors", "Ink@1")
    with pytest.raises(ModelAmbiguous) as refused:
        await find_model_version(registry, "ink@1")
    first, second = refused.value.references
    assert (await find_model_version(registry, first)).id == other.id
    assert (await find_model_version(registry, second)).id == ink.id
    assert second == f"{ink.model_path}@1"
    with pytest.raises(ModelAmbiguous) as refused:
        await find_model(registry, "ink@1")
    assert refused.value.references == [other.model_path, ink.model_path]


async def test_find_model_named_like_the_short_id_of_another_raises_ambiguous_with_both(
    registry: RegistryApi, settings: ClientSettings, ink: Model, tmp_path: Path
) -> None:
    short_id = str(ink.id)[:20]
    other = await push_model(registry, settings, tmp_path / "b.safetensors", "models/loras/b.safetensors", short_id)
    with pytest.raises(ModelAmbiguous) as refused:
        await find_model(registry, short_id)
    assert {model.id for model in refused.value.candidates} == {ink.id, other.id}


async def test_find_model_deleted_with_path_of_two_raises_ambiguous_with_ids(
    registry: RegistryApi, settings: ClientSettings, ink: Model, tmp_path: Path
) -> None:
    await registry.delete_model(ink.id)
    other = await push_model(registry, settings, tmp_path / "b.safetensors", ink.model_path, "Other")
    await registry.delete_model(other.id)
    with pytest.raises(ModelAmbiguous) as refused:
        await find_model(registry, ink.model_path, deleted=True)
    assert set(refused.value.references) == {str(ink.id), str(other.id)}
    assert (await find_model(registry, str(ink.id), deleted=True)).id == ink.id
