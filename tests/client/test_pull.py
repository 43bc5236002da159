import asyncio
from pathlib import Path

import pytest

from modelyard.client.lookup import ModelAmbiguous, find_model, model_at
from modelyard.client.pull import Destination, pull
from modelyard.client.push import Pushing
from modelyard.client.registry import Registry
from modelyard.client.selection import Notes, PushRequest
from modelyard.client.settings import ClientSettings
from modelyard.transfer.failures import TargetTaken
from modelyard.transfer.progress import unheard
from modelyard.wire.models import Model
from modelyard.wire.paths import PathRefused
from modelyard.wire.problems import ModelNotFound
from tests.client.files import model_file


@pytest.fixture
async def ink(registry: Registry, settings: ClientSettings, tmp_path: Path) -> Model:
    return await pushed(registry, settings, tmp_path / "source" / "ink.safetensors", "models/loras/sd/ink.safetensors")


async def pushed(registry: Registry, settings: ClientSettings, file: Path, path: str, name: str = "Ink") -> Model:
    await asyncio.to_thread(model_file, file, 1000 + len(path))
    request = PushRequest(file, path.split("/")[1], path, name, Notes(), replace=False)
    model = (await Pushing(registry, settings, lambda _: None).push(request)).model
    assert model is not None
    return model


async def test_a_pulled_file_has_the_bytes_that_were_pushed(registry: Registry, ink: Model, tmp_path: Path) -> None:
    pulled = await pull(registry, ink, Destination(tmp_path / "new"), unheard)
    assert (pulled.outcome, pulled.file) == ("pulled", tmp_path / "new" / "ink.safetensors")
    assert pulled.file.read_bytes() == (tmp_path / "source" / "ink.safetensors").read_bytes()
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["ink.safetensors"]


async def test_a_file_that_is_here_is_not_fetched_again(registry: Registry, ink: Model, tmp_path: Path) -> None:
    await pull(registry, ink, Destination(tmp_path), unheard)
    assert (await pull(registry, ink, Destination(tmp_path), unheard)).outcome == "already here"


async def test_a_tree_is_the_tree_of_the_models_folder(registry: Registry, ink: Model, tmp_path: Path) -> None:
    pulled = await pull(registry, ink, Destination(tmp_path / "models", tree=True), unheard)
    assert pulled.file == tmp_path / "models" / "loras" / "sd" / "ink.safetensors"


async def test_another_file_is_replaced_only_when_told(registry: Registry, ink: Model, tmp_path: Path) -> None:
    (tmp_path / "ink.safetensors").write_bytes(b"mine")
    with pytest.raises(TargetTaken):
        await pull(registry, ink, Destination(tmp_path), unheard)
    assert (tmp_path / "ink.safetensors").read_bytes() == b"mine"
    assert (await pull(registry, ink, Destination(tmp_path, replace=True), unheard)).outcome == "pulled"


@pytest.mark.parametrize(
    "path", ["loras/../../etc/passwd", "/etc/passwd", "loras\\..\\x", "custom_nodes/x/__init__.py"]
)
async def test_no_registry_names_a_path_outside_the_folder(path: str, ink: Model, tmp_path: Path) -> None:
    hostile = ink.model_copy(update={"model_type": path.partition("/")[0] or "loras", "model_path": path})
    with pytest.raises(PathRefused):
        Destination(tmp_path, tree=True).file_of(hostile)


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
async def test_a_model_is_found_by_path_and_by_name(registry: Registry, ink: Model, name: str) -> None:
    assert await find_model(registry, name) == ink


async def test_a_model_is_found_by_its_id(registry: Registry, ink: Model) -> None:
    assert await find_model(registry, str(ink.id)) == ink


async def test_an_alias_of_the_folder_finds_the_same_model(
    registry: Registry, settings: ClientSettings, tmp_path: Path
) -> None:
    flux = await pushed(registry, settings, tmp_path / "flux.safetensors", "models/unet/flux.safetensors", "Flux")
    assert await model_at(registry, "diffusion_models", "diffusion_models/flux.safetensors") == flux


async def test_a_name_that_fits_two_models_lists_both(
    registry: Registry, settings: ClientSettings, ink: Model, tmp_path: Path
) -> None:
    other = await pushed(registry, settings, tmp_path / "b.safetensors", "models/loras/b.safetensors", "Ink")
    with pytest.raises(ModelAmbiguous) as refused:
        await find_model(registry, "ink")
    assert {model.id for model in refused.value.candidates} == {ink.id, other.id}


async def test_a_name_that_nearly_fits_is_suggested(registry: Registry, ink: Model) -> None:
    with pytest.raises(ModelNotFound) as refused:
        await find_model(registry, "in")
    assert refused.value.facts["similar"] == [ink.model_path]


async def test_a_deleted_model_is_found_in_the_trash_only(registry: Registry, ink: Model) -> None:
    await registry.delete_model(ink.id)
    with pytest.raises(ModelNotFound):
        await find_model(registry, "ink")
    for name in ("ink", str(ink.id), ink.model_path):
        assert (await find_model(registry, name, deleted=True)).id == ink.id
