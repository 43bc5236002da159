"""The server against its own OpenAPI document: schemathesis with every check; exceptions: schemathesis.toml."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import RunningServer
from tests.server.harness import PASSWORD, ApiCaller

HERE = Path(__file__).parent
MAX_SECONDS = 900
MIN_CASES = 1500
MIN_LINKS = 5
# Links of the examples lead to a port where nothing listens: the test sends nothing to the real sources.
NO_SOURCE = "http://127.0.0.1:1"


def _environment(server: RunningServer) -> dict[str, str]:
    """Return environment variables with the server's URL, a token and team ids for the hooks."""
    owner = server.owner()
    variables = {"URL": server.url, "TOKEN": owner.token or "", "TEAM": owner.team_id or ""}
    variables["OTHER_TOKEN"] = _sign_in_other_user(owner, server.anonymous())
    for name in ("OTHER_TEAM", "LAST_TEAM"):
        variables[name] = owner.post("/teams", display_name=name).json()["id"]
    python_path = os.pathsep.join([str(HERE.parent.parent), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    hooks = {"SCHEMATHESIS_HOOKS": "tests.journeys.openapi_hooks", "PYTHONPATH": python_path}
    return dict(os.environ) | {f"MODELYARD_TEST_{name}": value for name, value in variables.items()} | hooks


def _sign_in_other_user(owner: ApiCaller, anonymous: ApiCaller) -> str:
    """Return the access token of a new user, whose calls cannot end the owner's session."""
    login = {"email_address": "other@studio.test", "user_password": PASSWORD}
    invited = owner.post("/invitations", email_address=login["email_address"], invitation_role="viewer").json()
    accepted = {"invitation_token": invited["invitation_token"], "first_name": "Other", "last_name": "User"}
    anonymous.post("/invitations/accept", **accepted, user_password=PASSWORD)
    return str(anonymous.post("/auth/login", **login).json()["access_token"])


def _find_number(pattern: str, report: str) -> int:
    match = re.search(pattern, report)
    return int(match[1]) if match else 0


@pytest.mark.timeout(MAX_SECONDS + 30)
def test_server_conforms_to_its_openapi_document_in_schemathesis_run(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("schemathesis")
    command = [str(program), "--config-file", str(HERE / "schemathesis.toml"), "run"]
    settings = {"import_huggingface_url": NO_SOURCE, "import_civitai_url": NO_SOURCE}
    with RunningServer(tmp_path / "data", port=0, **settings) as server:
        result = subprocess.run(
            [*command, f"{server.url}/api/v1/openapi.json", "--no-shrink", "--no-color", "--warnings", "off"],
            env=_environment(server),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=MAX_SECONDS,
            check=False,
        )
        assert server.is_alive
        log = server.log.read_text()
    report = result.stdout + result.stderr
    assert result.returncode == 0, report
    assert "unhandled error" not in log
    # A run with few cases, or without follow-up calls on what it created, proves nothing.
    assert _find_number(r"(\d+) generated", report) >= MIN_CASES, report
    assert _find_number(r"(\d+) covered", report) >= MIN_LINKS, report
