"""Files that are expensive to inspect: registered as pending, inspected by the workers, then verified or failed."""

import pytest

from tests.server.agents.machine import Machine
from tests.server.harness import hash_of
from tests.server.inspection import builders
from tests.server.verification.machine_content import download_as_machine, manifest_has_only
from tests.server.verification.unverified_team import UnverifiedTeam

pytestmark = pytest.mark.slow

UNSAFE = builders.build_tensorless_checkpoint(builders.call(builders.named("os", "system"), builders.text("true")))
PATH = "checkpoints/old.pt"
UNKNOWN_TYPE = {"a": {"dtype": "U9", "shape": [], "data_offsets": []}}
LARGE_HEADER = builders.safetensors({"__metadata__": {"a": "x" * 2**20}} | UNKNOWN_TYPE)


@pytest.fixture
def scanning_team(unverified: UnverifiedTeam) -> UnverifiedTeam:
    """A team that accepts pickle files if the scan finds nothing."""
    assert unverified.owner.put("/teams/current", pickle_policy="scan").status_code == 200
    return unverified


def test_register_unsafe_pickle_is_pending_then_failed_with_the_reason(scanning_team: UnverifiedTeam) -> None:
    model_id = scanning_team.register(UNSAFE, PATH)
    assert scanning_team.state(model_id) == "pending"
    scanning_team.verify()
    model = scanning_team.model(model_id)
    assert model["verification"] == "failed"
    assert "This file names 'os.system'" in model["verification_error"]
    assert model["metadata"]["refusal"]["found"] == "unsafe pickle"
    assert scanning_team.owner.get(f"/models/{model_id}/download").json()["error_code"] == "model_damaged"


def test_register_clean_pickle_is_pending_then_verified_with_its_metadata(scanning_team: UnverifiedTeam) -> None:
    content = builders.build_checkpoint()
    model_id = scanning_team.register(content, PATH)
    assert scanning_team.model(model_id)["metadata"]["format"] == "pickle"
    assert scanning_team.owner.get(f"/models/{model_id}/download").json()["error_code"] == "model_not_verified"
    scanning_team.verify()
    model = scanning_team.model(model_id)
    assert (model["verification"], model["metadata"]["extra"]["pickle_scan"]) == ("verified", "clean")
    assert scanning_team.download(model_id) == content


def test_register_invalid_large_header_fails_with_the_reason_for_a_small_one(unverified: UnverifiedTeam) -> None:
    small = builders.safetensors(UNKNOWN_TYPE)
    refused = unverified.owner.post("/models", **unverified.owner.new_model(small, storage_key=unverified.send(small)))
    assert refused.status_code == 422
    model_id = unverified.register(LARGE_HEADER)
    assert unverified.state(model_id) == "pending"
    unverified.verify()
    assert unverified.model(model_id)["verification_error"] == refused.json()["detail"]


def test_register_unsafe_pickle_as_new_version_leaves_the_old_one_on_machines(
    scanning_team: UnverifiedTeam, machine: Machine
) -> None:
    good = builders.build_checkpoint()
    model_id = scanning_team.register(good, PATH)
    scanning_team.verify()
    scanning_team.register(UNSAFE, PATH, replaces=model_id)
    assert manifest_has_only(machine, good, PATH)
    scanning_team.verify()
    assert manifest_has_only(machine, good, PATH)
    assert download_as_machine(scanning_team, machine, model_id) == good
    assert "os.system" in scanning_team.model(model_id)["pending_version"]["verification_error"]


def test_register_scanned_content_with_second_path_is_verified_at_once(scanning_team: UnverifiedTeam) -> None:
    content = builders.build_checkpoint()
    first = scanning_team.register(content, PATH)
    scanning_team.verify()
    storage_key = scanning_team.owner.presign(content, "loras/two.pt", file_hash=hash_of(content)).json()["storage_key"]
    second = scanning_team.register(content, "loras/two.pt", storage_key=storage_key)
    assert scanning_team.state(second) == "verified"
    assert scanning_team.model(second)["metadata"] == scanning_team.model(first)["metadata"]


def test_register_verified_content_without_models_is_scanned_again(scanning_team: UnverifiedTeam) -> None:
    content = builders.build_checkpoint()
    first = scanning_team.register(content, PATH)
    scanning_team.verify()
    storage_key = scanning_team.owner.presign(content, PATH, file_hash=hash_of(content)).json()["storage_key"]
    scanning_team.forget(first)
    second = scanning_team.register(content, PATH, storage_key=storage_key)
    assert scanning_team.state(second) == "pending"
    assert scanning_team.row(second).verified_at is None
    scanning_team.verify()
    assert (scanning_team.state(second), scanning_team.download(second)) == ("verified", content)
