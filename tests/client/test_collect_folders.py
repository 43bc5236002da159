"""Folders with models of several files among the arguments of a push."""

from pathlib import Path

import pytest

from modelyard.client.transfers.collect import (
    FolderIsOneModel,
    ModelOverrides,
    RejectedFile,
    build_model_request,
    select_files,
    select_version_file,
)
from tests.client.model_files import write_model_file
from tests.client.test_collect import LORA, get_errors, get_paths


@pytest.mark.parametrize(
    ("files", "model_type"),
    [
        (["model_index.json", "unet/diffusion_pytorch_model.safetensors"], "diffusers"),
        (["model.safetensors.index.json", "model-00001-of-00002.safetensors"], "LLM"),
        (["diffusion_pytorch_model.bin.index.json", "diffusion_pytorch_model-00001-of-00002.bin"], "diffusers"),
    ],
)
def test_select_files_of_folder_that_is_one_model_rejects_it_as_a_whole(
    tmp_path: Path, files: list[str], model_type: str
) -> None:
    for file in files:
        write_model_file(tmp_path / "set" / "one" / file)
    write_model_file(tmp_path / "set" / "ink.safetensors")
    selected = select_files([str(tmp_path / "set")], ModelOverrides())
    assert get_paths(selected) == ["models/loras/ink.safetensors"]
    (rejected,) = [each for each in selected if isinstance(each, RejectedFile)]
    assert isinstance(rejected.error, FolderIsOneModel)
    assert (rejected.file, rejected.error.model_type) == (tmp_path / "set" / "one", model_type)


def test_select_files_of_pipeline_takes_model_files_directly_in_it(tmp_path: Path) -> None:
    for file in ("model_index.json", "sd_xl_base_1.0.safetensors", "unet/diffusion_pytorch_model.safetensors"):
        write_model_file(tmp_path / "sdxl" / file)
    selected = select_files([str(tmp_path)], LORA)
    assert get_paths(selected) == ["models/loras/sdxl/sd_xl_base_1.0.safetensors"]
    assert [each.file for each in selected if isinstance(each, RejectedFile)] == [tmp_path / "sdxl"]


@pytest.mark.parametrize("other", ["ink.safetensors", "training_args.bin", "sub/ink.safetensors"])
def test_select_files_of_folder_with_indexed_parts_among_other_models_rejects_it_and_takes_the_others(
    tmp_path: Path, other: str
) -> None:
    for file in ("model.safetensors.index.json", "model-00001-of-00002.safetensors", "consolidated.safetensors", other):
        write_model_file(tmp_path / file)
    selected = select_files([str(tmp_path)], LORA)
    assert sorted(get_paths(selected)) == sorted(["models/loras/consolidated.safetensors", f"models/loras/{other}"])
    (rejected,) = [each for each in selected if isinstance(each, RejectedFile)]
    assert isinstance(rejected.error, FolderIsOneModel)
    assert rejected.file == tmp_path


@pytest.mark.parametrize(
    "overrides", [ModelOverrides(display_name="SDXL"), ModelOverrides(model_path="models/diffusers/sdxl")]
)
def test_select_files_one_name_or_path_for_pipeline_with_single_file_rejects_the_folder_alone(
    tmp_path: Path, overrides: ModelOverrides
) -> None:
    for file in ("model_index.json", "sd_xl_base_1.0.safetensors"):
        write_model_file(tmp_path / "sdxl" / file)
    assert get_errors(select_files([str(tmp_path)], overrides)) == [FolderIsOneModel]


def test_select_version_file_of_pipeline_with_single_file_raises_folder_is_one_model(tmp_path: Path) -> None:
    for file in ("model_index.json", "sd_xl_base_1.0.safetensors"):
        write_model_file(tmp_path / "sdxl" / file)
    with pytest.raises(FolderIsOneModel) as raised:
        select_version_file([str(tmp_path)])
    assert raised.value.folder == tmp_path / "sdxl"


def test_select_files_of_pipeline_with_typed_path_suggests_the_type_of_the_path(tmp_path: Path) -> None:
    write_model_file(tmp_path / "depth" / "model_index.json")
    (rejected,) = select_files([str(tmp_path / "depth")], ModelOverrides(model_path="models/controlnet/"))
    assert isinstance(rejected, RejectedFile)
    assert isinstance(rejected.error, FolderIsOneModel)
    assert rejected.error.model_type == "controlnet"
    overrides = ModelOverrides(model_path="models/controlnet/", model_type=rejected.error.model_type)
    assert build_model_request(tmp_path / "depth", overrides).model_path == "models/controlnet/depth"


@pytest.mark.parametrize(
    "files",
    [
        ["config.json", "diffusion_pytorch_model.safetensors"],
        ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
    ],
)
def test_select_files_of_folder_without_index_takes_each_file(tmp_path: Path, files: list[str]) -> None:
    for file in files:
        write_model_file(tmp_path / file)
    expected = [f"models/loras/{file}" for file in files if not file.endswith(".json")]
    assert get_paths(select_files([str(tmp_path)], LORA)) == expected


def test_select_files_of_type_folder_with_weights_in_parts_takes_each_file(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "text_encoders"
    for file in ("a.safetensors.index.json", "a-00001-of-00001.safetensors", "b.safetensors"):
        write_model_file(folder / file)
    assert len(get_paths(select_files([str(tmp_path)], ModelOverrides()))) == 2
