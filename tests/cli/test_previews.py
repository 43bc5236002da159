"""The commands about pictures: pushed beside files, set, downloaded, removed."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.client.model_files import write_model_file
from tests.server.previews.drawings import HTML, make_png, open_picture

pytestmark = pytest.mark.slow


@pytest.fixture
def pushed(signed_in: Command, tmp_path: Path) -> Command:
    """The program, after a model without a picture was pushed."""
    assert signed_in("push", write_model_file(tmp_path / "loras" / "ink.safetensors")).code == 0
    return signed_in


def write_picture(tmp_path: Path, name: str = "picture.png", content: bytes | None = None) -> Path:
    file = tmp_path / name
    file.write_bytes(make_png() if content is None else content)
    return file


def test_preview_set_get_and_rm(pushed: Command, tmp_path: Path) -> None:
    ran = pushed("preview", "set", "ink", write_picture(tmp_path))
    assert (ran.code, ran.out) == (0, "Set the preview of version 1 of models/loras/ink.safetensors\n")
    for name, format_name in (("a.png", "PNG"), ("a.webp", "WEBP")):
        assert pushed("preview", "get", "ink@1", tmp_path / name).code == 0
        assert open_picture((tmp_path / name).read_bytes()).format == format_name
    assert pushed("preview", "rm", "ink").code == 0
    missing = pushed("preview", "get", "ink", tmp_path / "b.png")
    assert missing.code != 0
    assert "has no preview" in missing.err
    assert not (tmp_path / "b.png").exists()


def test_preview_get_keeps_a_file_that_is_there_unless_replace(pushed: Command, tmp_path: Path) -> None:
    pushed("preview", "set", "ink", write_picture(tmp_path))
    mine = write_picture(tmp_path, "mine.png", b"mine")
    assert pushed("preview", "get", "ink", mine).code != 0
    assert mine.read_bytes() == b"mine"
    assert pushed("preview", "get", "ink", mine, "--replace").code == 0
    assert mine.read_bytes() != b"mine"


def test_preview_set_of_no_picture_says_what_to_send(pushed: Command, tmp_path: Path) -> None:
    ran = pushed("preview", "set", "ink", write_picture(tmp_path, "a.png", HTML))
    assert ran.code == 4
    assert "JPEG, PNG, WebP, GIF or AVIF" in ran.err


def test_push_prints_and_reports_the_picture(signed_in: Command, tmp_path: Path) -> None:
    file = write_model_file(tmp_path / "loras" / "moss.safetensors", seed=2)
    write_picture(file.parent, "moss.preview.png")
    dry = signed_in("push", file, "--dry-run")
    assert " with moss.preview.png" in dry.out
    document = json.loads(signed_in("push", file, "--json").out)["files"][0]
    assert document["preview"] == {"file": str(file.with_name("moss.preview.png")), "error": None}
    assert document["model"]["preview_url"]


def test_push_with_unusable_picture_warns_and_succeeds(signed_in: Command, tmp_path: Path) -> None:
    file = write_model_file(tmp_path / "loras" / "fern.safetensors", seed=3)
    write_picture(file.parent, "fern.png", HTML)
    ran = signed_in("push", file)
    assert ran.code == 0
    assert "fern.png: not used as the preview" in ran.err


def test_push_no_sidecars_sends_no_picture(signed_in: Command, tmp_path: Path) -> None:
    file = write_model_file(tmp_path / "loras" / "reed.safetensors", seed=4)
    write_picture(file.parent, "reed.png")
    document = json.loads(signed_in("push", file, "--json", "--no-sidecars").out)["files"][0]
    assert document["preview"] is None
    assert document["model"]["preview_url"] is None
