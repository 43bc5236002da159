"""Types that are new to the team: asked about on a terminal, refused in scripts without ``--new-type``."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.terminal_answers import run_in_terminal
from tests.client.model_files import write_model_file
from tests.client.model_folders import write_model_folder

pytestmark = pytest.mark.slow


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_model_file(tmp_path / "ink.safetensors")


def test_push_new_type_in_script_exits_2_unless_new_type(signed_in: Command, process: Command, file: Path) -> None:
    refused = process("push", file, "--type", "our_masks")
    assert refused.code == 2
    assert "--new-type" in refused.err
    assert signed_in("ls", "-q").out == ""
    assert signed_in("push", file, "--type", "our_masks", "--new-type").code == 0


def test_push_type_that_a_model_of_the_team_has_is_not_asked_about(
    signed_in: Command, process: Command, file: Path
) -> None:
    signed_in("push", file, "--type", "our_masks", "--new-type")
    other = write_model_file(file.with_name("sketch.safetensors"), 2000)
    assert process("push", other, "--type", "our_masks").code == 0


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1)])
def test_push_new_type_in_terminal_asks_first(signed_in: Command, file: Path, answer: str, code: int) -> None:
    ran = run_in_terminal("push", str(file), "--type", "our_masks", typed=answer)
    assert ran.returncode == code, ran.stderr
    assert "'our_masks'" in ran.stderr
    assert (signed_in("ls", "-q").out != "") == (answer == "y")


@pytest.mark.parametrize(("model_type", "known"), [("lora", "loras"), ("vea", "vae")])
def test_push_near_miss_of_known_type_exits_4_and_suggests_it(
    signed_in: Command, file: Path, model_type: str, known: str
) -> None:
    refused = signed_in("push", file, "--type", model_type)
    assert refused.code == 4
    assert f"--type {known}" in refused.err


@pytest.mark.parametrize("typed_type", [(), ("--type", "lora")])
def test_push_near_miss_in_typed_path_suggests_the_path_that_works(
    signed_in: Command, file: Path, typed_type: tuple[str, ...]
) -> None:
    refused = signed_in("push", file, "--path", "models/lora/team/ink.safetensors", *typed_type)
    assert refused.code == 4
    command = refused.err.partition("Use the known type: modelyard ")[2].splitlines()[0].split()
    assert signed_in(*command).code == 0
    assert "loras/team/ink.safetensors" in signed_in("ls").out


def test_dry_run_of_near_miss_of_known_type_is_refused_as_a_push(signed_in: Command, file: Path) -> None:
    dry = signed_in("push", file, "--type", "lora", "--dry-run", "--json")
    refused = signed_in("push", file, "--type", "lora", "--json")
    assert (dry.code, refused.code) == (4, 4)
    (plan,) = json.loads(dry.out)["plan"]
    assert plan["action"] == "be refused (unknown type)"
    for reason in (plan["reason"], json.loads(refused.out)["files"][0]["error"]["detail"]):
        assert "Did you mean 'loras'?" in reason


def test_dry_run_of_folder_with_near_miss_of_known_type_is_refused(signed_in: Command, tmp_path: Path) -> None:
    folder = write_model_folder(tmp_path / "tiny")
    dry = signed_in("push", folder, "--as-folder", "--type", "lora", "--dry-run")
    assert dry.code == 4
    assert "be refused (unknown type)" in dry.out


@pytest.mark.parametrize("as_folder", [False, True])
def test_dry_run_of_new_type_in_script_exits_2_unless_new_type(
    signed_in: Command, process: Command, tmp_path: Path, as_folder: bool
) -> None:
    pushed: tuple[object, ...] = (write_model_file(tmp_path / "ink.safetensors"),)
    if as_folder:
        pushed = (write_model_folder(tmp_path / "tiny"), "--as-folder")
    refused = process("push", *pushed, "--type", "our_masks", "--dry-run")
    assert (refused.code, "--new-type" in refused.err) == (2, True)
    assert signed_in("push", *pushed, "--type", "our_masks", "--dry-run", "--new-type").code == 0


def test_dry_run_of_new_type_in_terminal_asks_nothing_and_says_that_a_push_does(signed_in: Command, file: Path) -> None:
    ran = run_in_terminal("push", str(file), "--type", "our_masks", "--dry-run", typed="")
    assert ran.returncode == 0, ran.stderr
    assert "It would be asked first." in ran.stderr


def test_edit_to_new_type_in_script_exits_2_unless_new_type(signed_in: Command, process: Command, file: Path) -> None:
    signed_in("push", file, "--type", "loras")
    assert process("edit", "ink", "--type", "our_masks").code == 2
    assert signed_in("edit", "ink", "--type", "Lora").code == 4
    assert signed_in("edit", "ink", "--type", "our_masks", "--new-type").code == 0
    assert "our_masks/ink.safetensors" in signed_in("ls").out
