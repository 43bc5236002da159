"""``pull -o``: the name of a model file is a file, anything else a folder."""

import shlex
from pathlib import Path

import pytest

from modelyard.cli.terminal.formatting import quote_word
from tests.cli.conftest import Command


def test_pull_one_model_to_a_new_file_name_writes_that_file(pushed: Command, tmp_path: Path) -> None:
    target = tmp_path / "new" / "old-ink.safetensors"
    ran = pushed("pull", "ink@1", "-o", target, "-q")
    assert (ran.code, ran.out) == (0, f"{target}\n")
    assert target.read_bytes() == (tmp_path / "pushed" / "loras" / "ink.safetensors").read_bytes()


def test_pull_to_another_existing_file_refuses_it_without_force(pushed: Command, tmp_path: Path) -> None:
    target = tmp_path / "old-ink.safetensors"
    target.write_bytes(b"other")
    assert pushed("pull", "ink", "-o", target).code == 4
    assert target.read_bytes() == b"other"
    assert pushed("pull", "ink", "-o", target, "--force").code == 0
    assert target.stat().st_size > 1000


@pytest.mark.parametrize("ending", ["", "/"])
def test_pull_to_existing_folder_or_name_with_slash_places_the_file_below(
    pushed: Command, tmp_path: Path, ending: str
) -> None:
    folder = tmp_path / "folder.safetensors"
    if not ending:
        folder.mkdir()
    ran = pushed("pull", "ink", "-o", f"{folder}{ending}", "-q")
    assert ran.out == f"{folder / 'ink.safetensors'}\n"


@pytest.mark.parametrize("arguments", [("ink", "loras/ink.safetensors"), ("ink", "--tree")])
def test_pull_several_models_or_a_tree_to_a_file_name_exits_2_with_the_folder_to_use(
    pushed: Command, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    ran = pushed("pull", *arguments, "-o", tmp_path / "new.safetensors")
    assert ran.code == 2
    assert f"-o {quote_word(f'{tmp_path}/new.safetensors/')}" in ran.err.replace("\n", " ")
    assert not (tmp_path / "new.safetensors").exists()


def test_pull_to_a_file_name_of_another_format_is_refused_with_the_right_name(pushed: Command, tmp_path: Path) -> None:
    ran = pushed("pull", "ink", "-o", tmp_path / "old ink.ckpt")
    assert ran.code == 2
    assert "is safetensors, but the extension '.ckpt' stands for pickle" in ran.err
    assert not [*tmp_path.glob("old ink*")]
    words = shlex.split(ran.err.splitlines()[1].partition("modelyard ")[2])
    assert words == ["pull", "ink", "--output", str(tmp_path / "old ink.safetensors")]
    assert pushed(*words).code == 0
    assert (tmp_path / "old ink.safetensors").is_file()
