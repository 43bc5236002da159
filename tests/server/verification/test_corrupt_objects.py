"""Stored objects that are corrupt or missing: refused and marked on request, before the next scrub."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from modelyard.server.garbage.collection import collect_garbage
from modelyard.server.garbage.run_state import RunOptions
from modelyard.server.scheduler.jobs import build_jobs
from modelyard.server.storage.local.store import LocalStore
from modelyard.server.uploads.tables import BlobRow
from modelyard.server.verification.scrub import Scrubber
from tests.server.agents.machine import Machine
from tests.server.harness import hash_of, make_model_file
from tests.server.verification.test_scrub import flip_last_bit, register_verified, replace_stored_object
from tests.server.verification.unverified_team import CONTENT, UnverifiedTeam

pytestmark = pytest.mark.slow

TRUNCATED = CONTENT[:100]


def get_object_path(unverified: UnverifiedTeam, model_id: str) -> Path:
    """Return the file of a model's content in the folder."""
    return unverified.resources.settings.data_dir / "objects" / unverified.blob(model_id).store_key / "bytes"


def get_download_url(unverified: UnverifiedTeam, model_id: str) -> str:
    return str(unverified.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"])


def recheck(unverified: UnverifiedTeam) -> None:
    """Run the recheck job once."""
    [job] = [job for job in build_jobs(unverified.resources, unverified.metrics) if job.name == "recheck"]
    job.do()


def is_recheck_due(unverified: UnverifiedTeam, model_id: str) -> bool:
    """Store the objects that routes saw changed; return whether the model's blob waits for a recheck."""
    unverified.resources.recheck_requests.flush(unverified.resources.database)
    return unverified.blob(model_id).recheck_since is not None


def restore_from_backup(file: Path) -> None:
    """Replace a file by a copy: the same content, another inode and modification time."""
    copy = file.with_name("restored")
    shutil.copyfile(file, copy)
    copy.replace(file)


@pytest.fixture
def folder(unverified: UnverifiedTeam) -> UnverifiedTeam:
    if not isinstance(unverified.resources.store, LocalStore):
        pytest.skip("the test damages files of the folder store")
    return unverified


@pytest.mark.parametrize("remaining", [TRUNCATED, CONTENT + b"more", None], ids=["truncated", "grown", "deleted"])
def test_download_ticket_for_damaged_object_returns_409_and_marks_the_model(
    unverified: UnverifiedTeam, remaining: bytes | None
) -> None:
    model_id = register_verified(unverified)
    replace_stored_object(unverified.resources, unverified.blob(model_id).store_key, remaining)

    refused = unverified.owner.get(f"/models/{model_id}/download")

    assert (refused.status_code, refused.json()["error_code"]) == (409, "model_damaged")
    model = unverified.model(model_id)
    assert model["verification"] == "failed"
    assert model["verification_error"] in refused.json()["detail"]
    assert unverified.events(model_id)[0] == "model.corrupted"


@pytest.mark.parametrize("remaining", [TRUNCATED, None], ids=["truncated", "deleted"])
def test_manifest_of_model_with_damaged_object_says_keep(
    unverified: UnverifiedTeam, machine: Machine, remaining: bytes | None
) -> None:
    model_id = register_verified(unverified)
    replace_stored_object(unverified.resources, unverified.blob(model_id).store_key, remaining)
    machine.key.get(f"/models/{model_id}/download")
    [entry] = machine.manifest().json()["model_list"]
    assert (entry["id"], entry["keep"]) == (model_id, True)


@pytest.mark.parametrize("remaining", [TRUNCATED, None], ids=["truncated", "deleted"])
@pytest.mark.parametrize("path", ["loras/one.safetensors", "loras/other.safetensors"])
def test_push_of_same_content_repairs_all_models_before_the_damage_is_noticed(
    unverified: UnverifiedTeam, remaining: bytes | None, path: str
) -> None:
    models = [register_verified(unverified, CONTENT, f"loras/{name}.safetensors") for name in ("one", "two")]
    replace_stored_object(unverified.resources, unverified.blob(models[0]).store_key, remaining)

    unverified.register(CONTENT, path)
    unverified.verify_all()

    assert {unverified.state(model_id) for model_id in models} == {"verified"}
    assert {unverified.download(model_id) for model_id in models} == {CONTENT}
    assert {"model.corrupted", "model.repaired"} <= set(unverified.events(models[1]))


@pytest.mark.parametrize("remaining", [TRUNCATED, None], ids=["truncated", "deleted"])
def test_presign_for_content_with_damaged_object_is_not_already_stored(
    unverified: UnverifiedTeam, remaining: bytes | None
) -> None:
    model_id = register_verified(unverified)
    replace_stored_object(unverified.resources, unverified.blob(model_id).store_key, remaining)
    ticket = unverified.owner.presign(CONTENT, "loras/more.safetensors", file_hash=hash_of(CONTENT)).json()
    assert ticket["already_stored"] is False
    assert unverified.state(model_id) == "failed"


@pytest.mark.parametrize("remaining", [TRUNCATED, None], ids=["truncated", "deleted"])
def test_register_stored_content_whose_object_was_damaged_since_presign_returns_409(
    unverified: UnverifiedTeam, remaining: bytes | None
) -> None:
    model_id = register_verified(unverified)
    ticket = unverified.owner.presign(CONTENT, "loras/more.safetensors", file_hash=hash_of(CONTENT)).json()
    assert ticket["already_stored"] is True
    replace_stored_object(unverified.resources, unverified.blob(model_id).store_key, remaining)
    body = unverified.owner.new_model(CONTENT, "loras/more.safetensors", storage_key=ticket["storage_key"])
    refused = unverified.owner.post("/models", **body)
    assert (refused.status_code, refused.json()["error_code"]) == (409, "upload_incomplete")


def test_verify_duplicate_of_damaged_object_keeps_the_new_object(unverified: UnverifiedTeam) -> None:
    """The damage occurs between registration and verification."""
    first = register_verified(unverified)
    second = unverified.register(CONTENT, "loras/two.safetensors")
    replace_stored_object(unverified.resources, unverified.blob(first).store_key, TRUNCATED)
    unverified.verify_all()
    assert unverified.state(second) == "verified"
    assert unverified.download(first) == unverified.download(second) == CONTENT


@pytest.mark.parametrize("remaining", [TRUNCATED, None], ids=["truncated", "deleted"])
@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=0-9"}, {"If-None-Match": f'"{hash_of(CONTENT)[7:]}"'}])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_get_damaged_object_by_url_signed_before_returns_409(
    folder: UnverifiedTeam, remaining: bytes | None, headers: dict[str, str], method: str
) -> None:
    model_id = register_verified(folder)
    url = get_download_url(folder, model_id)
    replace_stored_object(folder.resources, folder.blob(model_id).store_key, remaining)

    refused = folder.client.request(method, url, headers=headers)

    assert refused.status_code == 409
    assert folder.state(model_id) == "failed"
    assert folder.client.get(url).json()["detail"].endswith(folder.model(model_id)["verification_error"])


