"""Install the built packages as users do, on the oldest and a newer Python, and run what was installed."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard import __version__
from tests.running import RunningServer
from tests.server.harness import make_model_file
from tools.repository import ROOT

INSTALLERS = ROOT / ".venv-installers" / "bin"
VERSIONS = ("3.11", "3.13")
MAX_INSTALL_SECONDS = 300


def find_python(version: str) -> str:
    """Return the path of this version of Python; skip the test without it (CONTRIBUTING.md has the packages)."""
    python = shutil.which(f"python{version}")
    if python is None:
        pytest.skip(f"python{version} is not installed")  # no distribution has all of them
    return python


def run(command: list[str], home: Path, **variables: str) -> str:
    """Run a command for a user with this home folder; return its output."""
    environment = os.environ | {"HOME": str(home), "UV_PYTHON_DOWNLOADS": "never"} | variables
    output = subprocess.run(
        command, cwd=home, env=environment, capture_output=True, text=True, timeout=MAX_INSTALL_SECONDS, check=False
    )
    assert output.returncode == 0, output.stdout + output.stderr
    return output.stdout


def install_with_pip(package: str, python: str, home: Path) -> Path:
    run([python, "-m", "venv", str(home / "modelyard")], home)
    run([str(home / "modelyard" / "bin" / "pip"), "install", "--quiet", package], home)
    return home / "modelyard" / "bin"


def install_with_pipx(package: str, python: str, home: Path) -> Path:
    folders = {"PIPX_HOME": str(home / "pipx"), "PIPX_BIN_DIR": str(home / "bin")}
    run([str(INSTALLERS / "pipx"), "install", "--python", python, package], home, **folders)
    return home / "pipx" / "venvs" / "modelyard" / "bin"


def install_with_uv(package: str, python: str, home: Path) -> Path:
    folders = {"UV_TOOL_DIR": str(home / "tools"), "UV_TOOL_BIN_DIR": str(home / "bin")}
    run([str(INSTALLERS / "uv"), "tool", "install", "--python", python, package], home, **folders)
    return home / "tools" / "modelyard" / "bin"


Install = Callable[[str, str, Path], Path]
INSTALL_METHODS = pytest.mark.parametrize(
    "install", [install_with_pip, install_with_pipx, install_with_uv], ids=["pip", "pipx", "uv"]
)


@pytest.mark.parametrize("version", VERSIONS)
@INSTALL_METHODS
def test_installed_server_serves_the_page_and_takes_a_model(
    install: Install, version: str, wheel: Path, tmp_path: Path
) -> None:
    programs = install(f"{wheel}[server]", find_python(version), tmp_path)
    server = RunningServer(tmp_path / "data")
    server.python = programs / "python"
    with server:
        assert "/assets/" in server.client().get("/", headers={"Accept": "text/html"}).text
        server.owner().register(make_model_file("ink"))


@pytest.mark.parametrize("version", VERSIONS)
def test_sdist_installs_without_node_and_without_the_server(version: str, sdist: Path, tmp_path: Path) -> None:
    python = find_python(version)
    run([python, "-m", "venv", str(tmp_path / "modelyard")], tmp_path)
    pip = str(tmp_path / "modelyard" / "bin" / "pip")
    # No folder of Node on the search path.
    run([pip, "install", "--quiet", str(sdist)], tmp_path, PATH="/usr/bin:/bin")
    program = str(tmp_path / "modelyard" / "bin" / "modelyard")
    assert __version__ in run([program, "--version"], tmp_path)
    serve = subprocess.run([program, "serve"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert serve.returncode == 1
    assert "modelyard[server]" in serve.stderr


INSTALL_LINE = re.compile(r"^ *((?:\S*/)?pip install|pipx install|uv tool install|python3 -m venv) .*$", re.MULTILINE)


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md", "docs/fleet.md", "docs/operate.md"])
def test_install_lines_of_the_documentation_work(page: str, built: Path, tmp_path: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"^ *```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL))
    lines = [match[0].strip() for match in INSTALL_LINE.finditer(blocks)]
    assert lines
    # The fixture has run `make dist`, in a copy of the checkout; folders outside of the home folder are moved into it.
    script = (
        "\n".join(lines).replace("/usr/local/src/modelyard", str(built.parent)).replace("/opt/", f"{tmp_path}/opt/")
    )
    environment = os.environ | {"HOME": str(tmp_path), "PATH": f"{INSTALLERS}:{os.environ['PATH']}"}
    command = ["sh", "-e", "-u", "-c", script]
    subprocess.run(command, cwd=built.parent, env=environment, check=True, timeout=MAX_INSTALL_SECONDS)
    programs = [path for path in tmp_path.rglob("bin/modelyard") if path.exists()]
    assert programs
    assert __version__ in run([str(programs[0]), "--version"], tmp_path)
