"""Objects that become corrupt or missing after verification: found by the scrubber, refused, and repaired."""

import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from modelyard.server.database.base import now
from modelyard.server.models.objects.damage import find_damage
from modelyard.server.resources import Resources
from modelyard.server.scheduler.jobs import build_jobs
from modelyard.server.storage.blob_store import StoredObject, StoreUnavailable
from modelyard.server.storage.digest import ReadStopped
from modelyard.server.storage.local.store import LocalStore
from modelyard.server.storage.s3.store import S3Store
from modelyard.server.uploads.tables import BlobRow
from modelyard.server.verification.scrub import Scrubber
from tests.server.harness import hash_of, make_model_file
from tests.server.verification.faulty_store import FaultyStore
from tests.server.verification.unverified_team import CONTENT, UnverifiedTeam

pytestmark = pytest.mark.slow

FAST_RATE = 100_000


def build_scrubber(unverified: UnverifiedTeam, rate: int = FAST_RATE) -> Scrubber:
    return Scrubber(unverified.resources.database, unverified.resources.store, unverified.metrics, rate)


def scrub(unverified: UnverifiedTeam) -> None:
    """Scrub until no blob is due."""
    scrubber = build_scrubber(unverified)
    while scrubber.scrub_next():
        pass


def replace_stored_object(resources: Resources, key: str, content: bytes | None) -> None:
    """Replace the stored object without the registry noticing; None deletes it."""
    resources.store.delete(key)
    if content is None:
        return
    if isinstance(resources.store, S3Store):
        bucket = resources.store.bucket
        resources.store.connections.client.put_object(Bucket=bucket.name, Key=bucket.get_object_name(key), Body=content)
        return
    store = LocalStore(resources.settings.data_dir, b"x" * 32)
    writer = store.open_whole_writer(key, len(content), None)
    writer.write([content])
    writer.commit()
    store.close()


def flip_last_bit(content: bytes) -> bytes:
    """Return the content with its last bit flipped."""
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.fixture
def corrupt_model(unverified: UnverifiedTeam) -> str:
    """A verified model whose object the scrubber found corrupt."""
    model_id = register_verified(unverified)
    replace_stored_object(unverified.resources, unverified.blob(model_id).store_key, flip_last_bit(CONTENT))
    unverified.age(8)
    scrub(unverified)
    return model_id


def register_verified(
    unverified: UnverifiedTeam, content: bytes = CONTENT, path: str = "loras/ink.safetensors", **changed: Any
) -> str:
    model_id = unverified.register(content, path, **changed)
    unverified.verify_all()
    assert unverified.state(model_id) == "verified"
    return model_id


def test_scrub_corrupt_object_marks_the_model_with_hash_and_time(
    unverified: UnverifiedTeam, corrupt_model: str
) -> None:
    model = unverified.model(corrupt_model)
    assert model["verification"] == "failed"
    assert hash_of(flip_last_bit(CONTENT)) in model["verification_error"]
    assert "UTC" in model["verification_error"]
    refused = unverified.owner.get(f"/models/{corrupt_model}/download")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "model_damaged")
    assert unverified.events(corrupt_model)[0] == "model.corrupted"
    assert unverified.metrics.registry.get_sample_value("modelyard_corrupt_files_total") == 1


def test_scrub_missing_object_states_that_it_is_missing(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified)
    replace_stored_object(unverified.resources, unverified.blob(model_id).store_key, None)
    unverified.age(8)
    scrub(unverified)
    assert "missing from the store" in unverified.model(model_id)["verification_error"]


@pytest.mark.parametrize(
    ("stored", "sizes"),
    [
        (1, "the stored file had 1 byte; the verified file has 1.1 kB."),
        (1_099, "the stored file had 1099 bytes; the verified file has 1100 bytes."),
    ],
    ids=["other sizes", "sizes that look equal in kB"],
)
def test_find_damage_of_another_size_states_both_sizes(stored: int, sizes: str) -> None:
    damage = find_damage(BlobRow(size=1_100), StoredObject(size=stored, digest=None))
    assert damage is not None
    assert damage.description == sizes


def test_scrub_corrupt_model_keeps_verified_at_which_a_wrong_upload_never_has(
    unverified: UnverifiedTeam, corrupt_model: str
) -> None:
    """Machines keep their copies of a corrupt model, and never had a wrong upload."""
    wrong_model = unverified.register_wrong_hash()
    unverified.verify_all()
    assert unverified.row(corrupt_model).verified_at is not None
    assert unverified.row(corrupt_model).blake3_hash is not None
    assert unverified.row(wrong_model).verified_at is None


