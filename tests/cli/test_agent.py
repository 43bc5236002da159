"""``agent``: run, status, adopt, install; most of doctor is in test_agent_doctor.py."""

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.client.api.registry import RegistryApi
from modelyard.wire.credentials import PairingPoll
from tests.cli.conftest import Command
from tests.cli.terminal_process import run_in_terminal
from tests.cli.terminal_screen import Screen
from tests.client.model_files import write_model_file
from tests.client.server_process import Team
from tests.mounts import mounted_read_only

pytestmark = pytest.mark.slow


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


def test_agent_run_once_logs_start_and_end_of_each_download(process: Command, as_agent: Command, folder: Path) -> None:
    ran = process("agent", "run", "--models-dir", folder, "--once")
    lines = [line for line in ran.err.splitlines() if "loras/ink.safetensors: " in line]
    started, ended = lines
    assert started.startswith("INFO loras/ink.safetensors: downloading 1")
    assert ended.endswith(f"{folder}/loras/ink.safetensors: fetched")


def test_agent_run_once_in_a_terminal_prints_its_log_as_whole_lines_above_the_bars(
    as_agent: Command, folder: Path
) -> None:
    shown = run_in_terminal("agent", "run", "--models-dir", folder, "--once", columns=200)
    screen = Screen(200)
    screen.feed(shown.raw)
    assert shown.code == 0
    assert any(row.endswith("loras/ink.safetensors: fetched") for row in screen.rows)
    assert screen.rows[-1] == "1 model in place."
    assert not any("pulling" in row for row in screen.rows)


def test_agent_run_once_exits_1_and_counts_what_it_cannot_remove(
    process: Command, as_agent: Command, folder: Path
) -> None:
    assert process("agent", "run", "--models-dir", folder, "--once").code == 0
    assert as_agent("disable", "ink").code == 0
    with mounted_read_only(folder / "loras"):
        ran = process("agent", "run", "--models-dir", folder, "--once")
    assert (ran.code, ran.out) == (1, "0 models in place. 1 file could not be removed.\n")
    assert "loras/ink.safetensors: not removed: The file system of" in ran.err
    assert 'needs, "loras/ink.safetensors", cannot be removed' in as_agent("agent", "status").out


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


def test_agent_adopt_as_the_conflict_names_it_uses_folders_and_name_of_the_agent_that_ran(
    run_once: Callable[[], None],
    process: Command,
    as_agent: Command,
    folder: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_once()
    for file in (home / "XDG_STATE_HOME" / "modelyard" / "sync").glob("render-07.sqlite*"):
        file.unlink()
    monkeypatch.delenv("MODELYARD_AGENT_AGENT_ID")

    ran = as_agent("agent", "adopt")

    assert (ran.code, ran.out) == (0, f"{folder / 'loras' / 'ink.safetensors'}\nAdopted 1 file.\n")


def test_agent_adopt_without_folders_names_a_command_for_each_agent_with_a_readable_status(
    run_once: Callable[[], None], as_agent: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agents = home / "XDG_STATE_HOME" / "modelyard" / "agents"
    (agents / "never-ran").mkdir(parents=True)
    (agents / "unreadable" / "status.json").mkdir(parents=True)
    monkeypatch.setenv("MODELYARD_AGENT_AGENT_ID", "elsewhere")
    other = as_agent("agent", "adopt")
    assert (other.code, "--comfyui DIR or --models-dir DIR" in other.err) == (2, True)
    monkeypatch.setenv("MODELYARD_AGENT_AGENT_ID", "render-07")
    run_once()
    shutil.copytree(agents / "render-07", agents / "render-08", ignore=shutil.ignore_patterns("bridge"))
    monkeypatch.setenv("MODELYARD_AGENT_AGENT_ID", "elsewhere")
    ran = as_agent("agent", "adopt")
    commands = [f"modelyard agent adopt --agent-id render-{number}" for number in ("07", "08")]
    assert (ran.code, [line.strip() for line in ran.err.splitlines() if "--agent-id" in line]) == (2, commands)


@pytest.mark.parametrize("has_token", [True, False], ids=["agent key as token", "no token"])
def test_agent_adopt_with_only_the_key_of_the_machine_exits_3_and_says_which_credential_it_needs(
    as_agent: Command, team: Team, folder: Path, monkeypatch: pytest.MonkeyPatch, has_token: bool
) -> None:
    monkeypatch.delenv("MODELYARD_TOKEN")
    monkeypatch.delenv("MODELYARD_TEAM")
    if has_token:
        monkeypatch.setenv("MODELYARD_TOKEN", os.environ["MODELYARD_AGENT_KEY"])
    else:
        monkeypatch.delenv("MODELYARD_URL")
        monkeypatch.setenv("MODELYARD_AGENT_URL", team.url)
    ran = as_agent("agent", "adopt", "--models-dir", folder)
    assert ran.code == 3
    assert "a machine's key cannot list" in ran.err
    assert f"modelyard login {team.url} EMAIL" in ran.err
    assert "modelyard key create NAME --access read" in ran.err


def test_agent_adopt_takes_a_key_that_only_reads(
    as_agent: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = as_agent("key", "create", "adopt", "--access", "read", "--quiet").out.strip()
    monkeypatch.setenv("MODELYARD_TOKEN", key)
    monkeypatch.delenv("MODELYARD_TEAM")
    ran = as_agent("agent", "adopt", "--models-dir", folder)
    assert ran.code == 0, ran.err
    assert ran.out == "Adopted 0 files.\n"


def pair_machine(signed_in: Command, url: str) -> str:
    """Pair a machine and return its agent key."""

    async def pair() -> str:
        async with RegistryApi(url) as registry:
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
    assert "Use the agent's name: --agent-id box" in elsewhere.out


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


def test_install_extension_copies_it_into_comfyui_and_remove_removes_it(as_agent: Command, tmp_path: Path) -> None:
    comfyui = tmp_path / "ComfyUI"
    (comfyui / "custom_nodes").mkdir(parents=True)
    ran = as_agent("agent", "install-extension", "--comfyui", comfyui)
    assert ran.code == 0, ran.err
    assert "Restart ComfyUI" in ran.out
    installed = comfyui / "custom_nodes" / "modelyard-bridge"
    socket = json.loads((installed / "agent.json").read_bytes())["socket"]
    assert socket.endswith("agents/render-07/bridge/agent.sock")
    document = json.loads(as_agent("agent", "install-extension", "--comfyui", comfyui, "--json").out)
    assert document == {"folders": [str(installed)], "socket": socket}
    assert as_agent("agent", "install-extension", "--comfyui", comfyui, "--remove").code == 0
    assert not installed.exists()
    assert "Name the folder of a ComfyUI" in as_agent("agent", "install-extension").err
    assert as_agent("agent", "install-extension", "--comfyui", tmp_path).code == 2


@pytest.mark.parametrize("value", ["off", "no-such-value"])
def test_local_api_setting_takes_on_and_off_only(
    as_agent: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("MODELYARD_AGENT_LOCAL_API", value)
    ran = as_agent("agent", "install", "--models-dir", folder, "--print")
    assert ran.code == (0 if value == "off" else 2), ran.err