def test_get_collected_object_returns_404_and_records_no_damage(folder: UnverifiedTeam) -> None:
    model_id = register_verified(folder)
    url, other = (
        get_download_url(folder, model_id),
        register_verified(folder, make_model_file("other"), "loras/other.safetensors"),
    )
    folder.owner.delete(f"/models/{model_id}")
    resources = folder.resources
    settings = resources.settings.model_copy(update={"trash_days": 0})
    for _ in range(2):
        collect_garbage(resources.database, resources.store, settings, RunOptions(RunOptions().grace * 0))
    assert folder.client.get(url).status_code == 404
    assert folder.owner.get(f"/models/{model_id}/download").status_code == 404
    assert "model.corrupted" not in folder.events(model_id)
    assert folder.download(other) == make_model_file("other")


@pytest.mark.parametrize("change", [restore_from_backup, lambda file: os.utime(file, (1, 1))], ids=["inode", "mtime"])
def test_object_with_another_inode_or_mtime_is_served_and_rechecked(
    folder: UnverifiedTeam, change: Callable[[Path], None]
) -> None:
    model_id = register_verified(folder)
    before = folder.blob(model_id)
    change(get_object_path(folder, model_id))

    assert folder.download(model_id) == CONTENT
    recheck(folder)

    after = folder.blob(model_id)
    assert after.stored_version not in (None, before.stored_version)
    assert (after.verification, after.recheck_since) == ("verified", None)
    assert before.checked_at is not None
    assert after.checked_at is not None
    assert after.checked_at > before.checked_at
    folder.download(model_id)
    assert not is_recheck_due(folder, model_id)


def test_object_rewritten_with_same_size_is_marked_after_first_request(folder: UnverifiedTeam) -> None:
    model_id = register_verified(folder)
    get_object_path(folder, model_id).write_bytes(flip_last_bit(CONTENT))
    folder.owner.get(f"/models/{model_id}/download")
    recheck(folder)
    assert folder.state(model_id) == "failed"
    assert hash_of(flip_last_bit(CONTENT)) in folder.model(model_id)["verification_error"]


def test_object_overwritten_in_bucket_is_marked_after_first_ticket(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified)
    replace_stored_object(unverified.resources, unverified.blob(model_id).store_key, flip_last_bit(CONTENT))
    unverified.owner.get(f"/models/{model_id}/download")
    recheck(unverified)
    assert unverified.state(model_id) == "failed"


def test_object_without_recorded_version_is_rechecked_in_folder_only(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified)
    with unverified.resources.database.writing() as session:
        session.execute(update(BlobRow).where(BlobRow.id == unverified.blob(model_id).id).values(stored_version=None))
    unverified.owner.get(f"/models/{model_id}/download")
    assert is_recheck_due(unverified, model_id) == isinstance(unverified.resources.store, LocalStore)


def test_restored_folder_is_served_and_rechecked_changed_objects_first(folder: UnverifiedTeam) -> None:
    models = [register_verified(folder, make_model_file(f"{n}"), f"loras/{n}.safetensors") for n in range(4)]
    for model_id in models:
        restore_from_backup(get_object_path(folder, model_id))
    with folder.resources.database.writing() as session:
        session.execute(update(BlobRow).where(BlobRow.id == folder.blob(models[0]).id).values(stored_version=None))
    for model_id in [*models, *models]:
        assert folder.download(model_id)
        assert is_recheck_due(folder, model_id)
    scrubber = Scrubber(folder.resources.database, folder.resources.store, folder.metrics, 100)
    order = []
    while scrubber.recheck_next():
        order += [n for n in range(4) if n not in order and folder.blob(models[n]).recheck_since is None]
    assert order == [1, 2, 3, 0]
    assert {folder.state(model_id) for model_id in models} == {"verified"}
