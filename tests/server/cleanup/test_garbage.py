"""Clean-up: what is past its time goes, with its bytes, and nothing that anybody can reach."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from modelyard.server.cleanup.collecting import collect_garbage
from modelyard.server.cleanup.rounds import Collected, Plan
from modelyard.server.database.base import Row, now
from modelyard.server.models.tables import ModelRow
from modelyard.server.uploads.tables import BlobRow, DiscardedRow, UploadRow
from tests.server.world import World, a_model_file, hash_of

CONTENT = a_model_file()
NOTHING = Collected()


@pytest.fixture
def world(module_world: World) -> Iterator[World]:
    """The module's registry, whose store is empty and whose owner has a fresh team."""
    module_world.owner = module_world.new_team()
    yield module_world
    with module_world.parts.database.writing() as session:
        for table in (ModelRow, UploadRow, BlobRow, DiscardedRow):
            session.execute(delete(table))
    store = module_world.parts.store
    for held in list(store.keys("models/")):
        store.delete(held.key)
    for begun in list(store.open_uploads(now() + timedelta(minutes=1))):
        store.abort(begun.key, begun.upload)


def clean(world: World, grace: timedelta = timedelta(0)) -> Collected:
    parts = world.parts
    return collect_garbage(parts.database, parts.store, parts.settings, Plan(grace))


def age(world: World, table: type[Row], column: str, days: float) -> None:
    """Move a time of every row into the past, as if we had waited."""
    with world.parts.database.writing() as session:
        session.execute(
            update(table).where(getattr(table, column).is_not(None)).values({column: now() - timedelta(days=days)})
        )


def files(world: World) -> set[str]:
    """Everything in the store that holds bytes or parts."""
    root, store = world.parts.settings.data_dir, world.parts.store
    held = {stored.key for stored in store.keys("")}
    begun = {f"{begun.key} {begun.upload}" for begun in store.open_uploads(now() + timedelta(minutes=1))}
    return held | begun | {str(path) for path in (root / "incoming").rglob("*") if path.is_file()}


def stored(world: World) -> int:
    return int(world.owner.get("/teams/current").json()["stored_bytes"])


def test_a_running_registry_keeps_everything_that_can_be_reached(world: World) -> None:
    living = world.owner.register(CONTENT)
    trashed = world.owner.register(a_model_file("trash"), "loras/trash.safetensors")
    world.owner.delete(f"/models/{trashed}")
    world.owner.upload(a_model_file("waiting"), "loras/waiting.safetensors")
    before = files(world)
    assert clean(world) == NOTHING
    assert clean(world) == NOTHING
    assert files(world) == before
    world.owner.post(f"/models/{trashed}/restore")
    for model_id in (living, trashed):
        url = world.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
        assert world.client.get(url).status_code == 200


def test_old_trash_goes_with_its_bytes_and_leaves_no_litter(world: World) -> None:
    model_id = world.owner.register(CONTENT, tags=["ink"])
    world.owner.delete(f"/models/{model_id}")
    age(world, ModelRow, "deleted_at", 6.9)
    assert clean(world) == NOTHING
    age(world, ModelRow, "deleted_at", 7.1)
    assert clean(world) == Collected(models=1, files=1, bytes=len(CONTENT))
    assert files(world) == set()
    assert stored(world) == 0
    assert world.owner.post(f"/models/{model_id}/restore").status_code == 404
    assert clean(world) == NOTHING


def test_bytes_go_a_grace_time_after_their_last_name(world: World) -> None:
    world.owner.delete(f"/models/{world.owner.register(CONTENT)}")
    age(world, ModelRow, "deleted_at", 8)
    assert clean(world, timedelta(hours=2)) == Collected(models=1)
    assert files(world) != set()
    age(world, BlobRow, "unused_since", 1)
    assert clean(world, timedelta(hours=2)) == Collected(files=1, bytes=len(CONTENT))
    assert files(world) == set()


