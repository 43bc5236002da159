"""Files beside model files: which picture is found, which details are read, and what a push sends."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from modelyard.client.api.registry import RegistryApi
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import ModelOverrides, Notes, PushRequest, select_files
from modelyard.client.transfers.dry_run import plan_push
from modelyard.client.transfers.push import Pusher, PushOptions
from modelyard.client.transfers.sidecars import (
    CIVITAI_INFO,
    LORA_MANAGER,
    SidecarDetails,
    find_sidecar_picture,
    read_sidecar_details,
)
from modelyard.wire.formats import MAX_PICTURE_BYTES
from tests.client.model_files import write_model_file
from tests.server.previews.drawings import HTML, make_png

# The page's tests read the same file: web/tests/upload-sidecars.spec.ts.
CASES = json.loads(Path(__file__).with_name("sidecar_cases.json").read_text(encoding="utf-8"))


def build_request(file: Path) -> PushRequest:
    return PushRequest(file, "loras", f"models/loras/{file.name}", None, Notes(), False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_model_file(tmp_path / "ink.v2.safetensors")


def write_sidecar(file: Path, suffix: str, document: Any) -> Path:
    sidecar = file.with_name(file.stem + suffix)
    sidecar.write_text(document if isinstance(document, str) else json.dumps(document))
    return sidecar


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


@pytest.mark.parametrize("is_folder_pushed", [True, False], ids=["folder", "file"])
async def test_push_sends_no_sidecar_that_is_a_link_out_of_the_folder(
    pusher: Pusher, registry: RegistryApi, settings: ClientSettings, tmp_path: Path, is_folder_pushed: bool
) -> None:
    loras = tmp_path / "loras"
    file = write_model_file(loras / "ink.safetensors")
    (tmp_path / "private.png").write_bytes(make_png())
    (tmp_path / "private.json").write_text(json.dumps({"baseModel": "private"}))
    file.with_name("ink.png").symlink_to(tmp_path / "private.png")
    file.with_name("ink.civitai.info").symlink_to(tmp_path / "private.json")
    [request] = await asyncio.to_thread(
        select_files, [str(loras if is_folder_pushed else file)], ModelOverrides("loras")
    )
    assert isinstance(request, PushRequest)
    [plan] = (await plan_push(registry, settings, [request])).entries
    assert (plan.picture, plan.sidecar) == (None, None)
    pushed = await pusher.push(request)
    assert pushed.picture is not None
    assert "is a link that leaves the folder" in str(pushed.picture.error)
    assert (pushed.sidecar, pushed.model.preview_url) == (None, None)


async def test_push_follows_sidecar_links_within_the_folder_and_to_the_place_of_a_linked_model(
    pusher: Pusher, tmp_path: Path
) -> None:
    loras, store = tmp_path / "models" / "loras", tmp_path / "store"
    write_model_file(loras / "ink.safetensors")
    (tmp_path / "models" / "ink.png").write_bytes(make_png())
    (loras / "ink.png").symlink_to("../ink.png")
    [inside] = await asyncio.to_thread(select_files, [str(tmp_path / "models")], ModelOverrides("loras"))
    linked = loras / "far.safetensors"
    linked.symlink_to(write_model_file(store / "far.safetensors", seed=2))
    (store / "far.png").write_bytes(make_png())
    (loras / "far.png").symlink_to(store / "far.png")
    [named] = await asyncio.to_thread(select_files, [str(linked)], ModelOverrides("loras"))
    for request in (inside, named):
        assert isinstance(request, PushRequest)
        pushed = await pusher.push(request)
        assert pushed.picture is not None
        assert pushed.picture.error is None


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


async def test_push_with_unpaired_surrogates_in_details_sends_the_other_characters(
    pusher: Pusher, registry: RegistryApi, file: Path
) -> None:
    write_sidecar(file, CIVITAI_INFO, {"baseModel": "Po\ud800ny", "trainedWords": ["ink\udfffwash", "\udc00"]})
    pushed = await pusher.push(build_request(file))
    model = await registry.get_model(pushed.model.id)
    assert model.base_model == "Pony"
    assert [word.text for word in model.trigger_words] == ["inkwash"]


@pytest.mark.parametrize("content", ["{not json", "[" * 5_000, '{"a": ' * 100_000, b"\xff\xfe{\0", "{} " + " " * 2**22])
async def test_push_with_details_that_cannot_be_read_registers_the_file(
    pusher: Pusher, file: Path, content: str | bytes
) -> None:
    file.with_name(file.stem + CIVITAI_INFO).write_bytes(content.encode() if isinstance(content, str) else content)
    pushed = await pusher.push(build_request(file))
    assert (pushed.outcome, pushed.sidecar) == ("registered", None)


async def test_push_ignores_details_of_another_file(pusher: Pusher, file: Path) -> None:
    write_sidecar(file, CIVITAI_INFO, {"baseModel": "Pony", "files": [{"hashes": {"SHA256": "cd" * 32}}]})
    pushed = await pusher.push(build_request(file))
    assert (pushed.sidecar, pushed.model.base_model) == (None, None)


async def test_push_of_too_many_and_too_long_trigger_words_sends_the_first_ones(pusher: Pusher, file: Path) -> None:
    write_sidecar(file, LORA_MANAGER, {"trainedWords": [f"word {number}" + "x" * 6_000 for number in range(300)]})
    pushed = await pusher.push(build_request(file))
    assert pushed.model.trigger_words


@pytest.mark.parametrize("case", CASES["pictures"], ids=lambda case: f"{case['model']}: {case['picture']}")
def test_find_sidecar_picture_shared_case_finds_the_recorded_name(tmp_path: Path, case: dict[str, Any]) -> None:
    for name in (case["model"], *case["beside"]):
        (tmp_path / name).touch()
    picture = find_sidecar_picture(tmp_path / case["model"])
    assert (picture and picture.name) == case["picture"]


@pytest.mark.parametrize("case", CASES["details"], ids=lambda case: case["name"])
def test_read_sidecar_details_shared_case_returns_the_recorded_details(file: Path, case: dict[str, Any]) -> None:
    """The forms are those that Civitai's API and ComfyUI-Lora-Manager write, and damaged ones."""
    for suffix, content in case["files"].items():
        file.with_name(file.stem + suffix).write_bytes(build_content(content))
    details = read_sidecar_details(file, f"sha256:{CASES['hash']}")
    assert (details and describe_details(file, details)) == build_expected(case["details"])


