"""Push the next version of a model, and what has been a version of it before."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.terminal_answers import run_in_terminal
from tests.cli.versions.conftest import Files, list_versions
from tests.client.model_files import write_model_file
from tests.server.inspection.test_pickles import CLEAN_FILES

pytestmark = pytest.mark.slow


def test_push_to_model_uploads_next_version_and_keeps_name_and_path(
    signed_in: Command, files: Files, tmp_path: Path
) -> None:
    signed_in("push", files[0], "--name", "Ink 1")
    trained = write_model_file(tmp_path / "epoch-20.safetensors", seed=9)
    ran = signed_in("push", trained, "--to", "Ink 1", "--json")
    (done,) = json.loads(ran.out)["files"]
    assert (ran.code, done["outcome"], done["version"]) == (0, "new version", 2)
    assert (done["model"]["display_name"], done["model"]["model_path"]) == ("Ink 1", "models/loras/ink.safetensors")


def test_push_of_version_as_large_as_the_first_needs_its_size_once_in_the_quota(
    signed_in: Command, files: Files
) -> None:
    sizes = [file.stat().st_size for file in files[:2]]
    assert sizes[0] == sizes[1]
    assert signed_in("push", files[0]).code == 0
    assert signed_in("team", "settings", "--quota", sum(sizes)).code == 0
    ran = signed_in("push", files[1], "--to", "ink")
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("options", [("--path", "models/loras/x.safetensors"), ("--type", "vae"), ("more",)])
def test_push_to_model_with_path_type_or_second_file_exits_2(
    signed_in: Command, files: Files, options: tuple[str, ...]
) -> None:
    signed_in("push", files[0])
    extra = [files[2] if option == "more" else option for option in options]
    assert signed_in("push", files[1], *extra, "--to", "ink").code == 2
    assert list_versions(signed_in) == [(1, "current")]


def test_push_other_content_without_terminal_exits_4_unless_replace(
    signed_in: Command, process: Command, files: Files
) -> None:
    signed_in("push", files[0])
    refused = process("push", files[1])
    assert refused.code == 4
    assert f"modelyard push {files[1]} --replace" in refused.err
    replaced = process("push", files[1], "--replace")
    assert replaced.code == 0, replaced.err
    assert replaced.out.startswith("new version  models/loras/ink.safetensors  ")
    assert ", version 2  " in replaced.out


@pytest.mark.parametrize("number", [0, 1], ids=["the same content", "the next version"])
def test_push_other_spelling_of_path_says_that_the_model_keeps_its_own(
    signed_in: Command, files: Files, number: int
) -> None:
    signed_in("push", files[0])
    ran = signed_in("push", files[number], "--path", "models/loras/INK.safetensors", "--replace", "--json")
    kept, sent = "models/loras/ink.safetensors", "models/loras/INK.safetensors"
    [done] = json.loads(ran.out)["files"]
    assert done["ignored"] == [{"field": "model_path", "sent": sent, "kept": kept}]
    assert f'The model keeps its path "{kept}", so "{sent}" was not used.' in ran.err
    assert f"modelyard edit loras/ink.safetensors --path {sent}" in ran.err


def test_push_same_content_to_other_spelling_of_type_suggests_a_command_that_succeeds(
    signed_in: Command, files: Files
) -> None:
    assert signed_in("push", files[0], "--path", "models/Styles/ink.safetensors", "--new-type").code == 0
    ran = signed_in("push", files[0], "--path", "models/styles/ink.safetensors", "--new-type")
    [command] = re.findall(r"To change it: modelyard (.*)", ran.err)
    edited = signed_in(*shlex.split(command))
    assert edited.code == 0, edited.err
    assert json.loads(signed_in("show", "ink", "--json").out)["model_path"] == "models/styles/ink.safetensors"


def test_push_same_content_to_other_case_of_a_type_of_comfyui_suggests_the_path_below_its_name(
    signed_in: Command, files: Files
) -> None:
    assert signed_in("push", files[0], "--path", "models/loras/ink.safetensors").code == 0
    ran = signed_in("push", files[0], "--path", "LORAS/INK.safetensors", "--new-type")
    [command] = re.findall(r"To change it: modelyard (.*)", ran.err)
    edited = signed_in(*shlex.split(command))
    assert edited.code == 0, edited.err
    assert json.loads(signed_in("show", "ink", "--json").out)["model_path"] == "loras/INK.safetensors"


@pytest.mark.parametrize(("answer", "code", "count"), [("y", 0, 2), ("n", 4, 1)])
def test_push_other_content_in_terminal_asks_and_uploads_only_after_yes(
    signed_in: Command, files: Files, answer: str, code: int, count: int
) -> None:
    signed_in("push", files[0])
    other = write_model_file(files[1].with_name("other.safetensors"), 2000)
    ran = run_in_terminal("push", files[1], other, typed=answer)
    assert ran.returncode == code, ran.stderr
    assert "Upload ink.safetensors as version 2 of models/loras/ink.safetensors?" in ran.stderr
    assert ("Upload yours as its next version" in ran.stderr) == (answer == "n")
    assert len(list_versions(signed_in)) == count
    assert len(signed_in("ls", "-q").out.splitlines()) == 2


def test_push_same_content_suggests_each_tag_as_typed(pushed: Command, files: Files) -> None:
    ran = pushed("push", files[1], "--tag", "a, b", "--tag", "c")
    assert ran.err.endswith("To change it: modelyard edit loras/ink.safetensors --tag 'a, b' --tag c\n")


def test_push_same_content_with_other_note_and_details_says_what_is_not_used_and_how_to_set_it(
    pushed: Command, files: Files
) -> None:
    ran = pushed("push", files[1], "--note", "It's sharper", "--license", "MIT", "--tag", "a b", "--tag", "c")
    assert ran.out.startswith("already there ")
    assert f"{files[1]}: Version 2 keeps its note" in ran.err
    assert f'{files[1]}: The model is not changed and has no licence, so "MIT" was not used.' in ran.err
    commands = re.findall(r"To change it: modelyard (.*)", ran.err)
    assert len(commands) == 3
    for command in commands:
        assert pushed(*shlex.split(command)).code == 0
    shown = json.loads(pushed("show", "ink", "--json").out)
    assert (shown["license"], shown["tags"]) == ("MIT", ["a b", "c"])
    assert json.loads(pushed("version", "ls", "ink", "--json").out)["version_list"][0]["note"] == "It's sharper"
    again = pushed("push", files[1], "--note", "It's sharper", "--license", "MIT", "--tag", "c", "--tag", "a b")
    assert again.err == ""


def test_push_content_of_earlier_version_without_replace_offers_rollback(pushed: Command, files: Files) -> None:
    ran = pushed("push", files[0])
    assert ran.code == 4
    assert "This file is the same as its version 1." in ran.err
    command = next(line for line in ran.err.splitlines() if "modelyard rollback" in line)
    assert pushed(*command.partition("modelyard ")[2].split()).code == 0
    assert list_versions(pushed) == [(2, "replaced"), (1, "current")]


def test_push_content_of_earlier_version_in_terminal_asks_with_rollback_command(pushed: Command, files: Files) -> None:
    ran = run_in_terminal("push", files[0], typed="n")
    assert ran.returncode == 4
    command = "modelyard rollback loras/ink.safetensors --to 1"
    assert f"ink.safetensors is the same as version 1. To go back to that one: {command}" in ran.stderr
    assert list_versions(pushed) == [(2, "current"), (1, "replaced")]


@pytest.mark.parametrize(
    ("option", "start"), [((), "would be refused"), (("--replace",), "would make version 3 (the same as version 1)")]
)
def test_dry_run_of_content_of_earlier_version_has_the_command_that_goes_back_to_it(
    pushed: Command, files: Files, option: tuple[str, ...], start: str
) -> None:
    ran = pushed("push", files[0], *option, "--dry-run")
    assert ran.out.startswith(start)
    command = ran.out.partition("To go back to version 1 instead: modelyard ")[2].splitlines()[0]
    assert pushed(*command.split()).code == 0
    assert list_versions(pushed) == [(2, "replaced"), (1, "current")]
    # The newest version is not the current one now.
    again = pushed("push", files[1], "--dry-run")
    assert (again.code, "modelyard rollback loras/ink.safetensors --to 2" in again.out) == (4, True)


def test_push_content_of_earlier_version_with_replace_makes_a_version_and_says_which_it_equals(
    pushed: Command, files: Files
) -> None:
    dry = pushed("push", files[0], "--replace", "--dry-run")
    assert dry.out.startswith("would make version 3 (the same as version 1)  ")
    ran = pushed("push", files[0], "--replace")
    assert (ran.code, list_versions(pushed)[0]) == (0, (3, "current"))
    back, removal = re.findall(r"modelyard ((?:rollback|version rm) [^,\n]*)", ran.err)
    assert "Version 3 is the same as version 1." in ran.err
    assert pushed(*back.split()).code == 0
    assert pushed(*removal.split()).code == 0
    assert list_versions(pushed) == [(2, "replaced"), (1, "current")]


def test_push_of_refused_content_that_is_an_older_version_offers_rollback_first(
    signed_in: Command, tmp_path: Path
) -> None:
    """What is at the path comes before the checks of the content, of which the team's rule may have changed."""
    assert signed_in("team", "settings", "--pickle-policy", "scan").code == 0
    files = [tmp_path / f"{number}" / "checkpoints" / "ink.ckpt" for number in (1, 2)]
    for file, content in zip(files, (CLEAN_FILES["torch zip"], CLEAN_FILES["one tensor"]), strict=True):
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
        pushed = signed_in("push", file, "--replace")
        assert pushed.code == 0, pushed.err
    assert signed_in("rollback", "ink").code == 0
    assert signed_in("team", "settings", "--pickle-policy", "block").code == 0

    newest, other = signed_in("push", files[1]), tmp_path / "3" / "checkpoints" / "ink.ckpt"
    other.parent.mkdir(parents=True)
    other.write_bytes(CLEAN_FILES["torch zip"] + b" ")
    assert "modelyard rollback checkpoints/ink.ckpt --to 2" in newest.err
    assert "not current" in signed_in("push", files[1], "--dry-run").out
    assert "other content is at" in signed_in("push", other).err
    assert "other content is there" in signed_in("push", other, "--dry-run").out
    assert "This is a pickle file" in signed_in("push", other, "--replace").err
    assert "This is a pickle file" in signed_in("push", other, "--replace", "--dry-run").out


def test_push_newest_content_after_rollback_exits_4_with_command_that_makes_it_current(
    pushed: Command, files: Files
) -> None:
    pushed("rollback", "ink")
    ran = pushed("push", files[1], "--to", "ink")
    assert ran.code == 4
    command = next(line for line in ran.err.splitlines() if "modelyard rollback" in line)
    assert pushed(*command.partition("modelyard ")[2].split()).code == 0
    assert list_versions(pushed) == [(2, "current"), (1, "replaced")]
