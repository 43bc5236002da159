"""A registry whose database goes away: it says so, loses nothing, and comes back without hands."""

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from modelyard.server.database.engine import Limits, open_engine
from modelyard.server.identity.state import Identity
from modelyard.server.parts import opened
from modelyard.server.settings import Settings
from tests.postgres import RunningPostgres
from tests.server.conftest import CHEAP
from tests.server.database.cutting import Cutting
from tests.server.world import Someone, World, a_model_file, hash_of

CONTENT = a_model_file()


@pytest.fixture(scope="module")
def postgres() -> Iterator[RunningPostgres]:
    with RunningPostgres() as server:
        yield server


@pytest.fixture(scope="module")
def cutting(postgres: RunningPostgres) -> Iterator[Cutting]:
    with Cutting(postgres.port) as cutting:
        yield cutting


@pytest.fixture(scope="module")
def world(postgres: RunningPostgres, cutting: Cutting, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    postgres.execute("CREATE DATABASE registry")
    url = postgres.url("registry").replace(str(postgres.port), str(cutting.port))
    folder: Path = tmp_path_factory.mktemp("bad")
    settings = Settings(data_dir=folder / "data", database_url=url, public_url="http://registry.test")
    with opened(settings, Identity(CHEAP)) as parts, World(parts) as world:
        yield world


@pytest.fixture
def team(world: World) -> Someone:
    return world.new_team()


def test_without_its_database_every_route_answers_503_and_says_when_to_come_back(
    world: World, team: Someone, postgres: RunningPostgres
) -> None:
    model_id = team.register(CONTENT)
    body = team.new_model(a_model_file("late"), "loras/late.safetensors")
    postgres.stop()
    answers = [
        team.get("/models"),
        team.get(f"/models/{model_id}/download"),
        team.post("/models", **body),
        team.delete(f"/models/{model_id}"),
        team.post("/invitations", email_address="x@y.test", invitation_role="viewer"),
        world.nobody.post("/auth/login", email_address="owner@studio.test", user_password="whatever it is"),
        world.nobody.post("/desktop/pair/start"),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["error_code"]) == (503, "unavailable"), answer.text
        assert int(answer.headers["Retry-After"]) > 0
    ready = world.client.get("/readyz")
    assert (ready.status_code, ready.json()["store"]) == (503, "ok")
    assert "database" in ready.json()["database"]
    assert world.client.get("/healthz").status_code == 200

    postgres.start()
    assert world.client.get("/readyz").status_code == 200
    assert team.post("/models", **body).status_code == 201
    assert {model["id"] for model in team.get("/models").json()["model_list"]} >= {model_id}


def test_a_registration_whose_commit_was_not_answered_is_repeated_to_the_same_model(
    team: Someone, cutting: Cutting
) -> None:
    body = team.new_model(CONTENT)
    cutting.lose_next_commit()
    lost = team.post("/models", **body)
    assert cutting.has_cut.is_set()
    assert (lost.status_code, lost.json()["error_code"]) == (503, "unavailable")
    again = team.post("/models", **body)
    assert again.status_code == 200
    [model] = team.get("/models").json()["model_list"]
    assert (model["id"], model["file_hash"]) == (again.json()["id"], hash_of(CONTENT))
    assert team.get("/teams/current").json()["stored_bytes"] == len(CONTENT)
    assert len(team.get("/audit-events", action="model.registered").json()["audit_event_list"]) == 1


def test_a_request_that_is_cut_while_it_waits_for_its_turn_does_nothing(
    world: World, team: Someone, postgres: RunningPostgres
) -> None:
    answers = []
    with world.parts.database.writing(UUID(team.team_id)) as session:
        session.execute(text("SELECT 1"))
        asking = threading.Thread(
            target=lambda: answers.append(team.post("/credentials", kind="agent", display_name="x"))
        )
        asking.start()
        waiting = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while not (found := postgres.execute(waiting, "registry")):
            assert asking.is_alive()
        postgres.execute(f"SELECT pg_terminate_backend({found[0][0]})")
        asking.join(10)
    [answer] = answers
    assert (answer.status_code, answer.json()["error_code"]) == (503, "unavailable")
    assert team.get("/credentials").json()["credentials"] == []
    assert team.post("/credentials", kind="agent", display_name="x").status_code == 201


def test_a_connection_to_a_machine_that_vanished_is_given_up_in_minutes(postgres: RunningPostgres) -> None:
    for options, idle in {"": "30", "?keepalives_idle=7": "7"}.items():
        engine = open_engine(postgres.url() + options, Limits())
        with engine.connect() as connection:
            known = connection.connection.driver_connection.info.get_parameters()  # type: ignore[union-attr]  # psycopg's
        engine.dispose()
        assert (known["keepalives_idle"], known["tcp_user_timeout"]) == (idle, "60000")
