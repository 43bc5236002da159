"""A registry whose database goes away: it says so, loses nothing, and comes back without hands."""

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from modelyard.server.database.engine import Limits, open_engine
from modelyard.server.identity.state import Identity
from modelyard.server.resources import open_resources
from modelyard.server.settings import Settings
from tests.postgres import RunningPostgres
from tests.server.conftest import CHEAP
from tests.server.database.commit_proxy import CommitProxy
from tests.server.environments import PATIENT
from tests.server.harness import MAX_TEAMS, ApiCaller, Harness, hash_of, make_model_file
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.slow

CONTENT = make_model_file()


@pytest.fixture(scope="module")
def postgres() -> Iterator[RunningPostgres]:
    with RunningPostgres() as server:
        yield server


@pytest.fixture(scope="module")
def commit_proxy(postgres: RunningPostgres) -> Iterator[CommitProxy]:
    with CommitProxy(postgres.port) as commit_proxy:
        yield commit_proxy


@pytest.fixture(scope="module")
def registry(
    postgres: RunningPostgres, commit_proxy: CommitProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Harness]:
    postgres.execute("CREATE DATABASE registry")
    url = postgres.url("registry").replace(str(postgres.port), str(commit_proxy.port))
    folder: Path = tmp_path_factory.mktemp("bad")
    settings = Settings(
        data_dir=folder / "data", database_url=url, public_url="http://registry.test", max_teams=MAX_TEAMS
    )
    # A job could make the commit whose response a test loses.
    with open_resources(settings, Identity(CHEAP), PATIENT) as resources, Harness.without_jobs(resources) as registry:
        yield registry


@pytest.fixture
def team(registry: Harness) -> ApiCaller:
    return registry.create_team()


def test_request_while_database_is_down_returns_503_with_retry_after(
    registry: Harness, team: ApiCaller, postgres: RunningPostgres
) -> None:
    model_id = team.register(CONTENT)
    body = team.new_model(make_model_file("late"), "loras/late.safetensors")
    postgres.stop()
    answers = [
        team.get("/models"),
        team.get(f"/models/{model_id}/download"),
        team.post("/models", **body),
        team.delete(f"/models/{model_id}"),
        team.post("/invitations", email_address="x@y.test", invitation_role="viewer"),
        registry.anonymous.post("/auth/login", email_address="owner@studio.test", user_password="whatever it is"),
        registry.anonymous.post("/desktop/pair/start"),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["error_code"]) == (503, "unavailable"), answer.text
        assert int(answer.headers["Retry-After"]) > 0
    ready = registry.client.get("/readyz")
    assert (ready.status_code, ready.json()["store"]) == (503, "ok")
    assert "database" in ready.json()["database"]
    assert registry.client.get("/healthz").status_code == 200

    postgres.start()
    wait_until(lambda: registry.client.get("/readyz").status_code == 200)
    assert team.post("/models", **body).status_code == 201
    assert {model["id"] for model in team.get("/models").json()["model_list"]} >= {model_id}


def test_register_again_after_lost_commit_response_returns_same_model(
    team: ApiCaller, commit_proxy: CommitProxy
) -> None:
    body = team.new_model(CONTENT)
    commit_proxy.lose_next_commit()
    lost = team.post("/models", **body)
    assert commit_proxy.has_lost_commit.is_set()
    assert (lost.status_code, lost.json()["error_code"]) == (503, "unavailable")
    again = team.post("/models", **body)
    assert again.status_code == 200
    [model] = team.get("/models").json()["model_list"]
    assert (model["id"], model["file_hash"]) == (again.json()["id"], hash_of(CONTENT))
    assert team.get("/teams/current").json()["stored_bytes"] == len(CONTENT)
    assert len(team.get("/audit-events", action="model.registered").json()["audit_event_list"]) == 1


def test_request_cancelled_while_waiting_for_lock_changes_nothing(
    registry: Harness, team: ApiCaller, postgres: RunningPostgres
) -> None:
    answers = []
    with registry.resources.database.writing(UUID(team.team_id)) as session:
        session.execute(text("SELECT 1"))
        asking = threading.Thread(
            target=lambda: answers.append(team.post("/credentials", kind="agent", display_name="x"))
        )
        asking.start()
        waiting = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while not (found := postgres.execute(waiting, "registry")):
            assert asking.is_alive()
        postgres.execute(f"SELECT pg_terminate_backend({found[0][0]})")
        asking.join(PATIENCE_SECONDS)
    [answer] = answers
    assert (answer.status_code, answer.json()["error_code"]) == (503, "unavailable")
    assert team.get("/credentials").json()["credentials"] == []
    assert team.post("/credentials", kind="agent", display_name="x").status_code == 201


def test_open_postgres_connection_detects_vanished_machine_in_minutes(postgres: RunningPostgres) -> None:
    for options, idle in {"": "30", "?keepalives_idle=7": "7"}.items():
        engine = open_engine(postgres.url() + options, Limits())
        with engine.connect() as connection:
            known = connection.connection.driver_connection.info.get_parameters()  # type: ignore[union-attr]  # psycopg's
        engine.dispose()
        assert (known["keepalives_idle"], known["tcp_user_timeout"]) == (idle, "60000")
