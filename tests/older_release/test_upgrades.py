"""The order of upgrades in docs/operate.md: what an older server does on the schema of a newer one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.older_release.machine import Machine
from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.server.harness import make_model_file
from tools.older_release import NotInstalled, install_commit

INK_PATH = "loras/ink.safetensors"


@pytest.fixture
def older_server(request: pytest.FixtureRequest, tmp_path: Path, older_python: Path) -> Iterator[RunningServer]:
    """A running registry of the older release, on the database that the test names."""
    if request.param == "sqlite":
        yield from run_older(RunningServer(tmp_path / "data"), older_python)
    else:
        postgres: RunningPostgres = request.getfixturevalue("postgres_server")
        with postgres.database() as url:
            yield from run_older(RunningServer(tmp_path / "data", database_url=url), older_python)


def run_older(server: RunningServer, older_python: Path) -> Iterator[RunningServer]:
    server.python = older_python
    with server:
        yield server


@pytest.mark.parametrize(("older_server", "status"), [("sqlite", 503), ("postgres", 500)], indirect=["older_server"])
def test_older_server_on_a_migrated_schema_answers_no_models_and_does_not_start_again(
    older_server: RunningServer, this_python: Path, older_python: Path, status: int
) -> None:
    owner = older_server.owner()
    owner.register(make_model_file("ink"), INK_PATH)
    older_server.python = this_python
    older_server.run_command("migrate", "--data-dir", str(older_server.data_dir))
    readiness = older_server.client().get("/readyz")
    assert (readiness.status_code, readiness.json()["schema_state"]) == (503, "too new")
    assert owner.get("/models").status_code == status
    assert older_server.stop() == 0
    older_server.python = older_python
    with pytest.raises(AssertionError, match="written by a newer modelyard"):
        older_server.start()
    older_server.python = this_python
    older_server.start()
    assert [row["model_path"] for row in older_server.owner().get("/models").json()["model_list"]] == [INK_PATH]


def test_install_commit_that_the_clone_lacks_says_how_to_fetch_it() -> None:
    with pytest.raises(NotInstalled, match="git fetch --unshallow"):
        install_commit("0" * 40)


def test_command_line_refused_by_the_older_registry_says_that_one_of_them_is_older(
    older_registry: RunningServer, tmp_path: Path, machine: Machine
) -> None:
    file = tmp_path / "ink.safetensors"
    file.write_bytes(make_model_file("ink"))
    owner = older_registry.owner()
    key = owner.post("/credentials", kind="integration", display_name="Pushes").json()["raw_key"]
    environment = {"MODELYARD_URL": older_registry.url, "MODELYARD_TOKEN": key}
    refused = machine.run("push", str(file), "--type", "loras", **environment)
    assert refused.returncode == 4
    assert "another release" in refused.stderr
