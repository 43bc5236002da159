"""Models of many files: ``push --as-folder``, ``pull``, ``show``, ``ls`` and ``versions``."""

import json
import os
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Command, read_command
from tests.client.model_files import write_model_file
from tests.client.model_folders import read_folder, write_model_folder, write_parts

pytestmark = pytest.mark.slow


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_model_folder(tmp_path / "source" / "tiny")


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


def test_push_of_pipeline_to_model_exits_2_with_the_command_that_pushes_the_folder(
    signed_in: Command, tiny: Path, ink: Path
) -> None:
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


def test_sync_places_replaces_and_removes_folders_as_agents_do(signed_in: Command, tiny: Path, folder: Path) -> None:
    placed = folder / "diffusers" / "tiny"
    assert signed_in("push", tiny, "--as-folder").code == 0
    dry = signed_in("sync", folder, "--dry-run")
    assert (dry.code, "fetch    diffusers/tiny" in dry.err, placed.exists()) == (0, True, False)
    assert signed_in("sync", folder).code == 0
    assert read_folder(placed) == read_folder(tiny)

    write_model_file(tiny / "vae" / "model.safetensors")
    assert signed_in("push", tiny, "--as-folder", "--to", "tiny").code == 0
    assert signed_in("sync", folder).code == 0
    assert read_folder(placed) == read_folder(tiny)

    (placed / "notes.txt").write_text("mine")
    assert signed_in("disable", "tiny").code == 0
    kept = signed_in("sync", folder)
    assert (kept.code, "notes.txt" in kept.out + kept.err, placed.exists()) == (1, True, True)
    (placed / "notes.txt").unlink()
    assert signed_in("sync", folder).code == 0
    assert not placed.exists()


def test_sync_over_a_users_folder_names_it_and_exits_1(signed_in: Command, tiny: Path, folder: Path) -> None:
    assert signed_in("push", tiny, "--as-folder").code == 0
    mine = folder / "diffusers" / "tiny" / "model_index.json"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    ran = signed_in("sync", folder)
    assert (ran.code, "diffusers/tiny" in ran.out + ran.err) == (1, True)
    assert mine.read_text() == "mine"


def test_sync_with_the_key_of_a_machine_places_folders(
    as_agent: Command, tiny: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert as_agent("push", tiny, "--as-folder").code == 0
    monkeypatch.setenv("MODELYARD_TOKEN", os.environ["MODELYARD_AGENT_KEY"])
    ran = as_agent("sync", folder)
    assert ran.code == 0, ran.err
    assert read_folder(folder / "diffusers" / "tiny") == read_folder(tiny)
