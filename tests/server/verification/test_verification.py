"""Bytes that nobody has read yet: pending, then verified or failed by the worker, and what a push does to them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from modelyard.server.database.base import now
from tests.server.verification.unread import CONTENT, OTHER, Unread
from tests.server.world import a_model_file, hash_of


def test_unread_bytes_are_pending_and_downloads_wait_until_the_worker_has_read_them(unread: Unread) -> None:
    model_id = unread.register()
    pending = unread.model(model_id)
    assert (pending["verification"], pending["blake3_hash"]) == ("pending", None)
    refused = unread.owner.get(f"/models/{model_id}/download")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "model_not_verified")

    assert unread.verify() is True
    verified = unread.model(model_id)
    assert verified["verification"] == "verified"
    assert str(verified["blake3_hash"]).startswith("blake3:")
    assert unread.download(model_id) == CONTENT
    assert unread.verify() is False


def test_a_lie_about_the_hash_is_found_out_and_never_served(unread: Unread) -> None:
    model_id = unread.register_lie()
    unread.verify()
    failed = unread.model(model_id)
    assert failed["verification"] == "failed"
    assert hash_of(OTHER) in str(failed["verification_error"])
    refused = unread.owner.get(f"/models/{model_id}/download")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "model_damaged")
    listed = unread.owner.get("/models", verification="failed").json()["model_list"]
    assert [model["id"] for model in listed] == [model_id]


def test_a_lie_is_never_offered_as_already_stored(unread: Unread) -> None:
    unread.register_lie()
    for _ in range(2):
        ticket = unread.owner.presign(OTHER, "loras/more.safetensors", file_hash=hash_of(CONTENT)).json()
        assert ticket["already_stored"] is False
        unread.verify()


def test_two_claims_of_one_hash_are_read_each_for_itself(unread: Unread) -> None:
    lie, true = unread.register_lie(), unread.register()
    unread.verify_all()
    assert (unread.state(lie), unread.state(true)) == ("failed", "verified")


def test_the_same_bytes_that_came_twice_unread_are_kept_once(unread: Unread) -> None:
    models = [unread.register(CONTENT, f"loras/{name}.safetensors") for name in ("one", "two")]
    unread.verify_all()
    assert {unread.blob(model_id).id for model_id in models} == {unread.blob(models[0]).id}
    assert [unread.download(model_id) for model_id in models] == [CONTENT, CONTENT]
    assert unread.owner.get("/teams/current").json()["stored_bytes"] == len(CONTENT)


def test_the_right_bytes_pushed_again_heal_the_record(unread: Unread) -> None:
    model_id = unread.register_lie()
    unread.verify()
    body = unread.owner.new_model(CONTENT, "loras/lie.safetensors", storage_key=unread.send(CONTENT))
    healed = unread.owner.post("/models", **body)
    assert (healed.status_code, healed.json()) == (200, {"id": model_id})
    assert unread.state(model_id) == "pending"
    unread.verify()
    model = unread.model(model_id)
    assert (model["verification"], model["verification_error"]) == ("verified", None)
    assert unread.download(model_id) == CONTENT
    assert unread.owner.post("/models", **body).json() == {"id": model_id}


def test_the_right_bytes_under_another_name_do_not_heal_a_lie(unread: Unread) -> None:
    """It never was what its path promises: only whoever pushes to that path can say so."""
    lie = unread.register_lie()
    unread.verify()
    unread.register(CONTENT)
    unread.verify()
    assert unread.state(lie) == "failed"


def test_bytes_that_are_gone_from_the_store_fail_with_words(unread: Unread) -> None:
    key = unread.send(CONTENT)
    model_id = unread.register(CONTENT, storage_key=key)
    unread.parts.store.delete(key)
    unread.verify()
    model = unread.model(model_id)
    assert (model["verification"], model["verification_error"]) == ("failed", "The bytes are gone from the store.")


def test_verification_is_in_the_audit_trail_as_the_registrys_own_act(unread: Unread) -> None:
    model_id = unread.register_lie()
    unread.verify()
    events = unread.owner.get("/audit-events", object_id=model_id).json()["audit_event_list"]
    assert [(event["action"], event["actor_kind"]) for event in events] == [
        ("model.failed", "system"),
        ("model.registered", "user"),
    ]
    assert events[0]["facts"] == {"model_path": events[1]["facts"]["model_path"]}


def test_when_bytes_were_first_verified_is_kept_with_the_model(unread: Unread) -> None:
    model_id, begun = unread.register(), now()
    assert unread.row(model_id).verified_at is None
    unread.verify()
    verified_at = unread.row(model_id).verified_at
    assert verified_at is not None
    assert begun <= verified_at <= now()
    same = unread.owner.presign(CONTENT, file_hash=hash_of(CONTENT)).json()["storage_key"]
    again = unread.register(CONTENT, "loras/again.safetensors", storage_key=same)
    assert unread.row(again).verified_at == verified_at


def test_a_running_registry_verifies_what_is_registered_at_once(unread: Unread) -> None:
    with unread.client:
        for number in range(5):
            model_id = unread.register(a_model_file(f"ink {number}"), f"loras/{number}.safetensors")
            assert unread.state(model_id) == "verified"


def test_of_four_names_for_one_unread_upload_at_once_one_wins(unread: Unread) -> None:
    key = unread.send(CONTENT)
    bodies = [
        unread.owner.new_model(CONTENT, f"loras/name-{number}.safetensors", storage_key=key) for number in range(4)
    ]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda body: unread.owner.post("/models", **body), bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    refused = {answer.json()["error_code"] for answer in answers if answer.status_code == 409}
    assert refused == {"upload_used"}


def test_an_old_lease_is_no_reason_to_wait_and_a_living_one_is(unread: Unread) -> None:
    unread.register()
    unread.lease(now() + timedelta(minutes=1))
    assert unread.verify() is False
    unread.lease(now() - timedelta(seconds=1))
    assert unread.verify() is True