def test_presign_for_corrupt_content_is_not_already_stored(unverified: UnverifiedTeam, corrupt_model: str) -> None:
    ticket = unverified.owner.presign(CONTENT, "loras/more.safetensors", file_hash=hash_of(CONTENT)).json()
    assert ticket["already_stored"] is False


def test_register_stored_content_found_corrupt_since_presign_returns_409(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified)
    ticket = unverified.owner.presign(CONTENT, "loras/more.safetensors", file_hash=hash_of(CONTENT)).json()
    assert ticket["already_stored"] is True
    replace_stored_object(unverified.resources, unverified.blob(model_id).store_key, flip_last_bit(CONTENT))
    unverified.age(8)
    scrub(unverified)
    body = unverified.owner.new_model(CONTENT, "loras/more.safetensors", storage_key=ticket["storage_key"])
    refused = unverified.owner.post("/models", **body)
    assert (refused.status_code, refused.json()["error_code"]) == (409, "upload_incomplete")


@pytest.mark.parametrize("path", ["loras/ink.safetensors", "loras/another.safetensors"])
def test_push_of_same_content_to_any_path_repairs_all_its_models(unverified: UnverifiedTeam, path: str) -> None:
    models = [
        register_verified(unverified, CONTENT, f"loras/{name}.safetensors") for name in ("ink", "second", "trashed")
    ]
    unverified.owner.delete(f"/models/{models[2]}")
    replace_stored_object(unverified.resources, unverified.blob(models[0]).store_key, flip_last_bit(CONTENT))
    unverified.age(8)
    scrub(unverified)
    assert {unverified.state(model_id) for model_id in models[:2]} == {"failed"}

    unverified.register(CONTENT, path)
    unverified.verify_all()
    unverified.owner.post(f"/models/{models[2]}/restore")
    assert {unverified.state(model_id) for model_id in models} == {"verified"}
    assert {unverified.download(model_id) for model_id in models} == {CONTENT}
    assert "model.repaired" in unverified.events(models[1])


def test_push_of_wrong_content_repairs_nothing(unverified: UnverifiedTeam, corrupt_model: str) -> None:
    unverified.register_wrong_hash("loras/ink.safetensors")
    unverified.verify_all()
    assert unverified.state(corrupt_model) == "failed"
    assert unverified.row(corrupt_model).verified_at is not None, "Machines keep their intact copies."


def test_scrub_restored_object_repairs_the_model_after_a_day(unverified: UnverifiedTeam, corrupt_model: str) -> None:
    """The operator has repaired the disk, or restored a copy."""
    unverified.age(0.9)
    replace_stored_object(unverified.resources, unverified.blob(corrupt_model).store_key, CONTENT)
    scrub(unverified)
    assert unverified.state(corrupt_model) == "failed"
    unverified.age(1.1)
    scrub(unverified)
    assert (unverified.state(corrupt_model), unverified.model(corrupt_model)["verification_error"]) == (
        "verified",
        None,
    )
    assert unverified.download(corrupt_model) == CONTENT
    assert unverified.events(corrupt_model)[:2] == ["model.repaired", "model.corrupted"]


def test_scrub_restored_object_repairs_a_model_that_got_a_wrong_upload_meanwhile(
    unverified: UnverifiedTeam, corrupt_model: str
) -> None:
    key = unverified.blob(corrupt_model).store_key
    unverified.register_wrong_hash("loras/ink.safetensors")
    unverified.verify_all()
    assert unverified.row(corrupt_model).blake3_hash is not None
    replace_stored_object(unverified.resources, key, CONTENT)
    unverified.age(1.1)
    scrub(unverified)
    assert unverified.state(corrupt_model) == "verified"
    assert unverified.download(corrupt_model) == CONTENT


def test_scrub_skips_content_that_was_never_verified(unverified: UnverifiedTeam) -> None:
    wrong_model = unverified.register_wrong_hash()
    unverified.verify_all()
    unverified.age(8)
    scrub(unverified)
    last_check = unverified.blob(wrong_model).checked_at
    assert last_check is not None
    assert last_check < now() - timedelta(days=7)


