"""Names of base models in the command line: which of them bring a warning."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.test_models import write_lora
from tests.client.model_files import write_model_file

pytestmark = pytest.mark.slow


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_model_file(tmp_path / "loras" / "ink.safetensors")


def test_push_near_miss_of_a_base_model_warns_and_keeps_it(signed_in: Command, file: Path) -> None:
    pushed = signed_in("push", file, "--base-model", "sdxl", "--json")
    assert pushed.code == 0, pushed.err
    assert "Did you mean 'SDXL 1.0'?" in pushed.err
    assert json.loads(pushed.out)["files"][0]["model"]["base_model"] == "sdxl"


def test_edit_near_miss_of_a_base_model_warns_also_with_quiet(signed_in: Command, file: Path) -> None:
    signed_in("push", file)
    edited = signed_in("edit", "ink", "--base-model", "Illustrius", "--quiet")
    assert edited.code == 0, edited.err
    assert "Did you mean 'Illustrious'?" in edited.err
    assert json.loads(signed_in("show", "ink", "--json").out)["base_model"] == "Illustrius"


@pytest.mark.parametrize("name", ["Pony", "Our own base", ""])
def test_edit_known_or_new_base_model_does_not_warn(signed_in: Command, file: Path, name: str) -> None:
    signed_in("push", file, "--base-model", "Chroma")
    edited = signed_in("edit", "ink", "--base-model", name)
    assert (edited.code, edited.err) == (0, "")


def test_ls_marks_claimed_base_models_and_guessed_trigger_words(signed_in: Command, tmp_path: Path) -> None:
    signed_in("push", write_lora(tmp_path / "loras" / "claimed.safetensors"))
    signed_in("push", write_lora(tmp_path / "loras" / "told.safetensors"))
    signed_in("edit", "told", "--base-model", "Pony", "--trigger-words", "inkwsh")
    columns = ("ls", "--columns", "name,base,base-source,trigger")
    rows = [line.split() for line in signed_in(*columns).out.splitlines()[1:]]
    assert sorted(rows) == [["claimed", "Pony?", "metadata", "inkwsh?"], ["told", "Pony", "person", "inkwsh"]]
    lines = signed_in(*columns, "--format", "csv").out.splitlines()
    assert "claimed,Pony,metadata,inkwsh" in lines
