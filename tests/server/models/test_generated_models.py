"""The generated models of the benches fit the schema, and the API returns them."""

from uuid import UUID

import pytest

from bench.generated_models import build_content, build_hash, insert_models
from tests.server.harness import ApiCaller, Harness

COUNT = 10
HASHES = {build_hash(number) for number in range(COUNT)}


@pytest.fixture(scope="module")
def generated_team(module_registry: Harness) -> ApiCaller:
    """Return the owner of a team with ten generated models, which machines should hold."""
    database, team_id = module_registry.resources.database, UUID(module_registry.team_id)
    insert_models(database, team_id, COUNT, are_desired=True, have_own_blobs=True)
    return module_registry.owner


def test_list_generated_models_has_all_that_were_inserted(generated_team: ApiCaller) -> None:
    listed = generated_team.get("/models", per_page=100).json()["model_list"]
    sizes = {build_hash(number): len(build_content(number)) for number in range(COUNT)}
    assert {model["file_hash"]: model["file_size"] for model in listed} == sizes
    assert {(model["verification"], model["model_status"]) for model in listed} == {("verified", "active")}


def test_get_generated_model_is_the_listed_one_with_the_hashes_of_its_blob(generated_team: ApiCaller) -> None:
    newest = generated_team.get("/models").json()["model_list"][0]
    # Lists do not look up the place at the Hugging Face endpoint.
    assert generated_team.get(f"/models/{newest['id']}").json() | {"hub_file": None} == newest
    hashes = generated_team.get(f"/models/{newest['id']}/hashes").json()
    assert f"sha256:{hashes['sha256']}" == newest["file_hash"]


def test_manifest_with_generated_models_has_all_that_are_desired(
    module_registry: Harness, generated_team: ApiCaller
) -> None:
    machine = module_registry.create_key("agent", generated_team)
    machine.post("/agent/heartbeat", agent_id="render-07")
    manifest = machine.get("/agent/manifest", agent_id="render-07").json()
    assert {entry["file_hash"] for entry in manifest["model_list"]} == HASHES
