"""Garbage collection: expired models and uploads are removed with their content, and nothing that is still used."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import delete, update

from modelyard.server.database.base import Row, now
from modelyard.server.garbage.collection import collect_garbage
from modelyard.server.garbage.run_state import CollectionResult, RunOptions
from modelyard.server.models.tables import ModelRow
from modelyard.server.uploads.tables import BlobRow, DiscardedRow, UploadRow
from tests.server.harness import Harness, hash_of, make_model_file

pytestmark = pytest.mark.slow

CONTENT = make_model_file()
NOTHING = CollectionResult()


@pytest.fixture
def registry(module_registry: Harness) -> Iterator[Harness]:
    """The module's registry with an empty store; its owner is in a new team."""
    module_registry.owner = module_registry.create_team()
    yield module_registry
    with module_registry.resources.database.writing(UUID(module_registry.owner.team_id)) as session:
        for table in (ModelRow, UploadRow, BlobRow, DiscardedRow):
            session.execute(delete(table))
    store = module_registry.resources.store
    for stored in list(store.list_keys("models/")):
        store.delete(stored.key)
    for upload in list(store.list_open_uploads(now() + timedelta(minutes=1))):
        store.abort_multipart(upload.key, upload.upload)


def collect(registry: Harness, grace: timedelta = timedelta(0)) -> CollectionResult:
    parts = registry.resources
    return collect_garbage(parts.database, parts.store, parts.settings, RunOptions(grace))


def make_older(registry: Harness, table: type[Row], column: str, days: float) -> None:
    """Set a time of every row in which it is set to so many days ago."""
    with registry.resources.database.writing(UUID(registry.owner.team_id)) as session:
        session.execute(
            update(table).where(getattr(table, column).is_not(None)).values({column: now() - timedelta(days=days)})
        )


def list_stored_files(registry: Harness) -> set[str]:
    """Return the keys of all objects, all multipart uploads, and the paths of all files with parts."""
    root, store = registry.resources.settings.data_dir, registry.resources.store
    keys = {stored.key for stored in store.list_keys("")}
    uploads = {f"{upload.key} {upload.upload}" for upload in store.list_open_uploads(now() + timedelta(minutes=1))}
    return keys | uploads | {str(path) for path in (root / "incoming").rglob("*") if path.is_file()}


def get_stored_bytes(registry: Harness) -> int:
    return int(registry.owner.get("/teams/current").json()["stored_bytes"])


def test_collect_keeps_models_trash_and_unregistered_uploads(registry: Harness) -> None:
    listed = registry.owner.register(CONTENT)
    trashed = registry.owner.register(make_model_file("trash"), "loras/trash.safetensors")
    registry.owner.delete(f"/models/{trashed}")
    registry.owner.upload(make_model_file("waiting"), "loras/waiting.safetensors")
    before = list_stored_files(registry)
    assert collect(registry) == NOTHING
    assert collect(registry) == NOTHING
    assert list_stored_files(registry) == before
    registry.owner.post(f"/models/{trashed}/restore")
    for model_id in (listed, trashed):
        url = registry.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
        assert registry.client.get(url).status_code == 200


def test_collect_model_seven_days_in_trash_removes_its_row_and_object(registry: Harness) -> None:
    model_id = registry.owner.register(CONTENT, tags=["ink"])
    registry.owner.delete(f"/models/{model_id}")
    make_older(registry, ModelRow, "deleted_at", 6.9)
    assert collect(registry) == NOTHING
    make_older(registry, ModelRow, "deleted_at", 7.1)
    assert collect(registry) == CollectionResult(models=1, files=1, bytes=len(CONTENT))
    assert list_stored_files(registry) == set()
    assert get_stored_bytes(registry) == 0
    assert registry.owner.post(f"/models/{model_id}/restore").status_code == 404
    assert collect(registry) == NOTHING


def test_collect_object_of_removed_model_is_kept_for_the_grace_time(registry: Harness) -> None:
    registry.owner.delete(f"/models/{registry.owner.register(CONTENT)}")
    make_older(registry, ModelRow, "deleted_at", 8)
    assert collect(registry, timedelta(hours=2)) == CollectionResult(models=1)
    assert list_stored_files(registry) != set()
    make_older(registry, BlobRow, "unused_since", 1)
    assert collect(registry, timedelta(hours=2)) == CollectionResult(files=1, bytes=len(CONTENT))
    assert list_stored_files(registry) == set()


