"""Pushes to a path with another model, of files whose name files of many models have, and of parts of a model."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command, read_command
from tests.cli.terminal_answers import run_in_terminal
from tests.client.model_files import write_model_file
from tests.client.model_folders import PART, write_parts

pytestmark = pytest.mark.slow


@pytest.fixture
def same_names(tmp_path: Path) -> list[Path]:
    """Two models of other content, whose files have the name that all of their kind have."""
    name = "diffusion_pytorch_model.safetensors"
    return [write_model_file(tmp_path / each / name, seed=seed) for seed, each in enumerate(("canny", "depth"))]


def test_push_file_with_name_of_many_models_at_taken_path_offers_its_own_path_and_no_replacement(
    signed_in: Command, same_names: list[Path]
) -> None:
    canny, depth = same_names
    assert signed_in("push", canny, "--type", "controlnet").code == 0
    dry = signed_in("push", depth, "--type", "controlnet", "--dry-run")
    assert "--path models/controlnet/depth.safetensors" in dry.out
    assert "--replace" not in dry.out
    refused = signed_in("push", depth, "--type", "controlnet")
    assert (refused.code, "--replace" in refused.err) == (4, False)
    command = refused.err.partition("path of its own: modelyard ")[2].splitlines()[0]
    assert signed_in(*command.split()).code == 0
    assert len(signed_in("ls", "-q").out.splitlines()) == 2


def test_push_variant_with_name_of_many_models_keeps_the_variant_and_takes_a_free_path(
    signed_in: Command, tmp_path: Path
) -> None:
    for seed, path in enumerate(("diffusion_pytorch_model.fp16.safetensors", "depth.fp16.safetensors")):
        other = write_model_file(tmp_path / "other" / path, seed=seed)
        assert signed_in("push", other, "--type", "controlnet").code == 0
    depth = write_model_file(tmp_path / "depth" / "diffusion_pytorch_model.fp16.safetensors", seed=2)
    refused = signed_in("push", depth, "--type", "controlnet")
    assert "--path models/controlnet/depth_2.fp16.safetensors" in refused.err


@pytest.mark.parametrize(
    "options",
    [("--type", "LLM"), ("--path", "models/LLM/"), ("--path", f"models/LLM/{PART}"), ("--type", "LLM", "--label", "a")],
)
def test_push_part_at_taken_path_exits_4_with_the_command_that_pushes_its_folder(
    signed_in: Command, tmp_path: Path, options: tuple[str, ...]
) -> None:
    assert signed_in("push", write_parts(tmp_path / "one", seed=2) / PART, "--type", "LLM").code == 0
    folder = write_parts(tmp_path / "my other")
    refused = signed_in("push", folder / PART, *options)
    assert (refused.code, "--replace" in refused.err) == (4, False)
    pushed = signed_in(*read_command(refused.err, "It is a part of a model"), "--json")
    assert pushed.code == 0, pushed.err
    model = json.loads(pushed.out)["files"][0]["model"]
    assert (model["model_path"], model["file_count"]) == ("models/LLM/my other", 3)
    assert model["required_labels"] == (["a"] if "--label" in options else [])
    dry = signed_in("push", folder / PART, *options, "--dry-run")
    assert ("--as-folder" in dry.out, "--replace" in dry.out) == (True, False)


@pytest.mark.parametrize("other", ["private.safetensors", None])
def test_push_part_in_folder_that_is_not_one_model_does_not_offer_the_folder(
    signed_in: Command, tmp_path: Path, other: str | None
) -> None:
    assert signed_in("push", write_parts(tmp_path / "one", seed=2) / PART, "--type", "text_encoders").code == 0
    folder = write_parts(tmp_path / "models" / "text_encoders" if other is None else tmp_path / "Downloads")
    if other is not None:
        write_model_file(folder / other)
    refused = signed_in("push", folder / PART, "--type", "text_encoders")
    assert (refused.code, "--as-folder" in refused.err) == (4, False)
    assert "--as-folder" not in signed_in("push", folder / PART, "--type", "text_encoders", "--dry-run").out


@pytest.mark.parametrize("folder", ["models/controlnet/depth", "models/controlnet", "models/t2i_adapter", "controlnet"])
def test_push_file_with_name_of_many_models_in_its_own_or_a_type_folder_offers_the_replacement(
    signed_in: Command, tmp_path: Path, folder: str
) -> None:
    file = tmp_path / folder / "diffusion_pytorch_model.safetensors"
    assert signed_in("push", write_model_file(file)).code == 0
    refused = signed_in("push", write_model_file(file, seed=2))
    assert (refused.code, "--replace" in refused.err, "own: modelyard" in refused.err) == (4, True, False)


def test_push_file_with_name_of_many_models_without_a_free_path_offers_the_replacement(
    signed_in: Command, same_names: list[Path], tmp_path: Path
) -> None:
    others = ["depth", *(f"depth_{number}" for number in range(2, 10))]
    for seed, name in enumerate(others):
        write_model_file(tmp_path / "others" / f"{name}.safetensors", seed=10 + seed)
    assert signed_in("push", same_names[0], tmp_path / "others", "--type", "controlnet").code == 0
    refused = signed_in("push", same_names[1], "--type", "controlnet")
    assert ("--replace" in refused.err, "own: modelyard" in refused.err) == (True, False)


def test_push_file_with_name_of_many_models_in_terminal_does_not_ask_to_replace(
    signed_in: Command, same_names: list[Path]
) -> None:
    assert signed_in("push", same_names[0], "--type", "controlnet").code == 0
    ran = run_in_terminal("push", same_names[1], "--type", "controlnet", typed="y")
    assert (ran.returncode, "as version 2" in ran.stderr) == (4, False)


def test_push_file_with_name_of_many_models_at_typed_path_offers_the_replacement(
    signed_in: Command, same_names: list[Path]
) -> None:
    path = ("--path", "models/controlnet/canny.safetensors")
    assert signed_in("push", same_names[0], *path).code == 0
    refused = signed_in("push", same_names[1], *path)
    assert (refused.code, "--replace" in refused.err) == (4, True)
