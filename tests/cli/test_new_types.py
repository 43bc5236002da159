"""Types that are new to the team: asked about on a terminal, refused in scripts without ``--new-type``."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.terminal_answers import run_in_terminal
from tests.client.model_files import write_model_file

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


def test_edit_to_new_type_in_script_exits_2_unless_new_type(signed_in: Command, process: Command, file: Path) -> None:
    signed_in("push", file, "--type", "loras")
    assert process("edit", "ink", "--type", "our_masks").code == 2
    assert signed_in("edit", "ink", "--type", "Lora").code == 4
    assert signed_in("edit", "ink", "--type", "our_masks", "--new-type").code == 0
    assert "our_masks/ink.safetensors" in signed_in("ls").out