def test_collect_content_registered_again_within_grace_time_is_kept(registry: Harness) -> None:
    registry.owner.delete(f"/models/{registry.owner.register(CONTENT)}")
    make_older(registry, ModelRow, "deleted_at", 8)
    collect(registry, timedelta(hours=2))
    ticket = registry.owner.presign(CONTENT, file_hash=hash_of(CONTENT)).json()
    assert ticket["already_stored"] is True
    assert collect(registry) == NOTHING
    model_id = registry.owner.register(CONTENT, storage_key=ticket["storage_key"])
    assert collect(registry) == NOTHING
    url = registry.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
    assert registry.client.get(url).content == CONTENT


def test_collect_content_of_another_model_is_kept(registry: Harness) -> None:
    one, two = (registry.owner.register(CONTENT, f"loras/{name}.safetensors") for name in ("one", "two"))
    registry.owner.delete(f"/models/{one}")
    make_older(registry, ModelRow, "deleted_at", 8)
    collect(registry)
    url = registry.owner.get(f"/models/{two}/download", redirect="false").json()["download_url"]
    assert registry.client.get(url).content == CONTENT
    assert get_stored_bytes(registry) == len(CONTENT)


def test_collect_second_uploaded_copy_of_stored_content_is_removed(registry: Harness) -> None:
    registry.owner.register(CONTENT, "loras/one.safetensors")
    before = list_stored_files(registry)
    registry.owner.register(CONTENT, "loras/two.safetensors")
    assert len(list_stored_files(registry)) == 2 * len(before)
    assert collect(registry) == CollectionResult(files=1, bytes=len(CONTENT))
    assert list_stored_files(registry) == before


@pytest.mark.parametrize("is_uploaded", [False, True])
def test_collect_upload_unused_for_seven_days_is_removed(registry: Harness, is_uploaded: bool) -> None:
    key = registry.owner.presign(CONTENT).json()["storage_key"]
    if is_uploaded:
        key = registry.owner.upload(CONTENT)
    make_older(registry, UploadRow, "touched_at", 6.9)
    assert collect(registry) == NOTHING
    make_older(registry, UploadRow, "touched_at", 7.1)
    assert collect(registry).uploads == (2 if is_uploaded else 1)
    assert list_stored_files(registry) == set()
    refused = registry.owner.post("/models", **registry.owner.new_model(CONTENT, storage_key=key))
    assert (refused.status_code, refused.json()["error_code"]) == (404, "upload_not_found")


def test_collect_multipart_upload_unused_for_seven_days_is_removed_with_its_parts(registry: Harness) -> None:
    key = registry.owner.presign(CONTENT).json()["storage_key"]
    initiated = registry.owner.post("/uploads/multipart/initiate", storage_key=key, file_size=len(CONTENT)).json()
    assert list_stored_files(registry) != set()
    make_older(registry, UploadRow, "touched_at", 7.1)
    assert collect(registry).uploads == 1
    assert list_stored_files(registry) == set()
    response = registry.owner.get("/uploads/multipart/parts", storage_key=key, upload_id=initiated["upload_id"])
    assert response.status_code == 404


def test_collect_aborted_upload_is_removed_after_one_day(registry: Harness) -> None:
    key = registry.owner.presign(CONTENT).json()["storage_key"]
    initiated = registry.owner.post("/uploads/multipart/initiate", storage_key=key, file_size=len(CONTENT)).json()
    registry.owner.post("/uploads/multipart/abort", storage_key=key, upload_id=initiated["upload_id"])
    make_older(registry, UploadRow, "aborted_at", 0.9)
    assert collect(registry).uploads == 0
    make_older(registry, UploadRow, "aborted_at", 1.1)
    assert collect(registry).uploads == 1


def test_collect_old_upload_after_presigning_a_part_is_kept(registry: Harness) -> None:
    key = registry.owner.presign(CONTENT).json()["storage_key"]
    initiated = registry.owner.post("/uploads/multipart/initiate", storage_key=key, file_size=len(CONTENT)).json()
    make_older(registry, UploadRow, "touched_at", 7.1)
    ids = {"storage_key": key, "upload_id": initiated["upload_id"]}
    assert registry.owner.post("/uploads/multipart/presign", **ids, part_numbers=[1]).status_code == 200
    assert collect(registry) == NOTHING


def test_collect_objects_and_parts_without_rows_are_kept(registry: Harness) -> None:
    """An operator may have restored the files without their database, so unknown files may be needed."""
    registry.owner.upload(CONTENT)
    key = registry.owner.presign(make_model_file("parts")).json()["storage_key"]
    registry.owner.post("/uploads/multipart/initiate", storage_key=key, file_size=len(make_model_file("parts")))
    before = list_stored_files(registry)
    with registry.resources.database.writing(UUID(registry.owner.team_id)) as session:
        session.execute(delete(UploadRow))
    assert collect(registry) == CollectionResult(unknown_files=1)
    assert list_stored_files(registry) == before