@pytest.mark.parametrize("case", CASES["details"], ids=lambda case: case["name"])
def test_build_sidecar_of_each_shared_case_can_be_sent(file: Path, case: dict[str, Any]) -> None:
    for suffix, content in case["files"].items():
        file.with_name(file.stem + suffix).write_bytes(build_content(content))
    details = read_sidecar_details(file, f"sha256:{CASES['hash']}")
    assert details is None or details.build_sidecar().model_dump_json()


def build_content(content: dict[str, Any]) -> bytes:
    """Build the content of a file of a shared case."""
    if "hex" in content:
        return bytes.fromhex(content["hex"])
    text = content["text"] if "text" in content else json.dumps(content["json"]) if "json" in content else None
    return ("".join(map(repeat, content["pieces"])) if text is None else text).encode()


def repeat(piece: str | list[Any]) -> str:
    """Return a text as it is, and a text with a number so many times."""
    return piece if isinstance(piece, str) else piece[0] * piece[1]


def describe_details(file: Path, details: SidecarDetails) -> dict[str, Any]:
    suffix = details.file.name.removeprefix(file.stem)
    return {"suffix": suffix} | {name: value for name, value in vars(details).items() if name != "file" and value}


def build_expected(details: dict[str, Any] | None) -> dict[str, Any] | None:
    if details is None:
        return None
    words = [repeat(word) for word in details["trigger_words"]]
    return {name: value for name, value in (details | {"trigger_words": words}).items() if value}


def test_read_sidecar_details_of_named_pipe_returns_none(file: Path) -> None:
    """Reading a pipe would wait until another program writes to it."""
    os.mkfifo(file.with_name(file.stem + CIVITAI_INFO))
    assert read_sidecar_details(file, None) is None


def test_find_sidecars_of_the_longest_file_name_finds_none(tmp_path: Path) -> None:
    """The names of its sidecars are longer than a file system allows."""
    file = tmp_path / f"{'a' * 251}.sft"
    file.touch()
    assert find_sidecar_picture(file) is None
    assert read_sidecar_details(file, None) is None


async def test_push_sends_license_and_author_beside_the_file(pusher: Pusher, file: Path) -> None:
    write_sidecar(file, LORA_MANAGER, {"license": "MIT", "civitai": {"creator": {"username": "mia"}}})
    model = (await pusher.push(build_request(file))).model
    assert (model.license, model.license_source) == ("MIT", "sidecar")
    assert (model.author, model.author_source) == ("mia", "sidecar")
