"""Models of many files: ``push --as-folder``, ``pull``, ``show``, ``ls`` and ``versions``."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.terminal_answers import run_in_terminal
from tests.client.model_files import write_model_file
from tests.client.model_folders import read_folder, write_model_folder

pytestmark = pytest.mark.slow

PART = "model-00001-of-00002.safetensors"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_model_folder(tmp_path / "source" / "tiny")


def write_parts(folder: Path, seed: int = 1) -> Path:
    """Write weights in two parts with their index, and return their folder."""
    parts = [PART, PART.replace("00001-", "00002-")]
    for part in parts:
        write_model_file(folder / part, seed=seed)
    index = {"metadata": {}, "weight_map": {str(number): part for number, part in enumerate(parts)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def read_command(text: str, remedy: str) -> list[str]:
    """Return the words after ``modelyard`` of the command of a remedy that a text contains."""
    line = next(line for line in text.splitlines() if remedy in line)
    return shlex.split(line.partition(": modelyard ")[2])


def test_pushed_folder_is_listed_shown_pulled_and_replaced(signed_in: Command, tiny: Path, tmp_path: Path) -> None:
    (tiny / ".gitattributes").write_text("x")
    first = read_folder(tiny)
    pushed = signed_in("push", tiny, "--as-folder", "--tag", "pipeline")
    assert pushed.code == 0, pushed.err
    assert pushed.out.startswith("registered  models/diffusers/tiny  1.19 kB, 4 files")
    assert "Left out: .gitattributes (hidden)." in pushed.err

    write_model_file(tiny / "vae" / "model.safetensors")
    replaced = signed_in("push", tiny, "--as-folder", "--to", "tiny", "--note", "With its VAE.", "--json")
    document = json.loads(replaced.out)["files"][0]
    assert (document["outcome"], document["version"], document["model"]["file_count"]) == ("new version", 2, 5)
    assert document["left_out"] == [{"path": ".gitattributes", "reason": "hidden"}]

    assert "5 files" in signed_in("ls").out
    assert (
        signed_in("ls", "--columns", "path,files", "--format", "csv").out.splitlines()[1] == "models/diffusers/tiny,5"
    )
    assert re.search(r"^folder +5 files$", signed_in("show", "tiny").out, re.MULTILINE)
    versions = signed_in("version", "ls", "tiny").out
    assert "1.19 kB, 4 files" in versions
    assert "5 files" in versions

    pulled = signed_in("pull", "tiny", "-o", tmp_path / "new", "--tree")
    target = tmp_path / "new" / "diffusers" / "tiny"
    assert pulled.out.startswith(f"pulled  {target}  ")
    del first[".gitattributes"]
    assert read_folder(target) == first | {"vae/model.safetensors": (tiny / "vae" / "model.safetensors").read_bytes()}
    refused = signed_in("pull", "tiny@1", "-o", tmp_path / "new", "--tree")
    assert (refused.code, "--force" in refused.err) == (4, True)
    assert signed_in("pull", "tiny@1", "-o", tmp_path / "new", "--tree", "--force").code == 0
    assert read_folder(target) == first

    (target / "unet" / "config.json").write_text("of the user")
    kept = signed_in("pull", "tiny@1", "-o", tmp_path / "new", "--tree", "--force", "--json")
    (beside,) = target.parent.glob("tiny.*.replaced")
    assert f'It is kept: "{beside}"' in kept.err
    assert json.loads(kept.out)["files"][0]["kept"] == str(beside)
    assert (beside / "unet" / "config.json").read_text() == "of the user"


def test_push_as_folder_over_other_content_exits_4_and_replace_uploads_version(signed_in: Command, tiny: Path) -> None:
    assert signed_in("push", tiny, "--as-folder").code == 0
    (tiny / "tokenizer" / "merges.txt").write_text("other")
    refused = signed_in("push", tiny, "--as-folder")
    assert refused.code == 4
    assert "A model with other content is at 'models/diffusers/tiny'" in refused.err
    dry = signed_in("push", tiny, "--as-folder", "--replace", "--dry-run")
    assert dry.out.startswith(f"would upload version 2  {tiny}  as models/diffusers/tiny")
    replaced = signed_in("push", tiny, "--as-folder", "--replace")
    assert replaced.out.startswith("new version  models/diffusers/tiny")


def test_push_as_folder_with_code_exits_2_and_sends_nothing(signed_in: Command, tiny: Path) -> None:
    (tiny / "unet" / "modeling.py").write_text("import os")
    refused = signed_in("push", tiny, "--as-folder")
    assert refused.code == 2
    assert "'unet/modeling.py' is code" in refused.err
    assert signed_in("ls", "-q").out == ""


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_push_of_tree_with_pipeline_exits_2_with_its_command_and_takes_the_other_files(
    signed_in: Command, tiny: Path, options: tuple[str, ...]
) -> None:
    write_model_file(tiny.parent / "ink.safetensors")
    pushed = signed_in("push", tiny.parent, "--type", "loras", *options)
    assert pushed.code == 2
    assert f'"{tiny}" is one model of several files' in pushed.err
    assert "--replace" not in pushed.err
    assert "ink.safetensors" in pushed.out
    assert "unet" not in pushed.out
    command = read_command(pushed.err, "Push it as one")
    assert command == ["push", str(tiny), *options, "--as-folder", "--type", "diffusers"]
    assert signed_in(*command).code == 0


def test_push_of_pipeline_to_model_exits_2_and_names_the_option(signed_in: Command, tiny: Path, ink: Path) -> None:
    assert signed_in("push", ink, "--type", "loras").code == 0
    refused = signed_in("push", tiny, "--to", "ink")
    assert refused.code == 2
    assert read_command(refused.err, "Push it as one") == ["push", str(tiny), "--to", "ink", "--as-folder"]


@pytest.mark.parametrize("options", [("--path", "models/diffusers/sdxl"), ("--name", "Base"), ("--to", "base")])
def test_push_of_pipeline_with_single_file_for_one_file_exits_2_with_the_command_that_pushes_the_folder(
    signed_in: Command, tiny: Path, options: tuple[str, ...]
) -> None:
    assert signed_in("push", tiny, "--as-folder", "--path", "models/diffusers/base").code == 0
    write_model_file(tiny / "sd_xl_base_1.0.safetensors")
    refused = signed_in("push", tiny, *options)
    assert (refused.code, refused.out) == (2, "")
    command = read_command(refused.err, "Push it as one")
    again = signed_in(*command, *(["--replace"] if "--to" in options else []))
    assert (again.code, "5 files" in again.out) == (0, True), again.err


def test_push_of_folder_with_parts_and_another_file_sends_no_part_and_its_command_pushes_the_folder(
    signed_in: Command, tmp_path: Path
) -> None:
    folder = write_parts(tmp_path / "qwen")
    write_model_file(folder / "optimizer.safetensors", seed=3)
    pushed = signed_in("push", folder, "--type", "LLM")
    assert pushed.code == 2
    assert f'"{folder}" has parts of a model' in pushed.err
    assert signed_in("ls", "--columns", "path", "--format", "csv").out.split() == [
        "path",
        "models/LLM/optimizer.safetensors",
    ]
    again = signed_in(*read_command(pushed.err, "Push it as one"))
    assert (again.code, "models/LLM/qwen " in again.out) == (0, True), again.err


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


def test_push_as_folder_of_file_or_of_unknown_type_exits_2(signed_in: Command, tiny: Path, ink: Path) -> None:
    assert "exactly one folder" in signed_in("push", ink, "--as-folder").err
    assert "exactly one folder" in signed_in("push", tiny, tiny, "--as-folder").err
    refused = signed_in("push", tiny / "unet", "--as-folder")
    assert (refused.code, "--type" in refused.err) == (2, True)


def test_collection_add_of_several_names_the_one_that_is_a_folder(signed_in: Command, tiny: Path, ink: Path) -> None:
    assert signed_in("push", tiny, "--as-folder").code == 0
    assert signed_in("push", ink).code == 0
    refused = signed_in("collection", "create", "Winter", "ink", "tiny")
    assert refused.code == 4
    assert "'models/diffusers/tiny' is a folder, which a collection cannot have yet" in refused.err


def test_push_file_to_folder_model_is_refused_before_it_is_sent(signed_in: Command, tiny: Path, ink: Path) -> None:
    assert signed_in("push", tiny, "--as-folder").code == 0
    refused = signed_in("push", ink, "--to", "tiny")
    assert refused.code == 2
    assert "'models/diffusers/tiny' is a folder" in refused.err
