"""Which requests are about the same push of a file."""

from collections.abc import Hashable
from pathlib import Path

import pytest

from modelyard.agent.local_api.push_requests import build_push_key, build_push_request
from modelyard.agent.local_api.shapes import FilePush
from modelyard.comfyui.layout import Install

FILE = FilePush(folder="loras", path="sub/ink.safetensors")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder with a file."""
    (tmp_path / "loras/sub").mkdir(parents=True)
    (tmp_path / "loras/sub/ink.safetensors").write_bytes(b"before")
    return tmp_path


def build_key(models: Path, push: FilePush) -> Hashable:
    return build_push_key(build_push_request(push, [Install(models, ())]))


@pytest.mark.parametrize(
    "same",
    [
        pytest.param(FILE.model_copy(update={"path": "sub\\ink.safetensors"}), id="slashes"),
        pytest.param(FILE.model_copy(update={"note": "for Monday"}), id="note"),
    ],
)
def test_key_of_the_same_file_is_the_same(models: Path, same: FilePush) -> None:
    assert build_key(models, same) == build_key(models, FILE)


def test_key_with_replace_differs(models: Path) -> None:
    assert build_key(models, FILE.model_copy(update={"replace": True})) != build_key(models, FILE)


def test_key_of_changed_content_differs(models: Path) -> None:
    before = build_key(models, FILE)
    (models / "loras/sub/ink.safetensors").write_bytes(b"changed")
    assert build_key(models, FILE) != before
