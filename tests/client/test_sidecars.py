"""Files beside model files: which picture is found, which details are read, and what a push sends."""

import json
from pathlib import Path
from typing import Any

import pytest

from modelyard.client.api.registry import RegistryApi
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import Notes, PushRequest
from modelyard.client.transfers.dry_run import plan_push
from modelyard.client.transfers.push import Pusher, PushOptions
from modelyard.client.transfers.sidecars import (
    CIVITAI_INFO,
    LORA_MANAGER,
    PICTURE_SUFFIXES,
    find_sidecar_picture,
    read_sidecar_details,
)
from modelyard.wire.formats import MAX_PICTURE_BYTES
from tests.client.model_files import write_model_file
from tests.server.previews.drawings import HTML, make_png

HASH = "ab" * 32


def build_request(file: Path) -> PushRequest:
    return PushRequest(file, "loras", f"models/loras/{file.name}", None, Notes(), False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_model_file(tmp_path / "ink.v2.safetensors")


def write_sidecar(file: Path, suffix: str, document: Any) -> Path:
    sidecar = file.with_name(file.stem + suffix)
    sidecar.write_text(document if isinstance(document, str) else json.dumps(document))
    return sidecar


@pytest.mark.parametrize("suffix", PICTURE_SUFFIXES)
def test_find_sidecar_picture_of_each_name(file: Path, suffix: str) -> None:
    picture = file.with_name(f"ink.v2{suffix}")
    picture.write_bytes(make_png())
    assert find_sidecar_picture(file) == picture


def test_find_sidecar_picture_prefers_preview_and_ignores_other_stems(file: Path) -> None:
    for name in ("ink.png", "ink.v2.txt", "ink.v22.png", "other.preview.png"):
        file.with_name(name).write_bytes(make_png())
    assert find_sidecar_picture(file) is None
    for name in ("ink.v2.png", "ink.v2.preview.webp"):
        file.with_name(name).write_bytes(make_png())
    assert find_sidecar_picture(file) == file.with_name("ink.v2.preview.webp")


async def test_push_sends_picture_beside_the_file(pusher: Pusher, registry: RegistryApi, file: Path) -> None:
    picture = file.with_name("ink.v2.preview.png")
    picture.write_bytes(make_png())
    pushed = await pusher.push(build_request(file))
    assert pushed.picture is not None
    assert (pushed.picture.file, pushed.picture.error) == (picture, None)
    model = await registry.get_model(pushed.model.id)
    assert model.preview_url == pushed.model.preview_url
    assert model.preview_url is not None


async def test_push_again_keeps_the_preview_and_sends_nothing(
    pusher: Pusher, registry: RegistryApi, file: Path
) -> None:
    picture = file.with_name("ink.v2.png")
    picture.write_bytes(make_png("#111111"))
    first = await pusher.push(build_request(file))
    picture.write_bytes(make_png("#222222"))
    again = await pusher.push(build_request(file))
    assert (again.outcome, again.picture) == ("already there", None)
    assert again.model.preview_url == first.model.preview_url


async def test_push_model_that_is_there_without_preview_sends_picture(pusher: Pusher, file: Path) -> None:
    await pusher.push(build_request(file))
    file.with_name("ink.v2.jpg").write_bytes(make_png())
    again = await pusher.push(build_request(file))
    assert again.outcome == "already there"
    assert again.model.preview_url is not None


@pytest.mark.parametrize("content", [HTML, b"", b"\0" * (MAX_PICTURE_BYTES + 1)], ids=["html", "empty", "too large"])
async def test_push_with_picture_that_cannot_be_used_succeeds_and_says_why(
    pusher: Pusher, file: Path, content: bytes
) -> None:
    file.with_name("ink.v2.png").write_bytes(content)
    pushed = await pusher.push(build_request(file))
    assert pushed.model.verification == "verified"
    assert pushed.model.preview_url is None
    assert pushed.picture is not None
    assert pushed.picture.error


async def test_push_without_sidecars_sends_no_picture(
    registry: RegistryApi, settings: ClientSettings, file: Path
) -> None:
    file.with_name("ink.v2.png").write_bytes(make_png())
    pushed = await Pusher(registry, settings, lambda _: None, PushOptions(sidecars=False)).push(build_request(file))
    assert (pushed.picture, pushed.model.preview_url) == (None, None)


async def test_dry_run_names_the_picture_and_sends_nothing(
    registry: RegistryApi, settings: ClientSettings, file: Path
) -> None:
    picture = file.with_name("ink.v2.png")
    picture.write_bytes(make_png())
    [plan] = (await plan_push(registry, settings, [build_request(file)])).entries
    assert (plan.action, plan.picture) == ("push", picture)
    [plan] = (await plan_push(registry, settings, [build_request(file)], sidecars=False)).entries
    assert plan.picture is None


def test_find_sidecars_of_5000_models_lists_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work for each file does not grow with the files beside it."""
    for number in range(5_000):
        (tmp_path / f"{number}.safetensors").touch()
        (tmp_path / f"{number}.png").touch()

    def fail(*_: object) -> None:
        raise AssertionError("A folder was listed.")

    for name in ("iterdir", "glob", "rglob"):
        monkeypatch.setattr(Path, name, fail)
    assert all(find_sidecar_picture(tmp_path / f"{number}.safetensors") for number in range(5_000))


async def test_push_sends_base_model_and_trigger_words_beside_the_file(
    pusher: Pusher, registry: RegistryApi, settings: ClientSettings, file: Path
) -> None:
    sidecar = write_sidecar(file, CIVITAI_INFO, {"baseModel": "Pony", "trainedWords": ["inkwash"]})
    [plan] = (await plan_push(registry, settings, [build_request(file)])).entries
    assert plan.sidecar == sidecar
    pushed = await pusher.push(build_request(file))
    assert pushed.sidecar == sidecar
    model = await registry.get_model(pushed.model.id)
    assert (model.base_model, model.base_source) == ("Pony", "sidecar")
    assert [(word.text, word.source) for word in model.trigger_words] == [("inkwash", "sidecar")]


async def test_push_ignores_details_of_another_file(pusher: Pusher, file: Path) -> None:
    write_sidecar(file, CIVITAI_INFO, {"baseModel": "Pony", "files": [{"hashes": {"SHA256": "cd" * 32}}]})
    pushed = await pusher.push(build_request(file))
    assert (pushed.sidecar, pushed.model.base_model) == (None, None)


async def test_push_of_too_many_and_too_long_trigger_words_sends_the_first_ones(pusher: Pusher, file: Path) -> None:
    write_sidecar(file, LORA_MANAGER, {"trainedWords": [f"word {number}" + "x" * 6_000 for number in range(300)]})
    pushed = await pusher.push(build_request(file))
    assert pushed.model.trigger_words


CIVITAI = {"baseModel": "Pony", "trainedWords": ["inkwash", " ink wash "], "files": [{"hashes": {"SHA256": HASH}}]}
MANAGER = {"base_model": "SDXL 1.0", "sha256": HASH, "civitai": {"trainedWords": ["from civitai"]}}


@pytest.mark.parametrize(
    ("suffix", "document", "expected"),
    [
        (CIVITAI_INFO, CIVITAI, ("Pony", ["inkwash", "ink wash"])),
        (
            CIVITAI_INFO,
            CIVITAI | {"files": [{"hashes": {"SHA256": HASH.upper()}}, {}]},
            ("Pony", ["inkwash", "ink wash"]),
        ),
        (CIVITAI_INFO, {"baseModel": "Pony"}, ("Pony", [])),
        (CIVITAI_INFO, CIVITAI | {"files": [{"hashes": {"SHA256": "cd" * 32}}]}, None),
        (CIVITAI_INFO, "{not json", None),
        (CIVITAI_INFO, "[" * 5_000, None),
        (CIVITAI_INFO, [1], None),
        (CIVITAI_INFO, {"baseModel": 5, "trainedWords": {"a": 1}, "files": "x"}, None),
        (CIVITAI_INFO, {"baseModel": "Other", "trainedWords": [5, "", "  "]}, None),
        (LORA_MANAGER, MANAGER, ("SDXL 1.0", ["from civitai"])),
        (LORA_MANAGER, MANAGER | {"trainedWords": ["own"]}, ("SDXL 1.0", ["own"])),
        (LORA_MANAGER, MANAGER | {"sha256": "cd" * 32}, None),
        (LORA_MANAGER, {"base_model": "Unknown", "sha256": ""}, None),
    ],
)
def test_read_sidecar_details(file: Path, suffix: str, document: Any, expected: tuple[str, list[str]] | None) -> None:
    """The forms are those that Civitai's API and ComfyUI-Lora-Manager write."""
    write_sidecar(file, suffix, document)
    details = read_sidecar_details(file, f"sha256:{HASH}")
    assert (details and (details.base_model, details.trigger_words)) == expected


def test_read_sidecar_details_takes_the_second_file_if_the_first_is_of_another_model(file: Path) -> None:
    write_sidecar(file, CIVITAI_INFO, CIVITAI | {"files": [{"hashes": {"SHA256": "cd" * 32}}]})
    write_sidecar(file, LORA_MANAGER, MANAGER)
    details = read_sidecar_details(file, f"sha256:{HASH}")
    assert details is not None
    assert details.base_model == "SDXL 1.0"
