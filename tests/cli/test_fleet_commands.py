import asyncio
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelyard.client.api.registry import Registry
from modelyard.wire.credentials import PairingPoll
from tests.cli.conftest import Command, Ran
from tests.client.model_files import write_model_file
from tests.client.server_process import Team
from tests.comfyui.comfyui_server import ComfyUIServer

pytestmark = pytest.mark.slow


@pytest.fixture
def pushed(signed_in: Command, tmp_path: Path) -> Command:
    """Return the program as the owner of a team with one verified model, ``loras/ink.safetensors``."""
    ran = signed_in("push", write_model_file(tmp_path / "pushed" / "loras" / "ink.safetensors"))
    assert ran.code == 0, ran.err
    return signed_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def as_agent(pushed: Command, team: Team, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Return the same program on a machine that has an agent key."""
    key = pushed("key", "create", "render-07", "--kind", "agent", "--quiet").out.strip()
    monkeypatch.setenv("MODELYARD_AGENT_KEY", key)
    monkeypatch.setenv("MODELYARD_AGENT_CONFIG", str(tmp_path / "agent.toml"))
    monkeypatch.setenv("MODELYARD_AGENT_KEEP_FREE", "0")
    monkeypatch.setenv("MODELYARD_AGENT_AGENT_ID", "render-07")
    return pushed


@pytest.fixture
def run_once(process: Command, as_agent: Command, folder: Path) -> Callable[[], None]:
    """Return a function that runs the agent once, which must succeed."""

    def run() -> None:
        ran = process("agent", "run", "--models-dir", folder, "--once")
        assert ran.code == 0, ran.err

    return run


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


def test_machine_ls_and_show_after_agent_run_once_have_model_ready(
    run_once: Callable[[], None], as_agent: Command, folder: Path
) -> None:
    run_once()
    assert (folder / "loras/ink.safetensors").is_file()
    (agent,) = json.loads(as_agent("machine", "ls", "--json").out)["agent_list"]
    assert (agent["agent_id"], agent["models_ready"], agent["models_desired"]) == ("render-07", 1, 1)
    shown = json.loads(as_agent("machine", "show", "RENDER-07", "--json").out)
    assert [model["state"] for model in shown["agent_model_list"]] == ["ready"]
    assert "render-07  ready" in as_agent("show", "ink").out


def test_machine_label_pause_resume_sync_and_rm_change_its_record(
    run_once: Callable[[], None], as_agent: Command
) -> None:
    run_once()
    for words in (("label", "render-07", "gpu24"), ("pause", "render-07"), ("sync", "render-07")):
        assert as_agent("machine", *words).code == 0
    shown = json.loads(as_agent("machine", "show", "render-07", "--json").out)
    assert (shown["central_labels"], shown["paused"]) == (["gpu24"], True)
    assert as_agent("machine", "resume", "render-07").code == 0
    assert as_agent("machine", "label", "render-07").code == 0
    assert json.loads(as_agent("machine", "show", "render-07", "--json").out)["central_labels"] == []
    assert as_agent("machine", "rm", "render-07").code == 0
    assert as_agent("machine", "show", "render-07").code == 4


def test_machine_approve_and_agent_approve_without_held_removals_are_refused(
    run_once: Callable[[], None], as_agent: Command
) -> None:
    run_once()
    assert as_agent("machine", "approve", "render-07").code == 4
    assert as_agent("agent", "approve").err == "No removal is waiting for approval.\n"


def test_agent_status_of_ended_agent_exits_1_and_says_not_running(
    run_once: Callable[[], None], as_agent: Command
) -> None:
    run_once()
    ran = as_agent("agent", "status", "--json")
    assert ran.code == 1
    (status,) = json.loads(ran.out)["agents"]
    assert (status["is_running"], status["counts"], status["link"]) == (False, {"ready": 1}, "stopped")
    assert "render-07 (not running" in as_agent("agent", "status").out


def test_agent_status_before_first_run_says_so(as_agent: Command) -> None:
    assert "No agent has run here yet" in as_agent("agent", "status").err


def test_agent_run_without_key_exits_3_with_pair_command(modelyard: Command, folder: Path) -> None:
    ran = modelyard("agent", "run", "--models-dir", folder, "--once", "--url", "http://127.0.0.1:9")
    assert ran.code == 3
    assert "modelyard agent pair" in ran.err


def test_agent_run_without_folders_exits_2_naming_the_options(as_agent: Command) -> None:
    ran = as_agent("agent", "run", "--once")
    assert ran.code == 2
    assert "--comfyui DIR or --models-dir DIR" in ran.err


def test_agent_run_once_with_revoked_key_exits_3_and_places_nothing(
    process: Command, as_agent: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_agent("key", "rm", os.environ["MODELYARD_AGENT_KEY"])
    ran = process("agent", "run", "--models-dir", folder, "--once")
    assert ran.code == 3
    assert "modelyard agent pair" in ran.err
    assert "modelyard login" not in ran.err
    assert list(folder.iterdir()) == []


def test_agent_run_once_prints_result_as_text_and_json(process: Command, as_agent: Command, folder: Path) -> None:
    assert process("agent", "run", "--models-dir", folder, "--once").out == "1 model in place.\n"
    document = json.loads(process("agent", "run", "--models-dir", folder, "--once", "--json").out)
    assert (document["is_done"], document["held"]) == (True, [])
    assert [(each["state"], each["outcome"]) for each in document["results"]] == [("ready", "kept")]
    assert as_agent("agent", "status").code == 1


def test_agent_doctor_on_healthy_machine_reports_ok(as_agent: Command, folder: Path) -> None:
    ran = as_agent("agent", "doctor", "--models-dir", folder, "--json")
    document = json.loads(ran.out)
    assert ran.code == 0, ran.out
    levels = {finding["subject"]: finding["level"] for finding in document["findings"]}
    assert {"key": "ok", "clock": "ok", "space": "ok", "agent": "warning"}.items() <= levels.items()


def test_agent_doctor_without_folder_options_checks_folders_of_last_agent_run(
    run_once: Callable[[], None], as_agent: Command, folder: Path
) -> None:
    run_once()
    document = json.loads(as_agent("agent", "doctor", "--json").out)
    folders = [each for each in document["findings"] if each["subject"] == "folders"]
    assert [each["level"] for each in folders] == ["ok", "ok"]
    assert str(folder) in folders[0]["sentence"]


def test_agent_run_once_unreachable_registry_exits_5_with_pair_command(
    process: Command, as_agent: Command, folder: Path
) -> None:
    ran = process("agent", "run", "--models-dir", folder, "--once", "--url", "http://127.0.0.1:9")
    assert ran.code == 5
    assert "agent pair" in ran.err
    assert "modelyard login" not in ran.err


def test_agent_run_once_failed_removal_exits_1(
    run_once: Callable[[], None], process: Command, as_agent: Command, folder: Path
) -> None:
    run_once()
    placed = folder / "loras" / "ink.safetensors"
    (folder / ".modelyard" / "trash").write_bytes(b"no folder")
    assert as_agent("rm", "loras/ink.safetensors").code == 0
    ran = process("agent", "run", "--models-dir", folder, "--once", "--json")
    assert [each["state"] for each in json.loads(ran.out)["results"]] == ["not removed"]
    assert placed.exists()
    assert ran.code == 1


def test_machine_ls_shows_count_of_models_not_loaded_by_comfyui(
    process: Command, as_agent: Command, comfyui: ComfyUIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = comfyui.listing.base
    comfyui.listing.extensions["loras"] = frozenset({".none"})
    monkeypatch.setenv("MODELYARD_AGENT_COMFYUI_URL", comfyui.url)
    process("agent", "run", "--comfyui", base, "--once")
    assert "1 of 1 (1 not loaded)" in as_agent("machine", "ls").out


def test_agent_adopt_after_lost_state_adopts_placed_version_and_no_user_file(
    run_once: Callable[[], None], process: Command, as_agent: Command, folder: Path, home: Path, tmp_path: Path
) -> None:
    run_once()
    placed = folder / "loras" / "ink.safetensors"
    (folder / "vae").mkdir()
    user_file = folder / "vae" / "user_file.safetensors"
    user_file.write_bytes(placed.read_bytes())
    for file in (home / "XDG_STATE_HOME" / "modelyard" / "sync").glob("render-07.sqlite*"):
        file.unlink()
    newer = write_model_file(tmp_path / "newer" / "loras" / "ink.safetensors", seed=2)
    assert as_agent("push", "--replace", newer).code == 0
    conflict = process("agent", "run", "--models-dir", folder, "--once")
    assert "modelyard agent adopt" in conflict.err

    planned = json.loads(as_agent("agent", "adopt", "--models-dir", folder, "--dry-run", "--json").out)
    done = json.loads(as_agent("agent", "adopt", "--models-dir", folder, "--json").out)
    ran = process("agent", "run", "--models-dir", folder, "--once")

    assert planned["adopted"] == done["adopted"]
    assert [each["path"] for each in done["adopted"]] == [str(placed)]
    assert ran.code == 0, ran.err
    assert placed.read_bytes() == newer.read_bytes()
    assert user_file.exists()


def test_agent_doctor_with_revoked_key_exits_1_with_pair_command(as_agent: Command, folder: Path) -> None:
    as_agent("key", "rm", os.environ["MODELYARD_AGENT_KEY"])
    ran = as_agent("agent", "doctor", "--models-dir", folder)
    assert ran.code == 1
    assert "problem  key" in ran.out
    assert "-> modelyard agent pair --url" in ran.out


def pair_machine(signed_in: Command, url: str) -> str:
    """Pair a machine and return its agent key."""

    async def pair() -> str:
        async with Registry(url) as registry:
            started = await registry.start_pairing()
            confirmed = await asyncio.to_thread(signed_in, "machine", "add", started.user_code)
            assert confirmed.code == 0, confirmed.err
            answer = await registry.poll_pairing(PairingPoll(device_code=started.device_code))
            return answer.agent_key or ""

    return asyncio.run(pair())


def test_agent_doctor_uses_name_of_agent_that_ran_and_not_host_name(
    process: Command, as_agent: Command, team: Team, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MODELYARD_AGENT_AGENT_ID")
    # Such a key is bound to the agent id that used it first.
    monkeypatch.setenv("MODELYARD_AGENT_KEY", pair_machine(as_agent, team.url))
    assert process("agent", "run", "--models-dir", folder, "--once", "--agent-id", "box").code == 0
    ran = as_agent("agent", "doctor", "--models-dir", folder)
    assert ran.code == 0, ran.out
    elsewhere = as_agent("agent", "doctor", "--models-dir", folder, "--agent-id", "elsewhere")
    assert elsewhere.code == 1
    assert "--agent-id ID" in elsewhere.out


def test_agent_install_print_json_has_unit_text_and_file(as_agent: Command, folder: Path) -> None:
    document = json.loads(as_agent("agent", "install", "--models-dir", folder, "--print", "--json").out)
    assert document["unit"].startswith("[Unit]\n")
    assert document["file"].endswith("modelyard-agent.service")


def test_agent_url_comes_from_option_then_agent_variable_then_general_variable(
    modelyard: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("agent", "install", "--models-dir", "/srv/models", "--print")
    monkeypatch.setenv("MODELYARD_URL", "http://general.example")
    assert "--url=http://general.example\n" in modelyard(*command).out
    monkeypatch.setenv("MODELYARD_AGENT_URL", "http://agent.example")
    assert "--url=http://agent.example\n" in modelyard(*command).out
    assert "--url=http://option.example\n" in modelyard(*command, "--url", "http://option.example").out


def test_agent_install_prints_or_writes_unit_and_uninstall_removes_it(
    as_agent: Command, folder: Path, home: Path
) -> None:
    printed = as_agent("agent", "install", "--models-dir", folder, "--label", "gpu24", "--print")
    assert f"--models-dir={folder} --label=gpu24 --agent-id=render-07" in printed.out
    assert os.environ["MODELYARD_AGENT_KEY"] not in printed.out
    file = home / "XDG_CONFIG_HOME" / "systemd" / "user" / "modelyard-agent.service"
    assert not file.exists()
    written = as_agent("agent", "install", "--models-dir", folder)
    assert "systemctl --user enable --now modelyard-agent.service" in written.out
    assert file.read_text().startswith("[Unit]\n")
    assert as_agent("agent", "uninstall").code == 0
    assert not file.exists()


@pytest.fixture
def comfyui(tmp_path: Path) -> Iterator[ComfyUIServer]:
    """Run a ComfyUI whose first LoRA folder, added by a custom node, is outside its models folder."""
    for name in ("models/loras", "custom_nodes"):
        (tmp_path / "ComfyUI" / name).mkdir(parents=True)
    with ComfyUIServer(tmp_path / "ComfyUI") as server:
        (tmp_path / "node" / "loras").mkdir(parents=True)
        server.listing.folders["loras"].insert(0, str(tmp_path / "node" / "loras"))
        yield server


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


def test_sync_replaces_model_only_while_comfyui_is_idle_and_unloads_its_models(
    pushed: Command, comfyui: ComfyUIServer, tmp_path: Path
) -> None:
    def sync() -> int:
        return pushed("sync", comfyui.listing.base, "--comfyui-url", comfyui.url).code

    assert sync() == 0
    old = (tmp_path / "node/loras/ink.safetensors").read_bytes()
    new = write_model_file(tmp_path / "again" / "loras" / "ink.safetensors", 3000)
    assert pushed("push", "--replace", new).code == 0

    comfyui.is_rendering = True
    assert sync() == 1
    assert (tmp_path / "node/loras/ink.safetensors").read_bytes() == old
    assert comfyui.freed == []

    comfyui.is_rendering = False
    assert sync() == 0
    assert (tmp_path / "node/loras/ink.safetensors").read_bytes() == new.read_bytes()
    assert comfyui.freed == [{"unload_models": True, "free_memory": True}]
