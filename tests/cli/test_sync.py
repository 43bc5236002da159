"""``sync``: plans, downloads, removals, and a running ComfyUI."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Command, Ran
from tests.client.model_files import write_model_file
from tests.comfyui.comfyui_server import ComfyUIServer
from tests.server.inspection.builders import call, named, text
from tests.server.inspection.pickle_parts import checkpoint

pytestmark = pytest.mark.slow


def test_sync_dry_run_prints_plan_and_changes_nothing(pushed: Command, folder: Path) -> None:
    ran = pushed("sync", folder, "--dry-run")
    assert ran.code == 0, ran.err
    assert ran.out == "0 models in place; would place 1 file and remove 0 files.\n"
    assert "fetch    loras/ink.safetensors" in ran.err
    assert list(folder.iterdir()) == []


def test_sync_prints_plan_and_downloads_model(pushed: Command, folder: Path) -> None:
    ran = pushed("sync", folder)
    assert ran.code == 0, ran.err
    assert "fetch    loras/ink.safetensors" in ran.err
    assert (folder / "loras/ink.safetensors").is_file()


def test_sync_second_time_keeps_model_and_changes_nothing(pushed: Command, folder: Path) -> None:
    pushed("sync", folder)
    document = json.loads(pushed("sync", folder, "--json").out)
    assert [each["model_path"] for each in document["plan"]["keep"]] == ["loras/ink.safetensors"]
    assert [each["outcome"] for each in document["results"]] == ["kept"]


def test_sync_removes_disabled_model(pushed: Command, folder: Path) -> None:
    pushed("sync", folder)
    pushed("disable", "ink")
    ran = pushed("sync", folder)
    assert ran.code == 0
    assert "removed  " in ran.out
    assert not (folder / "loras/ink.safetensors").exists()


@pytest.fixture
def disable_and_sync(signed_in: Command, process: Command, tmp_path: Path, folder: Path) -> Callable[[int], Ran]:
    """Sync five models into the folder; return a function that disables the one with a number and syncs again."""
    for number in range(5):
        ran = signed_in(
            "push", write_model_file(tmp_path / "pushed" / "loras" / f"ink{number}.safetensors", seed=number)
        )
        assert ran.code == 0, ran.err
    assert process("sync", folder).code == 0

    def run(number: int) -> Ran:
        assert signed_in("disable", f"ink{number}").code == 0
        return process("sync", folder)

    return run


def test_sync_fourth_removal_within_an_hour_is_held_until_approved(
    disable_and_sync: Callable[[int], Ran], process: Command, folder: Path
) -> None:
    assert [disable_and_sync(number).code for number in range(3)] == [0, 0, 0]
    ran = disable_and_sync(3)
    assert ran.code == 1
    assert "is not desired any more, and 3 others were removed within the last hour." in ran.err
    assert "--approve-removal" in ran.err
    assert (folder / "loras/ink3.safetensors").is_file()
    assert process("sync", folder, "--approve-removal").code == 0
    assert not (folder / "loras/ink3.safetensors").exists()
    # An approval resets the count of the removal limit.
    assert disable_and_sync(4).code == 0
    assert not (folder / "loras/ink4.safetensors").exists()


def test_sync_of_comfyui_folder_places_model_below_models(pushed: Command, tmp_path: Path) -> None:
    (tmp_path / "ComfyUI" / "models").mkdir(parents=True)
    assert pushed("sync", tmp_path / "ComfyUI").code == 0
    assert (tmp_path / "ComfyUI/models/loras/ink.safetensors").is_file()


def test_sync_different_user_file_exits_1_and_keeps_it(pushed: Command, folder: Path) -> None:
    (folder / "loras").mkdir()
    (folder / "loras/ink.safetensors").write_bytes(b"user file")
    ran = pushed("sync", folder)
    assert ran.code == 1
    assert "blocked  loras/ink.safetensors" in ran.err
    assert (folder / "loras/ink.safetensors").read_bytes() == b"user file"


def test_sync_and_agent_leave_out_model_whose_pickle_was_refused_and_keep_user_file_in_its_place(
    as_agent: Command, run_once: Callable[[], None], tmp_path: Path, folder: Path
) -> None:
    assert as_agent("team", "settings", "--pickle-policy", "scan").code == 0
    refused = tmp_path / "pushed/embeddings/code.pt"
    refused.parent.mkdir()
    refused.write_bytes(checkpoint(call(named("os", "system"), text("exit 1"))))
    assert as_agent("push", refused).code != 0
    user_file = folder / "embeddings/code.pt"
    user_file.parent.mkdir()
    user_file.write_bytes(b"user file")

    ran = as_agent("sync", folder)

    assert ran.code == 0, ran.err
    assert 'Left out: 1 model whose content the registry has refused: "embeddings/code.pt".' in ran.err
    assert "damaged" not in ran.out + ran.err
    run_once()
    assert user_file.read_bytes() == b"user file"


def test_sync_missing_folder_exits_2(pushed: Command, tmp_path: Path) -> None:
    ran = pushed("sync", tmp_path / "nowhere")
    assert ran.code == 2
    assert "There is no folder" in ran.err


def test_sync_with_agent_key_downloads_models_of_manifest(
    as_agent: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_TOKEN", os.environ["MODELYARD_AGENT_KEY"])
    monkeypatch.delenv("MODELYARD_TEAM")
    ran = as_agent("sync", folder)
    assert ran.code == 0, ran.err
    assert (folder / "loras/ink.safetensors").is_file()


def test_sync_uses_folders_of_running_comfyui_and_of_earlier_run(pushed: Command, comfyui: ComfyUIServer) -> None:
    base = comfyui.listing.base
    ran = pushed("sync", base, "--comfyui-url", comfyui.url)
    assert ran.code == 0, ran.err
    assert comfyui.listing.resolve_name("loras", "ink.safetensors") == str(base.parent / "node/loras/ink.safetensors")

    # When ComfyUI is off, its folders are remembered; otherwise the model would be downloaded a second time.
    again = json.loads(pushed("sync", base, "--comfyui-url", "http://127.0.0.1:9", "--json").out)
    assert [each["outcome"] for each in again["results"]] == ["kept"]


def test_sync_reports_model_that_running_comfyui_does_not_list(pushed: Command, comfyui: ComfyUIServer) -> None:
    comfyui.listing.extensions["loras"] = frozenset({".gguf"})
    ran = pushed("sync", comfyui.listing.base, "--comfyui-url", comfyui.url)
    assert ran.code == 0, ran.err
    assert "does not list" in ran.out


def test_sync_replaces_model_only_while_no_prompt_of_comfyui_uses_it_and_unloads_its_models(
    pushed: Command, comfyui: ComfyUIServer, tmp_path: Path
) -> None:
    def sync() -> int:
        return pushed("sync", comfyui.listing.base, "--comfyui-url", comfyui.url).code

    assert sync() == 0
    old = (tmp_path / "node/loras/ink.safetensors").read_bytes()
    new = write_model_file(tmp_path / "again" / "loras" / "ink.safetensors", 3000)
    assert pushed("push", "--replace", new).code == 0

    comfyui.queued = [{"4": {"class_type": "LoraLoader", "inputs": {"lora_name": "ink.safetensors"}}}]
    assert sync() == 1
    assert (tmp_path / "node/loras/ink.safetensors").read_bytes() == old
    assert comfyui.freed == []

    comfyui.queued = []
    assert sync() == 0
    assert (tmp_path / "node/loras/ink.safetensors").read_bytes() == new.read_bytes()
    assert comfyui.freed == [{"unload_models": True, "free_memory": True}]
