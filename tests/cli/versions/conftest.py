"""Fixtures of the tests of versions: a model with two of them, and a third file."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.client.model_files import write_model_file

Files = list[Path]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Three files with one name and different content."""
    return [write_model_file(tmp_path / f"{number}" / "loras" / "ink.safetensors", seed=number) for number in (1, 2, 3)]


@pytest.fixture
def pushed(signed_in: Command, files: Files) -> Command:
    """The program, after two versions of one model were pushed."""
    assert signed_in("push", files[0], "--note", "First try.").code == 0
    ran = signed_in("push", files[1], "--to", "ink", "--note", "Better\nhands.")
    assert ran.code == 0, ran.err
    return signed_in


def list_versions(command: Command, *options: str) -> list[tuple[int, str]]:
    document = json.loads(command("version", "ls", "ink", "--json", *options).out)
    return [(each["version"], each["version_status"]) for each in document["version_list"]]
