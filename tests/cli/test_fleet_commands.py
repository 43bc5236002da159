import asyncio
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelyard.client.registry import Registry
from modelyard.wire.credentials import PairingPoll
from tests.agent.comfyui_server import ComfyUIServer
from tests.cli.conftest import Command, Ran
from tests.client.files import model_file
from tests.client.serving import Team


@pytest.fixture
def pushed(signed_in: Command, tmp_path: Path) -> Command:
    """The program of an owner whose team has one verified model, ``loras/ink.safetensors``."""
    ran = signed_in("push", model_file(tmp_path / "pushed" / "loras" / "ink.safetensors"))
    assert ran.code == 0, ran.err
    return signed_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def as_agent(pushed: Command, team: Team, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """The same program on a machine that has a key of its own."""
    key = pushed("keys", "create", "render-07", "--kind", "agent", "--quiet").out.strip()
    monkeypatch.setenv("MODELYARD_AGENT_KEY", key)
    monkeypatch.setenv("MODELYARD_AGENT_CONFIG", str(tmp_path / "agent.toml"))
    monkeypatch.setenv("MODELYARD_AGENT_KEEP_FREE", "0")
    monkeypatch.setenv("MODELYARD_AGENT_AGENT_ID", "render-07")
    return pushed


@pytest.fixture
def run_once(process: Command, as_agent: Command, folder: Path) -> Callable[[], None]:
    def ran() -> None:
        done = process("agent", "run", "--models-dir", folder, "--once")
        assert done.code == 0, done.err

    return ran


def test_a_sync_that_is_only_rehearsed_changes_nothing(pushed: Command, folder: Path) -> None:
    ran = pushed("sync", folder, "--dry-run")
    assert ran.code == 0, ran.err
    assert ran.out == "0 are here, 1 would come, 0 would go.\n"
    assert "fetch    loras/ink.safetensors" in ran.err
    assert list(folder.iterdir()) == []


def test_a_sync_prints_its_plan_and_carries_it_out(pushed: Command, folder: Path) -> None:
    ran = pushed("sync", folder)
    assert ran.code == 0, ran.err
    assert "fetch    loras/ink.safetensors" in ran.err
    assert (folder / "loras/ink.safetensors").is_file()


def test_a_second_sync_has_nothing_to_do(pushed: Command, folder: Path) -> None:
    pushed("sync", folder)
    said = json.loads(pushed("sync", folder, "--json").out)
    assert [each["model_path"] for each in said["plan"]["keep"]] == ["loras/ink.safetensors"]
    assert [each["outcome"] for each in said["results"]] == ["kept"]


def test_what_was_disabled_goes_with_the_next_sync(pushed: Command, folder: Path) -> None:
    pushed("sync", folder)
    pushed("disable", "ink")
    ran = pushed("sync", folder)
    assert ran.code == 0
    assert "removed  " in ran.out
    assert not (folder / "loras/ink.safetensors").exists()


@pytest.fixture
def five(signed_in: Command, process: Command, tmp_path: Path, folder: Path) -> Callable[[int], Ran]:
    """A folder with five models of the team; disables the one with the number, and syncs in a process of its own."""
    for number in range(5):
        ran = signed_in("push", model_file(tmp_path / "pushed" / "loras" / f"ink{number}.safetensors", seed=number))
        assert ran.code == 0, ran.err
    assert process("sync", folder).code == 0

    def without(number: int) -> Ran:
        assert signed_in("disable", f"ink{number}").code == 0
        return process("sync", folder)

    return without


def test_one_file_a_sync_is_no_way_around_the_brake(five: Callable[[int], Ran], process: Command, folder: Path) -> None:
    assert [five(number).code for number in range(3)] == [0, 0, 0]
    ran = five(3)
    assert ran.code == 1
    assert "is not wanted any more, and 3 others were removed within the last hour." in ran.err
    assert "--approve-removal" in ran.err
    assert (folder / "loras/ink3.safetensors").is_file()
    assert process("sync", folder, "--approve-removal").code == 0
    assert not (folder / "loras/ink3.safetensors").exists()
    # What somebody approved does not count, and nothing before it.
    assert five(4).code == 0
    assert not (folder / "loras/ink4.safetensors").exists()


def test_a_sync_of_a_comfyui_fills_its_models_folder(pushed: Command, tmp_path: Path) -> None:
    (tmp_path / "ComfyUI" / "models").mkdir(parents=True)
    assert pushed("sync", tmp_path / "ComfyUI").code == 0
    assert (tmp_path / "ComfyUI/models/loras/ink.safetensors").is_file()


def test_a_sync_with_a_conflict_is_1_and_the_file_stays(pushed: Command, folder: Path) -> None:
    (folder / "loras").mkdir()
    (folder / "loras/ink.safetensors").write_bytes(b"mine")
    ran = pushed("sync", folder)
    assert ran.code == 1
    assert "leave    loras/ink.safetensors" in ran.err
    assert (folder / "loras/ink.safetensors").read_bytes() == b"mine"


def test_a_sync_into_nowhere_is_2(pushed: Command, tmp_path: Path) -> None:
    ran = pushed("sync", tmp_path / "nowhere")
    assert ran.code == 2
    assert "There is no folder" in ran.err


def test_a_machine_s_key_syncs_what_its_manifest_says(
    as_agent: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_TOKEN", os.environ["MODELYARD_AGENT_KEY"])
    monkeypatch.delenv("MODELYARD_TEAM")
    ran = as_agent("sync", folder)
    assert ran.code == 0, ran.err
    assert (folder / "loras/ink.safetensors").is_file()


def test_an_agent_that_looked_once_is_listed_and_shown(
    run_once: Callable[[], None], as_agent: Command, folder: Path
) -> None:
    run_once()
    assert (folder / "loras/ink.safetensors").is_file()
    (agent,) = json.loads(as_agent("agents", "list", "--json").out)["agent_list"]
    assert (agent["agent_id"], agent["models_ready"], agent["models_wanted"]) == ("render-07", 1, 1)
    shown = json.loads(as_agent("agents", "show", "RENDER-07", "--json").out)
    assert [model["state"] for model in shown["agent_model_list"]] == ["ready"]
    assert "render-07  ready" in as_agent("show", "ink").out


def test_a_machine_is_labelled_paused_resumed_asked_and_forgotten(
    run_once: Callable[[], None], as_agent: Command
) -> None:
    run_once()
    for words in (("label", "render-07", "gpu24"), ("pause", "render-07"), ("sync", "render-07")):
        assert as_agent("agents", *words).code == 0
    shown = json.loads(as_agent("agents", "show", "render-07", "--json").out)
    assert (shown["central_labels"], shown["paused"]) == (["gpu24"], True)
    assert as_agent("agents", "resume", "render-07").code == 0
    assert as_agent("agents", "label", "render-07").code == 0
    assert json.loads(as_agent("agents", "show", "render-07", "--json").out)["central_labels"] == []
    assert as_agent("agents", "forget", "render-07").code == 0
    assert as_agent("agents", "show", "render-07").code == 4


def test_approving_what_does_not_wait_is_refused_in_words(run_once: Callable[[], None], as_agent: Command) -> None:
    run_once()
    assert as_agent("agents", "approve-removal", "render-07").code == 4
    assert as_agent("agent", "approve-removal").err == "No removal waits here.\n"


def test_the_status_of_an_agent_that_ended_says_so_and_is_1(run_once: Callable[[], None], as_agent: Command) -> None:
    run_once()
    ran = as_agent("agent", "status", "--json")
    assert ran.code == 1
    (status,) = json.loads(ran.out)["agents"]
    assert (status["is_running"], status["counts"], status["link"]) == (False, {"ready": 1}, "stopped")
    assert "render-07 (not running" in as_agent("agent", "status").out


def test_without_an_agent_there_is_no_status(as_agent: Command) -> None:
    assert "No agent has run here yet" in as_agent("agent", "status").err


def test_a_machine_without_a_key_is_told_how_to_get_one(modelyard: Command, folder: Path) -> None:
    ran = modelyard("agent", "run", "--models-dir", folder, "--once", "--url", "http://127.0.0.1:9")
    assert ran.code == 3
    assert "modelyard agent pair" in ran.err


def test_an_agent_without_folders_is_told_to_name_some(as_agent: Command) -> None:
    ran = as_agent("agent", "run", "--once")
    assert ran.code == 2
    assert "--comfyui DIR or --models-dir DIR" in ran.err


def test_a_refused_key_ends_a_single_look_in_words(
    process: Command, as_agent: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_agent("keys", "revoke", os.environ["MODELYARD_AGENT_KEY"])
    ran = process("agent", "run", "--models-dir", folder, "--once")
    assert ran.code == 3
    assert "modelyard agent pair" in ran.err
    assert "modelyard login" not in ran.err
    assert list(folder.iterdir()) == []


def test_a_single_look_says_how_it_ended(process: Command, as_agent: Command, folder: Path) -> None:
    assert process("agent", "run", "--models-dir", folder, "--once").out == "1 models are here as they should.\n"
    said = json.loads(process("agent", "run", "--models-dir", folder, "--once", "--json").out)
    assert (said["is_done"], said["held"]) == (True, [])
    assert [(each["state"], each["outcome"]) for each in said["results"]] == [("ready", "kept")]
    assert as_agent("agent", "status").code == 1


def test_the_doctor_finds_a_healthy_machine_healthy(as_agent: Command, folder: Path) -> None:
    ran = as_agent("doctor", "--models-dir", folder, "--json")
    said = json.loads(ran.out)
    assert ran.code == 0, ran.out
    found = {finding["subject"]: finding["level"] for finding in said["findings"]}
    assert {"key": "ok", "clock": "ok", "space": "ok", "agent": "warning"}.items() <= found.items()


def test_the_doctor_says_what_to_do_about_a_revoked_key(as_agent: Command, folder: Path) -> None:
    as_agent("keys", "revoke", os.environ["MODELYARD_AGENT_KEY"])
    ran = as_agent("doctor", "--models-dir", folder)
    assert ran.code == 1
    assert "problem  key" in ran.out
    assert "-> modelyard agent pair --url" in ran.out


def paired_key(signed_in: Command, url: str) -> str:
    """The key of a machine that was paired."""

    async def paired() -> str:
        async with Registry(url) as registry:
            started = await registry.start_pairing()
            confirmed = await asyncio.to_thread(signed_in, "pair", "confirm", started.user_code)
            assert confirmed.code == 0, confirmed.err
            answer = await registry.poll_pairing(PairingPoll(device_code=started.device_code))
            return answer.agent_key or ""

    return asyncio.run(paired())


def test_the_doctor_speaks_of_the_agent_that_ran_here_and_not_of_the_host(
    process: Command, as_agent: Command, team: Team, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MODELYARD_AGENT_AGENT_ID")
    # Such a key serves the machine that used it first, and no other name.
    monkeypatch.setenv("MODELYARD_AGENT_KEY", paired_key(as_agent, team.url))
    assert process("agent", "run", "--models-dir", folder, "--once", "--agent-id", "box").code == 0
    ran = as_agent("doctor", "--models-dir", folder)
    assert ran.code == 0, ran.out
    elsewhere = as_agent("doctor", "--models-dir", folder, "--agent-id", "elsewhere")
    assert elsewhere.code == 1
    assert "--agent-id ID" in elsewhere.out


def test_the_unit_is_printed_as_json_too(as_agent: Command, folder: Path) -> None:
    said = json.loads(as_agent("agent", "install", "--models-dir", folder, "--print", "--json").out)
    assert said["unit"].startswith("[Unit]\n")
    assert said["file"].endswith("modelyard-agent.service")


def test_the_unit_is_printed_or_written_and_taken_away(as_agent: Command, folder: Path, home: Path) -> None:
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
    """A ComfyUI that runs, whose custom node keeps its LoRAs elsewhere and in front."""
    for name in ("models/loras", "custom_nodes"):
        (tmp_path / "ComfyUI" / name).mkdir(parents=True)
    with ComfyUIServer(tmp_path / "ComfyUI") as server:
        (tmp_path / "node" / "loras").mkdir(parents=True)
        server.listing.folders["loras"].insert(0, str(tmp_path / "node" / "loras"))
        yield server


def test_a_sync_asks_the_comfyui_that_runs_where_it_looks(pushed: Command, comfyui: ComfyUIServer) -> None:
    base = comfyui.listing.base
    ran = pushed("sync", base, "--comfyui-url", comfyui.url)
    assert ran.code == 0, ran.err
    assert comfyui.listing.resolved("loras", "ink.safetensors") == str(base.parent / "node/loras/ink.safetensors")

    # Off again, it is remembered; without that, the model would come a second time.
    again = json.loads(pushed("sync", base, "--comfyui-url", "http://127.0.0.1:9", "--json").out)
    assert [each["outcome"] for each in again["results"]] == ["kept"]


def test_a_sync_says_when_the_comfyui_that_runs_does_not_list_a_model(pushed: Command, comfyui: ComfyUIServer) -> None:
    comfyui.listing.extensions["loras"] = frozenset({".gguf"})
    ran = pushed("sync", comfyui.listing.base, "--comfyui-url", comfyui.url)
    assert ran.code == 0, ran.err
    assert "does not list" in ran.out


def test_a_sync_replaces_bytes_only_while_comfyui_is_idle_and_makes_it_let_go(
    pushed: Command, comfyui: ComfyUIServer, tmp_path: Path
) -> None:
    def sync() -> int:
        return pushed("sync", comfyui.listing.base, "--comfyui-url", comfyui.url).code

    assert sync() == 0
    old = (tmp_path / "node/loras/ink.safetensors").read_bytes()
    new = model_file(tmp_path / "again" / "loras" / "ink.safetensors", 3000)
    assert pushed("push", "--replace", new).code == 0

    comfyui.is_rendering = True
    assert sync() == 1
    assert (tmp_path / "node/loras/ink.safetensors").read_bytes() == old
    assert comfyui.freed == []

    comfyui.is_rendering = False
    assert sync() == 0
    assert (tmp_path / "node/loras/ink.safetensors").read_bytes() == new.read_bytes()
    assert comfyui.freed == [{"unload_models": True, "free_memory": True}]
