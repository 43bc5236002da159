import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.agent.roots import RootsNotFound
from modelyard.agent.selftest.selftest import SelftestReport, run_selftest
from modelyard.agent.settings import read_settings
from tests.comfyui.comfyui_server import ComfyUIServer
from tests.sync.case_insensitive_mount import case_insensitive_mount
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.slow

SUBJECTS = ["locks", "rename", "exchange", "open files", "times", "links", "long paths", "case", "space", "comfyui"]

# The program, whose first test ends with Ctrl-C alone.
STUCK = """
import sys, threading
from modelyard.agent.selftest import selftest
from modelyard.cli.command_tree import run

selftest._CHECKS["locks"] = lambda folder: threading.Event().wait()
sys.exit(run(sys.argv[1:]))
"""


class UnlistingComfyUI(ComfyUIServer):
    """A ComfyUI whose lists of models are empty, whatever its folders contain."""

    def answer(self, path: str) -> object:
        return [] if path.startswith("/models/") else super().answer(path)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    base = tmp_path / "ComfyUI"
    (base / "models" / "loras").mkdir(parents=True)
    return base


def run_in(base: Path, folder: Path | None = None, **settings: object) -> SelftestReport:
    flags = {"comfyui": [base], "comfyui_url": ["http://127.0.0.1:9"]} | settings
    return run_selftest(read_settings({"MODELYARD_AGENT_CONFIG": str(base / "agent.toml")}, **flags), {}, folder)


def get_levels(report: SelftestReport) -> dict[str, str]:
    return {finding.subject: finding.level for finding in report.findings}


def list_paths(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_selftest_in_models_folder_passes_and_leaves_nothing(base: Path) -> None:
    report = run_in(base)
    assert report.folder == base / "models" / "loras"
    assert [finding.subject for finding in report.findings] == SUBJECTS
    # ComfyUI is off, which is said.
    assert get_levels(report) == dict.fromkeys(SUBJECTS, "ok") | {"comfyui": "warning"}
    assert list_paths(base) == ["models", "models/loras"]


def test_selftest_running_comfyui_lists_the_new_file(base: Path) -> None:
    with ComfyUIServer(base) as server:
        report = run_in(base, comfyui_url=[server.url])
    assert get_levels(report)["comfyui"] == "ok"
    assert list_paths(base / "models" / "loras") == []


def test_selftest_running_comfyui_that_lists_nothing_new_is_a_problem(base: Path) -> None:
    with UnlistingComfyUI(base) as server:
        report = run_in(base, comfyui_url=[server.url])
    assert get_levels(report)["comfyui"] == "problem"


def test_selftest_folder_outside_running_comfyui_is_tested_without_its_list(base: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with ComfyUIServer(base) as server:
        report = run_in(base, tmp_path / "other", comfyui_url=[server.url])
    assert report.folder == tmp_path / "other"
    assert get_levels(report)["comfyui"] == "warning"


def test_selftest_missing_folder_is_refused(base: Path) -> None:
    with pytest.raises(RootsNotFound, match="There is no folder"):
        run_in(base, base / "nowhere")


def test_selftest_on_case_insensitive_disk_without_exchange_warns(base: Path) -> None:
    """The file system of this test cannot exchange names, as some network shares."""
    with case_insensitive_mount(base / "models"):
        (base / "models" / "loras").mkdir()
        report = run_in(base)
    (sentence,) = [finding.sentence for finding in report.findings if finding.subject == "case"]
    assert "are one file" in sentence
    warned = {"exchange": "warning", "comfyui": "warning"}
    assert get_levels(report) == dict.fromkeys(SUBJECTS, "ok") | warned


def test_selftest_interrupted_leaves_nothing_and_exits_130(base: Path, tmp_path: Path) -> None:
    environment = os.environ | {"MODELYARD_CONFIG": str(tmp_path / "p.json"), "XDG_STATE_HOME": str(tmp_path / "state")}
    command = [sys.executable, "-c", STUCK, "agent", "selftest", "--folder", str(base), "--json"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        wait_until(lambda: process.poll() is not None or list(base.glob(".modelyard-selftest-*/locks")))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE_SECONDS) == 130
    assert list_paths(base) == ["models", "models/loras"]


def test_selftest_command_prints_system_and_findings_as_json(base: Path, tmp_path: Path) -> None:
    environment = os.environ | {"MODELYARD_CONFIG": str(tmp_path / "p.json"), "XDG_STATE_HOME": str(tmp_path / "state")}
    command = [sys.executable, "-m", "modelyard", "agent", "selftest", "--models-dir", str(base / "models"), "--json"]
    document = json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert [finding["subject"] for finding in document["findings"]] == SUBJECTS
    assert document["problems"] == 0
    assert document["folder"] == str(base / "models" / "loras")
    assert "Python" in document["system"]
