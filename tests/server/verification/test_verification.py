"""Verification of new uploads: pending, then verified or failed, and repair by another push."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from modelyard.server.database.base import now
from tests.server.harness import hash_of, make_model_file
from tests.server.verification.unverified_team import CONTENT, OTHER, UnverifiedTeam

pytestmark = pytest.mark.slow


def test_register_model_is_pending_and_not_downloadable_until_verified(unverified: UnverifiedTeam) -> None:
    model_id = unverified.register()
    pending = unverified.model(model_id)
    assert (pending["verification"], pending["blake3_hash"]) == ("pending", None)
    refused = unverified.owner.get(f"/models/{model_id}/download")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "model_not_verified")

    assert unverified.verify() is True
    verified = unverified.model(model_id)
    assert verified["verification"] == "verified"
    assert str(verified["blake3_hash"]).startswith("blake3:")
    assert unverified.download(model_id) == CONTENT
    assert unverified.verify() is False


def test_verify_content_with_wrong_declared_hash_fails_and_is_not_served(unverified: UnverifiedTeam) -> None:
    model_id = unverified.register_wrong_hash()
    unverified.verify()
    failed = unverified.model(model_id)
    assert failed["verification"] == "failed"
    assert hash_of(OTHER) in str(failed["verification_error"])
    refused = unverified.owner.get(f"/models/{model_id}/download")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "model_damaged")
    listed = unverified.owner.get("/models", verification="failed").json()["model_list"]
    assert [model["id"] for model in listed] == [model_id]


def test_presign_for_hash_that_was_declared_wrongly_is_not_already_stored(unverified: UnverifiedTeam) -> None:
    unverified.register_wrong_hash()
    for _ in range(2):
        ticket = unverified.owner.presign(OTHER, "loras/more.safetensors", file_hash=hash_of(CONTENT)).json()
        assert ticket["already_stored"] is False
        unverified.verify()


def test_verify_two_uploads_declaring_one_hash_checks_each(unverified: UnverifiedTeam) -> None:
    wrong_model, right_model = unverified.register_wrong_hash(), unverified.register()
    unverified.verify_all()
    assert (unverified.state(wrong_model), unverified.state(right_model)) == ("failed", "verified")


def test_verify_two_uploads_of_the_same_content_stores_it_once(unverified: UnverifiedTeam) -> None:
    models = [unverified.register(CONTENT, f"loras/{name}.safetensors") for name in ("one", "two")]
    unverified.verify_all()
    assert {unverified.blob(model_id).id for model_id in models} == {unverified.blob(models[0]).id}
    assert [unverified.download(model_id) for model_id in models] == [CONTENT, CONTENT]
    assert unverified.owner.get("/teams/current").json()["stored_bytes"] == len(CONTENT)


def test_push_of_right_content_to_the_path_of_a_failed_model_repairs_it(unverified: UnverifiedTeam) -> None:
    model_id = unverified.register_wrong_hash()
    unverified.verify()
    body = unverified.owner.new_model(CONTENT, "loras/lie.safetensors", storage_key=unverified.send(CONTENT))
    response = unverified.owner.post("/models", **body)
    assert (response.status_code, response.json()) == (200, {"id": model_id})
    assert unverified.state(model_id) == "pending"
    unverified.verify()
    model = unverified.model(model_id)
    assert (model["verification"], model["verification_error"]) == ("verified", None)
    assert unverified.download(model_id) == CONTENT
    assert unverified.owner.post("/models", **body).json() == {"id": model_id}


def test_push_of_right_content_to_another_path_does_not_repair_a_failed_model(unverified: UnverifiedTeam) -> None:
    """The failed model never had its declared content: only a push to its own path replaces it."""
    wrong_model = unverified.register_wrong_hash()
    unverified.verify()
    unverified.register(CONTENT)
    unverified.verify()
    assert unverified.state(wrong_model) == "failed"


def test_verify_missing_object_fails_with_reason(unverified: UnverifiedTeam) -> None:
    key = unverified.send(CONTENT)
    model_id = unverified.register(CONTENT, storage_key=key)
    unverified.resources.store.delete(key)
    unverified.verify()
    model = unverified.model(model_id)
    assert (model["verification"], model["verification_error"]) == ("failed", "The bytes are gone from the store.")


def test_verify_failure_is_audited_with_the_system_as_actor(unverified: UnverifiedTeam) -> None:
    model_id = unverified.register_wrong_hash()
    unverified.verify()
    events = unverified.owner.get("/audit-events", object_id=model_id).json()["audit_event_list"]
    assert [(event["action"], event["actor_kind"]) for event in events] == [
        ("model.failed", "system"),
        ("model.registered", "user"),
    ]
    assert events[0]["facts"] == {"model_path": events[1]["facts"]["model_path"], "version": 1}


def test_verified_at_is_the_time_of_the_first_verification_of_the_content(unverified: UnverifiedTeam) -> None:
    model_id, started = unverified.register(), now()
    assert unverified.row(model_id).verified_at is None
    unverified.verify()
    verified_at = unverified.row(model_id).verified_at
    assert verified_at is not None
    assert started <= verified_at <= now()
    storage_key = unverified.owner.presign(CONTENT, file_hash=hash_of(CONTENT)).json()["storage_key"]
    second = unverified.register(CONTENT, "loras/again.safetensors", storage_key=storage_key)
    assert unverified.row(second).verified_at == verified_at


def test_running_registry_verifies_new_models_at_once(unverified: UnverifiedTeam) -> None:
    with unverified.client:
        for number in range(5):
            model_id = unverified.register(make_model_file(f"ink {number}"), f"loras/{number}.safetensors")
            assert unverified.state(model_id) == "verified"


def test_register_one_upload_with_four_paths_concurrently_succeeds_once(unverified: UnverifiedTeam) -> None:
    key = unverified.send(CONTENT)
    bodies = [
        unverified.owner.new_model(CONTENT, f"loras/name-{number}.safetensors", storage_key=key) for number in range(4)
    ]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda body: unverified.owner.post("/models", **body), bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    refused = {answer.json()["error_code"] for answer in answers if answer.status_code == 409}
    assert refused == {"upload_used"}


def test_verify_skips_leased_blob_until_the_lease_expires(unverified: UnverifiedTeam) -> None:
    unverified.register()
    unverified.lease(now() + timedelta(minutes=1))
    assert unverified.verify() is False
    unverified.lease(now() - timedelta(seconds=1))
    assert unverified.verify() is True
