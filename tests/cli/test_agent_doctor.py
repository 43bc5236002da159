"""``agent doctor``: what it prints, and its exit code."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Command

pytestmark = pytest.mark.slow


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


def test_agent_run_once_and_doctor_after_it_exit_1_and_count_a_model_in_conflict(
    process: Command, as_agent: Command, folder: Path
) -> None:
    (folder / "loras").mkdir()
    (folder / "loras" / "ink.safetensors").write_bytes(b"a file of the user")
    failed = process("agent", "run", "--models-dir", folder, "--once")
    assert (failed.code, failed.out) == (1, "0 models in place, 1 in conflict.\n")
    ran = as_agent("agent", "doctor")
    assert ran.code == 1
    assert "At its last run, the agent could not place 1 model because of a conflict." in ran.out


def test_agent_doctor_after_a_run_with_keep_free_above_the_whole_disk_names_it_once(
    process: Command, as_agent: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_AGENT_KEEP_FREE", "500PB")
    ran = process("agent", "run", "--models-dir", folder, "--once")
    assert ran.out == "0 models in place, 1 blocked.\n"
    assert "Lower keep_free in agent.toml" in ran.err
    findings = json.loads(as_agent("agent", "doctor", "--json").out)["findings"]
    [problem] = [finding for finding in findings if finding["level"] == "problem"]
    assert problem["subject"] == "space"
    assert problem["sentence"].endswith("At its last run, the agent could not place 1 model.")


def test_agent_doctor_with_revoked_key_exits_1_with_pair_command(as_agent: Command, folder: Path) -> None:
    as_agent("key", "rm", os.environ["MODELYARD_AGENT_KEY"])
    ran = as_agent("agent", "doctor", "--models-dir", folder)
    assert ran.code == 1
    assert "problem  key" in ran.out
    assert "-> modelyard agent pair --url" in ran.out