def test_bytes_that_were_taken_up_again_in_the_grace_time_stay(world: World) -> None:
    world.owner.delete(f"/models/{world.owner.register(CONTENT)}")
    age(world, ModelRow, "deleted_at", 8)
    clean(world, timedelta(hours=2))
    ticket = world.owner.presign(CONTENT, file_hash=hash_of(CONTENT)).json()
    assert ticket["already_stored"] is True
    assert clean(world) == NOTHING
    model_id = world.owner.register(CONTENT, storage_key=ticket["storage_key"])
    assert clean(world) == NOTHING
    url = world.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
    assert world.client.get(url).content == CONTENT


def test_bytes_with_a_second_name_stay_until_the_last_is_gone(world: World) -> None:
    one, two = (world.owner.register(CONTENT, f"loras/{name}.safetensors") for name in ("one", "two"))
    world.owner.delete(f"/models/{one}")
    age(world, ModelRow, "deleted_at", 8)
    clean(world)
    url = world.owner.get(f"/models/{two}/download", redirect="false").json()["download_url"]
    assert world.client.get(url).content == CONTENT
    assert stored(world) == len(CONTENT)


def test_a_second_copy_of_held_bytes_is_swept(world: World) -> None:
    world.owner.register(CONTENT, "loras/one.safetensors")
    before = files(world)
    world.owner.register(CONTENT, "loras/two.safetensors")
    assert len(files(world)) == 2 * len(before)
    assert clean(world) == Collected(files=1, bytes=len(CONTENT))
    assert files(world) == before


@pytest.mark.parametrize("is_sent", [False, True])
def test_an_upload_that_nobody_finished_ends_after_seven_days(world: World, is_sent: bool) -> None:
    key = world.owner.presign(CONTENT).json()["storage_key"]
    if is_sent:
        key = world.owner.upload(CONTENT)
    age(world, UploadRow, "touched_at", 6.9)
    assert clean(world) == NOTHING
    age(world, UploadRow, "touched_at", 7.1)
    assert clean(world).uploads == (2 if is_sent else 1)
    assert files(world) == set()
    refused = world.owner.post("/models", **world.owner.new_model(CONTENT, storage_key=key))
    assert (refused.status_code, refused.json()["error_code"]) == (404, "upload_not_found")


def test_parts_of_an_upload_that_nobody_finished_end_with_it(world: World) -> None:
    key = world.owner.presign(CONTENT).json()["storage_key"]
    begun = world.owner.post("/uploads/multipart/initiate", storage_key=key, file_size=len(CONTENT)).json()
    assert files(world) != set()
    age(world, UploadRow, "touched_at", 7.1)
    assert clean(world).uploads == 1
    assert files(world) == set()
    gone = world.owner.get("/uploads/multipart/parts", storage_key=key, upload_id=begun["upload_id"])
    assert gone.status_code == 404


def test_asking_for_a_part_keeps_an_upload_alive(world: World) -> None:
    key = world.owner.presign(CONTENT).json()["storage_key"]
    begun = world.owner.post("/uploads/multipart/initiate", storage_key=key, file_size=len(CONTENT)).json()
    age(world, UploadRow, "touched_at", 7.1)
    named = {"storage_key": key, "upload_id": begun["upload_id"]}
    assert world.owner.post("/uploads/multipart/presign", **named, part_numbers=[1]).status_code == 200
    assert clean(world) == NOTHING


def test_files_beside_a_new_or_an_older_database_are_kept(world: World) -> None:
    """An operator restored the files without their database: what no row knows is somebody's work."""
    world.owner.upload(CONTENT)
    key = world.owner.presign(a_model_file("parts")).json()["storage_key"]
    world.owner.post("/uploads/multipart/initiate", storage_key=key, file_size=len(a_model_file("parts")))
    before = files(world)
    with world.parts.database.writing() as session:
        session.execute(delete(UploadRow))
    assert clean(world) == Collected(unknown_files=1)
    assert files(world) == before
