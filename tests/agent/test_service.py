import shutil
import subprocess
from pathlib import Path

import pytest

from modelyard.agent.service import unit_for, write_unit


def test_words_with_blanks_and_signs_reach_the_program_as_they_are(tmp_path: Path) -> None:
    unit = unit_for("render-07", ["--models-dir=/srv/our models/100%"], {"XDG_CONFIG_HOME": str(tmp_path)})
    assert '"--models-dir=/srv/our models/100%%"' in unit.text


def test_the_unit_knows_where_the_files_are_and_what_is_set_and_not_the_key(tmp_path: Path) -> None:
    environment = {
        "XDG_CONFIG_HOME": str(tmp_path),
        "MODELYARD_AGENT_KEY": "ak-secret",
        "MODELYARD_CONFIG": "/a/b.json",
        "MODELYARD_AGENT_HOURS": "22:00-07:00",
    }
    unit = unit_for("render-07", [], environment)
    assert "Environment=MODELYARD_CONFIG=/a/b.json" in unit.text
    assert "Environment=MODELYARD_AGENT_HOURS=22:00-07:00" in unit.text
    assert "ak-secret" not in unit.text


def test_a_second_agent_has_a_unit_of_its_own(tmp_path: Path) -> None:
    unit = unit_for("render-08", [], {"XDG_CONFIG_HOME": str(tmp_path)}, is_only=False)
    assert unit.path == tmp_path / "systemd" / "user" / "modelyard-agent-render-08.service"


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = unit_for("render-07", ["--models-dir=/srv/our models"], {"XDG_CONFIG_HOME": str(tmp_path)})
    write_unit(unit)
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--user", unit.path], capture_output=True, text=True, timeout=30, check=False
    )
    about_it = [line for line in ran.stderr.splitlines() if unit.name in line]
    assert about_it == []