def test_scrub_stops_marking_when_all_objects_are_missing(faulty: UnverifiedTeam) -> None:
    models = [register_verified(faulty, make_model_file(f"{n}"), f"loras/{n}.safetensors") for n in range(5)]
    objects = faulty.resources.settings.data_dir / "objects"
    objects.rename(objects.with_name("elsewhere"))
    objects.mkdir()
    faulty.age(8)
    scrubber = build_scrubber(faulty)
    assert [scrubber.scrub_next(), scrubber.scrub_next()] == [True, True]
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            scrubber.scrub_next()
    assert [faulty.state(model_id) for model_id in models].count("failed") == 2

    # The damaged ones are checked again first, and are still missing.
    assert scrubber.scrub_next() is False
    faulty.age(8)
    assert [scrubber.scrub_next(), scrubber.scrub_next()] == [True, True]
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            scrubber.scrub_next()
    assert [faulty.state(model_id) for model_id in models].count("failed") == 2

    objects.rmdir()
    objects.with_name("elsewhere").rename(objects)
    faulty.age(8)
    scrub(faulty)
    assert {faulty.state(model_id) for model_id in models} == {"verified"}


def test_scrub_skips_objects_checked_within_7_days(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified)
    replace_stored_object(unverified.resources, unverified.blob(model_id).store_key, flip_last_bit(CONTENT))
    unverified.age(6.9)
    scrub(unverified)
    assert unverified.state(model_id) == "verified"


def test_scrub_intact_objects_updates_the_check_time_only(unverified: UnverifiedTeam) -> None:
    models = [
        register_verified(unverified, make_model_file(name), f"loras/{name}.safetensors") for name in ("one", "two")
    ]
    unverified.age(8)
    last_check = {model_id: unverified.blob(model_id).checked_at for model_id in models}
    scrub(unverified)
    assert {unverified.state(model_id) for model_id in models} == {"verified"}
    for model_id in models:
        before, after = last_check[model_id], unverified.blob(model_id).checked_at
        assert before is not None
        assert after is not None
        assert before < after
        assert unverified.events(model_id) == ["model.verified", "model.registered"]


def test_scrub_corrupt_object_with_intact_duplicate_repairs_at_once(unverified: UnverifiedTeam) -> None:
    """Two blobs with one hash, as earlier releases stored them."""
    models = [register_verified(unverified, CONTENT, f"loras/{name}.safetensors") for name in ("one", "two")]
    copy_id = unverified.split(models[1])
    replace_stored_object(unverified.resources, unverified.blob(models[0]).store_key, flip_last_bit(CONTENT))
    unverified.age(8)
    scrub(unverified)
    assert {unverified.state(model_id) for model_id in models} == {"verified"}
    assert unverified.blob(models[0]).id == copy_id
    assert unverified.download(models[0]) == CONTENT


def test_scrub_unavailable_store_marks_nothing(faulty: UnverifiedTeam) -> None:
    models = [register_verified(faulty, make_model_file(name), f"loras/{name}.safetensors") for name in ("one", "two")]
    faulty.age(8)
    store, scrubber = faulty.resources.store, build_scrubber(faulty)
    assert isinstance(store, FaultyStore)
    store.is_unavailable = True
    for _ in models:
        with pytest.raises(StoreUnavailable):
            scrubber.scrub_next()
    assert scrubber.scrub_next() is False
    store.is_unavailable = False
    while scrubber.scrub_next():
        pass
    assert {faulty.state(model_id) for model_id in models} == {"verified"}


def test_scrubber_stops_within_a_slow_read(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified, make_model_file("large", 4_000_000), "loras/large.safetensors")
    unverified.age(8)
    last_check = unverified.blob(model_id).checked_at
    scrubber = build_scrubber(unverified, rate=1)
    threading.Timer(0.1, scrubber.stop).start()
    with suppress(ReadStopped):
        while scrubber.scrub_next():
            pass
    assert scrubber.scrub_next() is False
    assert unverified.blob(model_id).checked_at == last_check


def test_scrubber_that_lost_its_lease_scrubs_again_in_the_next_run(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified)
    unverified.age(8)
    last_check = unverified.blob(model_id).checked_at
    [job] = [job for job in build_jobs(unverified.resources, unverified.metrics) if job.name == "scrubber"]
    # What the scheduler does when the lease is lost.
    scrubber = build_scrubber(unverified)
    scrubber.interruption.begin()
    scrubber.interruption.interrupt()
    assert scrubber.scrub_next() is False
    scrubber.interruption.begin()
    while scrubber.scrub_next():
        pass
    assert unverified.blob(model_id).checked_at != last_check
    job.stop()
    unverified.age(8)
    job.do()
    last_check_after = unverified.blob(model_id).checked_at
    assert last_check_after is not None
    assert last_check_after < now() - timedelta(days=7), "A stopped job starts no run."
