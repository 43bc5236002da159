"""The container image: built on a Debian that the test makes, and run on a read-only root without privileges."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.command_line import CommandLine
from tests.packaging.container import Buildah, RunningContainer
from tests.running import RunningServer
from tests.server.harness import make_model_file
from tools.older_release import COMMIT
from tools.repository import ROOT

pytestmark = pytest.mark.container
CONTENT = make_model_file("ink", 200_000)


@pytest.fixture(scope="module")
def buildah(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Buildah:
    """Buildah with the image ``modelyard`` of this checkout."""
    folder = tmp_path_factory.mktemp("buildah")
    buildah = Buildah(folder)
    buildah.build_base("localhost/base", tmp_path_factory.mktemp("base"))
    buildah.build("modelyard", built.parent, "--build-arg", "BASE=localhost/base")
    return buildah


@pytest.fixture
def container(buildah: Buildah, tmp_path: Path) -> Iterator[RunningContainer]:
    """A container that is not started, with an empty volume."""
    container = RunningContainer(tmp_path / "data", *buildah.mount("modelyard"))
    yield container
    if container.is_alive:
        container.kill()


def push_file(server: RunningServer, home: Path) -> None:
    """Push CONTENT as ``loras/ink.safetensors`` with the command line."""
    (home / "ComfyUI" / "loras").mkdir(parents=True)
    (home / "ComfyUI" / "loras" / "ink.safetensors").write_bytes(CONTENT)
    pushed = CommandLine(home, server.url, server.owner()).run("push", str(home / "ComfyUI"))
    assert pushed.code == 0, pushed


def pull_file(server: RunningServer, home: Path) -> bytes:
    """Pull ``loras/ink.safetensors`` into a new folder with the command line; return its content."""
    pulled = CommandLine(home, server.url, server.owner()).run(
        "pull", "loras/ink.safetensors", "-o", str(home / "pulled")
    )
    assert pulled.code == 0, pulled
    return (home / "pulled" / "ink.safetensors").read_bytes()


def test_container_takes_a_model_and_returns_it_after_a_restart(container: RunningContainer, tmp_path: Path) -> None:
    container.start()
    assert "/assets/" in container.client().get("/", headers={"Accept": "text/html"}).text
    push_file(container, tmp_path)
    assert container.stop() == 0
    container.start()
    assert pull_file(container, tmp_path) == CONTENT


def test_container_runs_as_its_user_on_a_read_only_root(container: RunningContainer) -> None:
    container.start()
    assert Path(f"/proc/{container.pid}").stat().st_uid == 10001
    written = container.run("python3", "-c", "open('/opt/modelyard/new', 'w')")
    assert "Read-only file system" in written.stderr
    assert container.run("python3", "-c", "open('/tmp/new', 'w'); open('/data/new', 'w')").returncode == 0


def test_health_check_of_the_image_passes_only_while_the_server_runs(
    container: RunningContainer, buildah: Buildah
) -> None:
    _, configuration = buildah.mount("modelyard")
    kind, *command = configuration["Healthcheck"]["Test"]
    assert kind == "CMD"
    container.start()
    healthy = container.run(*command)
    assert healthy.returncode == 0, healthy.stderr
    container.stop()
    assert container.run(*command).returncode != 0


def test_container_takes_over_the_data_of_release_0_3_0(
    buildah: Buildah, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    archive = subprocess.run(["git", "archive", COMMIT, "src"], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "--extract", "--directory", str(source)], input=archive, check=True)
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONPATH", str(source / "src"))
        old = RunningServer(tmp_path / "data")
        old.starts_as_users_do = True
        with old:
            old.owner().register(CONTENT, "loras/ink.safetensors")
            assert "/api/v1/models/facets" not in old.client().get("/api/v1/openapi.json").json()["paths"]
            assert old.stop() == 0
    container = RunningContainer(tmp_path / "data", *buildah.mount("modelyard"))
    with container:
        assert pull_file(container, tmp_path) == CONTENT
