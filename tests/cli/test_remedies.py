"""Remedies have the words of the command, so that they can be pasted as they stand."""

import re
import shlex
from pathlib import Path

from tests.cli.conftest import Command
from tests.client.model_files import write_model_file


def test_remedies_name_the_model_that_was_typed(pushed: Command) -> None:
    ran = pushed("rollback", "ink", "--to", 7)
    assert ran.code == 4
    commands = re.findall(r"modelyard (.*)", ran.err)
    assert commands == ["version ls ink", "version ls ink --deleted"]
    for command in commands:
        assert pushed(*shlex.split(command)).code == 0


def test_remedies_of_pull_leave_out_the_version(pushed: Command, tmp_path: Path) -> None:
    (tmp_path / "ink.safetensors").write_bytes(b"other")
    ran = pushed("pull", "ink@1", "-o", tmp_path)
    assert "modelyard pull --force ink\n" in ran.err


def test_remedies_of_a_push_name_each_file(pushed: Command, tmp_path: Path) -> None:
    folder = tmp_path / "my models" / "loras"
    write_model_file(folder / "ink.safetensors", seed=7)
    write_model_file(folder / "moss.safetensors", seed=8)
    ran = pushed("push", folder)
    command = next(line for line in ran.err.splitlines() if "push --replace" in line).partition("modelyard ")[2]
    assert shlex.split(command)[-1] == str(folder / "ink.safetensors")
    assert pushed(*shlex.split(command)).code == 0


def test_remedies_keep_placeholders_of_several_values(pushed: Command) -> None:
    ran = pushed("edit", "nothing", "--name", "x")
    assert "List the models: modelyard ls\n" in ran.err
