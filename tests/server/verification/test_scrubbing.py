"""Bytes that rot after they were verified: found, told, refused, and mended by whoever has them."""

import threading
from contextlib import suppress
from datetime import timedelta

import pytest

from modelyard.server.database.base import now
from modelyard.server.parts import Parts
from modelyard.server.storage.blob_store import StoreUnavailable
from modelyard.server.storage.digest import Stopped
from modelyard.server.storage.local import LocalStore
from modelyard.server.storage.s3 import S3Store
from modelyard.server.verification.scrubbing import Scrubber
from tests.server.verification.stores import ErringStore
from tests.server.verification.unread import CONTENT, Unread
from tests.server.world import a_model_file, hash_of

QUICK = 100_000


def scrubber(unread: Unread, rate: int = QUICK) -> Scrubber:
    return Scrubber(unread.parts.database, unread.parts.store, unread.metrics, rate)


def scrub(unread: Unread) -> None:
    """A whole round."""
    one = scrubber(unread)
    while one.scrub_next():
        pass


def rot(parts: Parts, key: str, content: bytes | None) -> None:
    """Let a disk do what disks do; None loses the bytes."""
    parts.store.delete(key)
    if content is None:
        return
    if isinstance(parts.store, S3Store):
        bucket = parts.store.bucket
        parts.store.connections.client.put_object(Bucket=bucket.name, Key=bucket.name_of(key), Body=content)
        return
    store = LocalStore(parts.settings.data_dir, b"x" * 32)
    writing = store.write_whole(key, len(content), None)
    writing.write([content])
    writing.commit()
    store.close()


def turned(content: bytes) -> bytes:
    """One bit of it turned."""
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.fixture
def rotten(unread: Unread) -> str:
    """A model that was verified, and whose bytes have rotted and been found so."""
    model_id = verified(unread)
    rot(unread.parts, unread.blob(model_id).store_key, turned(CONTENT))
    unread.age(8)
    scrub(unread)
    return model_id


def verified(unread: Unread, content: bytes = CONTENT, path: str = "loras/ink.safetensors") -> str:
    model_id = unread.register(content, path)
    unread.verify_all()
    assert unread.state(model_id) == "verified"
    return model_id


def test_bytes_that_rotted_are_refused_with_what_was_found_and_when(unread: Unread, rotten: str) -> None:
    model = unread.model(rotten)
    assert model["verification"] == "failed"
    assert hash_of(turned(CONTENT)) in model["verification_error"]
    assert "UTC" in model["verification_error"]
    refused = unread.owner.get(f"/models/{rotten}/download")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "model_damaged")
    assert unread.events(rotten)[0] == "model.rotten"
    assert unread.metrics.registry.get_sample_value("modelyard_rotten_files_total") == 1


def test_bytes_that_are_gone_are_told_so(unread: Unread) -> None:
    model_id = verified(unread)
    rot(unread.parts, unread.blob(model_id).store_key, None)
    unread.age(8)
    scrub(unread)
    assert "gone from the store" in unread.model(model_id)["verification_error"]


def test_what_rotted_can_be_told_from_what_never_was_right(unread: Unread, rotten: str) -> None:
    """A machine keeps its good copy of the one, and never had the other."""
    lie = unread.register_lie()
    unread.verify_all()
    assert unread.row(rotten).verified_at is not None
    assert unread.row(rotten).blake3_hash is not None
    assert unread.row(lie).verified_at is None


def test_rotten_bytes_are_not_offered_to_a_push(unread: Unread, rotten: str) -> None:
    ticket = unread.owner.presign(CONTENT, "loras/more.safetensors", file_hash=hash_of(CONTENT)).json()
    assert ticket["already_stored"] is False


def test_a_push_that_was_told_so_before_is_told_that_the_bytes_are_missing(unread: Unread) -> None:
    model_id = verified(unread)
    ticket = unread.owner.presign(CONTENT, "loras/more.safetensors", file_hash=hash_of(CONTENT)).json()
    assert ticket["already_stored"] is True
    rot(unread.parts, unread.blob(model_id).store_key, turned(CONTENT))
    unread.age(8)
    scrub(unread)
    body = unread.owner.new_model(CONTENT, "loras/more.safetensors", storage_key=ticket["storage_key"])
    refused = unread.owner.post("/models", **body)
    assert (refused.status_code, refused.json()["error_code"]) == (409, "upload_incomplete")


@pytest.mark.parametrize("path", ["loras/ink.safetensors", "loras/another.safetensors"])
def test_the_same_bytes_pushed_again_to_any_path_heal_all_their_models(unread: Unread, path: str) -> None:
    models = [verified(unread, CONTENT, f"loras/{name}.safetensors") for name in ("ink", "second", "trashed")]
    unread.owner.delete(f"/models/{models[2]}")
    rot(unread.parts, unread.blob(models[0]).store_key, turned(CONTENT))
    unread.age(8)
    scrub(unread)
    assert {unread.state(model_id) for model_id in models[:2]} == {"failed"}

    unread.register(CONTENT, path)
    unread.verify_all()
    unread.owner.post(f"/models/{models[2]}/restore")
    assert {unread.state(model_id) for model_id in models} == {"verified"}
    assert {unread.download(model_id) for model_id in models} == {CONTENT}
    assert "model.healed" in unread.events(models[1])


