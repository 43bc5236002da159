"""Clients that are generated from the OpenAPI document of a running server do the main job against it.

The generators are in an environment of their own, which ``make journeys`` builds: ``openapi-python-client`` and, with
Node, ``@hey-api/openapi-ts``. Generated code goes to a temporary folder.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.running import OWNER, RunningServer
from tests.server.harness import PASSWORD, make_model_file
from tools.repository import ROOT

ENVIRONMENT = ROOT / ".venv-clients"
SOURCES = Path(__file__).parent / "generated_clients"
TIMEOUT_SECONDS, DOCUMENT_SECONDS = 240, 60


@pytest.fixture
def file(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Write a model file whose content differs from that of the other tests."""
    file = tmp_path / "model.safetensors"
    file.write_bytes(make_model_file(request.node.name, 4096))
    return file


def run(*command: str | Path, folder: Path, **variables: str) -> str:
    """Run a program with the generators' Python and Node first in PATH; return what it writes to standard output."""
    if not (ENVIRONMENT / ".ready").exists():
        pytest.fail("The generators of clients are not installed: run `make journeys`, which installs them.")
    environment = os.environ | {"PATH": f"{ENVIRONMENT / 'bin'}{os.pathsep}{os.environ['PATH']}"} | variables
    process = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert process.returncode == 0, f"{command[0]}:\n{process.stdout}\n{process.stderr}"
    return process.stdout


def generate_python_client(server: RunningServer, folder: Path) -> None:
    """Generate the package ``generated_client``; fail if the generator leaves anything out."""
    document, target = folder / "openapi.json", folder / "generated_client"
    # The generator itself waits for a document for five seconds only.
    response = httpx2.get(f"{server.url}/api/v1/openapi.json", timeout=DOCUMENT_SECONDS, trust_env=False)
    document.write_bytes(response.raise_for_status().content)
    # It knows no pictures, but reads them as other bytes.
    config = SOURCES / "openapi-python-client.json"
    options = ("--output-path", target, "--meta", "none", "--fail-on-warning", "--config", config)
    run(ENVIRONMENT / "bin" / "openapi-python-client", "generate", "--path", document, *options, folder=folder)


def generate_typescript_client(server: RunningServer, folder: Path) -> None:
    """Generate the modules in ``client/``, beside the program that uses them and the packages of the generator."""
    for name in ("package.json", "openapi-ts.config.js", "tsconfig.json", "main_job.ts"):
        shutil.copy(SOURCES / name, folder)
    (folder / "node_modules").symlink_to(ENVIRONMENT / "typescript" / "node_modules")
    run("npx", "openapi-ts", folder=folder, OPENAPI_URL=f"{server.url}/api/v1/openapi.json")


def expect_result(name: str, language: str, file: Path) -> dict[str, Any]:
    """Return what the main job reports: an update of the tags changes nothing else, and the content is the same."""
    return {
        "display_name": f"From {name}",
        "model_path": f"loras/{language}.safetensors",
        "model_status": "active",
        "tags": [language],
        "total_count": 1,
        "downloaded_hash": f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}",
        "problem": "model_not_found",
    }


def test_generated_python_client_type_checks_and_does_the_main_job(
    registry: RunningServer, tmp_path: Path, file: Path
) -> None:
    generate_python_client(registry, tmp_path)
    python, program = ENVIRONMENT / "bin" / "python", SOURCES / "main_job.py"
    # The program's use of the client is checked, not the generator's own code.
    options = ("--strict", "--follow-imports=silent", "--config-file=", "--python-executable", python)
    run(sys.executable, "-m", "mypy", *options, program, folder=tmp_path, MYPYPATH=str(tmp_path))
    output = run(python, program, registry.url, file, OWNER, PASSWORD, folder=tmp_path, PYTHONPATH=str(tmp_path))
    assert json.loads(output) == expect_result("Python", "python", file)


def test_generated_typescript_client_type_checks_and_does_the_main_job(
    registry: RunningServer, tmp_path: Path, file: Path
) -> None:
    generate_typescript_client(registry, tmp_path)
    run("npx", "tsc", "--project", "tsconfig.json", folder=tmp_path)
    output = run("node", "built/main_job.js", registry.url, file, OWNER, PASSWORD, folder=tmp_path)
    assert json.loads(output) == expect_result("TypeScript", "typescript", file)
