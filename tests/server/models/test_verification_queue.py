"""The verification queue: registration does not wait for it; its limits are of each person, each team and all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.server.identity.state import Identity
from modelyard.server.resources import open_resources
from tests.server.conftest import CHEAP
from tests.server.environments import PATIENT, Environments
from tests.server.harness import ApiCaller, Harness, make_model_file
from tests.server.inspection import builders

pytestmark = pytest.mark.slow

UNSAFE = builders.build_tensorless_checkpoint(builders.call(builders.named("os", "system"), builders.text("true")))
QUEUE = 10


@pytest.fixture
def registry_without_workers(environments: Environments, tmp_path: Path) -> Iterator[Harness]:
    """A registry with short queues, whose lifespan and workers do not run."""
    with (
        environments.create_settings(tmp_path, verification_queue=QUEUE) as settings,
        open_resources(settings, Identity(CHEAP), PATIENT) as resources,
        Harness.without_jobs(resources) as registry,
    ):
        yield registry


def create_scanning_team(registry: Harness) -> ApiCaller:
    """Create a team of another person that scans pickle files."""
    return let_scan(registry.create_other_team())


def let_scan(team: ApiCaller) -> ApiCaller:
    assert team.put("/teams/current", pickle_policy="scan").status_code == 200
    return team


def fill_queue(team: ApiCaller, count: int = QUEUE) -> None:
    for number in range(count):
        team.register(UNSAFE, f"checkpoints/{number}.pt")


def test_register_unsafe_pickle_fails_verification_with_the_reason(registry: Harness) -> None:
    team = create_scanning_team(registry)
    model_id = team.register(UNSAFE, "checkpoints/old.pt")
    model = team.get(f"/models/{model_id}").json()
    assert model["verification"] == "failed"
    assert "os.system" in model["verification_error"]


def test_register_into_full_queue_returns_503_and_succeeds_once_it_is_processed(
    registry_without_workers: Harness,
) -> None:
    team = create_scanning_team(registry_without_workers)
    fill_queue(team)
    body = team.new_model(UNSAFE, "checkpoints/more.pt")
    refused = team.post("/models", **body)
    assert (refused.status_code, refused.json()["error_code"]) == (503, "verification_queue_full")
    assert refused.json()["waiting"] == QUEUE
    assert refused.headers["Retry-After"] == str(refused.json()["retry_after"])
    with registry_without_workers.client:
        team.wait_until_verified(team.get("/models").json()["model_list"][0]["id"])
        assert team.post("/models", **body).status_code == 201


def test_register_inspected_file_with_full_queue_succeeds_in_folder_and_returns_503_in_bucket(
    registry_without_workers: Harness,
) -> None:
    team = create_scanning_team(registry_without_workers)
    fill_queue(team)
    answer = team.post("/models", **team.new_model(make_model_file()))
    assert answer.status_code == (201 if registry_without_workers.resources.settings.storage_url is None else 503)


def test_teams_of_one_person_share_one_queue(registry_without_workers: Harness) -> None:
    first, second = (let_scan(registry_without_workers.create_team()) for _ in range(2))
    fill_queue(first, QUEUE - 1)
    second.register(UNSAFE, "checkpoints/last.pt")
    refused = second.post("/models", **second.new_model(UNSAFE, "checkpoints/more.pt"))
    assert (refused.status_code, refused.json()["waiting"]) == (503, QUEUE)
    assert "the person who uploads, in all of their teams" in refused.json()["detail"]
    fill_queue(create_scanning_team(registry_without_workers), 2)


def test_register_with_full_queues_of_ten_teams_allows_another_team_a_tenth_of_its_queue(
    registry_without_workers: Harness,
) -> None:
    for _ in range(10):
        fill_queue(create_scanning_team(registry_without_workers))
    team = create_scanning_team(registry_without_workers)
    fill_queue(team, 1)
    refused = team.post("/models", **team.new_model(UNSAFE, "checkpoints/more.pt"))
    assert (refused.status_code, refused.json()["waiting"]) == (503, 1)