def test_wrong_bytes_heal_nothing_and_take_nothing_away(unread: Unread, rotten: str) -> None:
    unread.register_lie("loras/ink.safetensors")
    unread.verify_all()
    assert unread.state(rotten) == "failed"
    assert unread.row(rotten).verified_at is not None, "Machines go on keeping their good copies."


def test_bytes_that_come_back_by_themselves_are_served_again(unread: Unread, rotten: str) -> None:
    """The operator has put the disk right, or a copy of it."""
    unread.age(0.9)
    rot(unread.parts, unread.blob(rotten).store_key, CONTENT)
    scrub(unread)
    assert unread.state(rotten) == "failed"
    unread.age(1.1)
    scrub(unread)
    assert (unread.state(rotten), unread.model(rotten)["verification_error"]) == ("verified", None)
    assert unread.download(rotten) == CONTENT
    assert unread.events(rotten)[:2] == ["model.healed", "model.rotten"]


def test_a_lie_is_not_read_again(unread: Unread) -> None:
    lie = unread.register_lie()
    unread.verify_all()
    unread.age(8)
    scrub(unread)
    checked = unread.blob(lie).checked_at
    assert checked is not None
    assert checked < now() - timedelta(days=7)


def test_when_file_after_file_is_gone_it_is_the_place_that_is_wrong(bad_days: Unread) -> None:
    models = [verified(bad_days, a_model_file(f"{n}"), f"loras/{n}.safetensors") for n in range(5)]
    objects = bad_days.parts.settings.data_dir / "objects"
    objects.rename(objects.with_name("elsewhere"))
    objects.mkdir()
    bad_days.age(8)
    one = scrubber(bad_days)
    assert [one.scrub_next(), one.scrub_next()] == [True, True]
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            one.scrub_next()
    assert [bad_days.state(model_id) for model_id in models].count("failed") == 2

    objects.rmdir()
    objects.with_name("elsewhere").rename(objects)
    bad_days.age(8)
    scrub(bad_days)
    assert {bad_days.state(model_id) for model_id in models} == {"verified"}


def test_what_was_read_not_long_ago_is_left_alone(unread: Unread) -> None:
    model_id = verified(unread)
    rot(unread.parts, unread.blob(model_id).store_key, turned(CONTENT))
    unread.age(6.9)
    scrub(unread)
    assert unread.state(model_id) == "verified"


def test_what_was_read_longest_ago_comes_first_and_good_bytes_stay_what_they_are(unread: Unread) -> None:
    models = [verified(unread, a_model_file(name), f"loras/{name}.safetensors") for name in ("one", "two")]
    unread.age(8)
    checked = {model_id: unread.blob(model_id).checked_at for model_id in models}
    scrub(unread)
    assert {unread.state(model_id) for model_id in models} == {"verified"}
    for model_id in models:
        before, after = checked[model_id], unread.blob(model_id).checked_at
        assert before is not None
        assert after is not None
        assert before < after
        assert unread.events(model_id) == ["model.verified", "model.registered"]


def test_a_twin_with_good_bytes_heals_at_once(unread: Unread) -> None:
    """Two blobs of one hash: an older modelyard kept both."""
    models = [verified(unread, CONTENT, f"loras/{name}.safetensors") for name in ("one", "two")]
    twin = unread.split(models[1])
    rot(unread.parts, unread.blob(models[0]).store_key, turned(CONTENT))
    unread.age(8)
    scrub(unread)
    assert {unread.state(model_id) for model_id in models} == {"verified"}
    assert unread.blob(models[0]).id == twin
    assert unread.download(models[0]) == CONTENT


def test_a_store_that_does_not_answer_is_no_reason_to_call_anything_rotten(bad_days: Unread) -> None:
    models = [verified(bad_days, a_model_file(name), f"loras/{name}.safetensors") for name in ("one", "two")]
    bad_days.age(8)
    store, one = bad_days.parts.store, scrubber(bad_days)
    assert isinstance(store, ErringStore)
    store.is_away = True
    for _ in models:
        with pytest.raises(StoreUnavailable):
            one.scrub_next()
    assert one.scrub_next() is False
    store.is_away = False
    while one.scrub_next():
        pass
    assert {bad_days.state(model_id) for model_id in models} == {"verified"}


def test_the_scrubber_stops_at_once_however_slow_it_is(unread: Unread) -> None:
    model_id = verified(unread, a_model_file("large", 4_000_000), "loras/large.safetensors")
    unread.age(8)
    checked = unread.blob(model_id).checked_at
    one = scrubber(unread, rate=1)
    threading.Timer(0.1, one.stop).start()
    with suppress(Stopped):
        while one.scrub_next():
            pass
    assert one.scrub_next() is False
    assert unread.blob(model_id).checked_at == checked
