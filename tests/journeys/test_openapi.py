"""The server against its own OpenAPI document: schemathesis with every check; exceptions in schemathesis.toml."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import RunningServer

HERE = Path(__file__).parent
MOST_SECONDS = 240
FEWEST_CASES = 1500
FEWEST_LINKS = 5


def _environment(server: RunningServer) -> dict[str, str]:
    owner = server.owner()
    ours = {"URL": server.url, "TOKEN": owner.token or "", "TEAM": owner.team_id or ""}
    for name in ("OTHER_TEAM", "LAST_TEAM"):
        ours[name] = owner.post("/teams", display_name=name).json()["id"]
    paths = os.pathsep.join([str(HERE.parent.parent), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    hooks = {"SCHEMATHESIS_HOOKS": "tests.journeys.openapi_hooks", "PYTHONPATH": paths}
    return dict(os.environ) | {f"MODELYARD_TEST_{name}": value for name, value in ours.items()} | hooks


def _number(pattern: str, report: str) -> int:
    found = re.search(pattern, report)
    return int(found[1]) if found else 0


@pytest.mark.timeout(MOST_SECONDS + 30)
def test_the_server_does_what_its_document_says(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("schemathesis")
    command = [str(program), "--config-file", str(HERE / "schemathesis.toml"), "run"]
    with RunningServer(tmp_path / "data") as server:
        ran = subprocess.run(
            [*command, f"{server.url}/api/v1/openapi.json", "--no-shrink", "--no-color", "--warnings", "off"],
            env=_environment(server),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=MOST_SECONDS,
            check=False,
        )
        assert server.is_alive
        log = server.log.read_text()
    report = ran.stdout + ran.stderr
    assert ran.returncode == 0, report
    assert "unhandled error" not in log
    # A run that calls little, or never goes on from what it made, proves nothing.
    assert _number(r"(\d+) generated", report) >= FEWEST_CASES, report
    assert _number(r"(\d+) covered", report) >= FEWEST_LINKS, report
