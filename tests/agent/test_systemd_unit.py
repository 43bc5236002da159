import shutil
import subprocess
from pathlib import Path

import pytest

from modelyard.agent.systemd_unit import build_unit, write_unit
from tests.waiting import PATIENCE_SECONDS


def test_build_unit_quotes_arguments(tmp_path: Path) -> None:
    unit = build_unit("render-07", ["--models-dir=/srv/our models/100%"], {"XDG_CONFIG_HOME": str(tmp_path)})
    assert '"--models-dir=/srv/our models/100%%"' in unit.text


def test_build_unit_contains_environment_without_key(tmp_path: Path) -> None:
    environment = {
        "XDG_CONFIG_HOME": str(tmp_path),
        "MODELYARD_AGENT_KEY": "ak-secret",
        "MODELYARD_CONFIG": "/a/b.json",
        "MODELYARD_AGENT_HOURS": "22:00-07:00",
    }
    unit = build_unit("render-07", [], environment)
    assert "Environment=MODELYARD_CONFIG=/a/b.json" in unit.text
    assert "Environment=MODELYARD_AGENT_HOURS=22:00-07:00" in unit.text
    assert "ak-secret" not in unit.text


def test_build_unit_second_agent_has_own_name(tmp_path: Path) -> None:
    unit = build_unit("render-08", [], {"XDG_CONFIG_HOME": str(tmp_path)}, is_only=False)
    assert unit.path == tmp_path / "systemd" / "user" / "modelyard-agent-render-08.service"


def test_write_unit_file_passes_systemd_analyze(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = build_unit("render-07", ["--models-dir=/srv/our models"], {"XDG_CONFIG_HOME": str(tmp_path)})
    write_unit(unit)
    result = subprocess.run(
        ["systemd-analyze", "verify", "--user", unit.path],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    lines_about_unit = [line for line in result.stderr.splitlines() if unit.name in line]
    assert lines_about_unit == []
