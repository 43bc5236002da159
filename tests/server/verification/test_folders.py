"""Verification of folders as a whole: pending until the last file, failed with the first, repaired by a new push."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from modelyard.server import revisions
from modelyard.server.audit.operations import SYSTEM
from modelyard.server.database.base import new_id
from modelyard.server.database.engine import is_sqlite
from modelyard.server.models.registration.decide import UploadedContent
from modelyard.server.models.registration.folder_blobs import use_file_uploads
from modelyard.server.models.registration.folder_contents import CheckedFile
from modelyard.server.models.repair import repair_with_blobs
from modelyard.server.models.tables import FolderFileRow
from modelyard.server.uploads.tables import BlobRow, UploadRow
from modelyard.wire import problems
from modelyard.wire.folders.manifest import FolderFile, build_manifest
from tests.server.harness import ApiCaller, hash_of
from tests.server.inspection import builders
from tests.server.models.folders.folder_push import download, list_files, make_folder
from tests.server.query_plans import record_queries
from tests.server.verification.test_scrub import flip_last_bit, replace_stored_object, scrub
from tests.server.verification.unverified_team import UnverifiedTeam

pytestmark = pytest.mark.slow

RUN = builders.call(builders.named("os", "system"), builders.text("true"))
UNSAFE = builders.build_tensorless_checkpoint(RUN)
WEIGHTS = "unet/model.safetensors"


def register(team: UnverifiedTeam, files: dict[str, bytes], path: str = "diffusers/sdxl", **changed: Any) -> str:
    """Upload each file without a digest of the store, and register the folder; return its id."""
    answer = push(team, team.owner, files, path, **changed)
    assert answer.status_code in (200, 201), answer.text
    return str(answer.json()["id"])


def push(team: UnverifiedTeam, caller: ApiCaller, files: dict[str, bytes], path: str, **changed: Any) -> Any:
    """Upload each file without a digest of the store, and register the folder; return the response."""
    keys = [{"path": name, "storage_key": team.send(content, caller)} for name, content in files.items()]
    manifest = build_manifest(list_files(files))
    body = {
        "display_name": "Folder",
        "model_type": path.split("/", maxsplit=1)[0],
        "model_path": path,
        "storage_key": team.send(manifest, caller),
        "file_size": len(manifest),
        "file_hash": hash_of(manifest),
        "file_list": keys,
    }
    return caller.post("/models", **(body | changed))


def get_store_key(team: UnverifiedTeam, model_id: str, path: str) -> str:
    """Return the key of the object of a file of the first version."""
    is_file = FolderFileRow.model_id == UUID(model_id), FolderFileRow.path == path, FolderFileRow.number == 1
    with team.resources.database.reading() as session:
        query = select(BlobRow.store_key).join(FolderFileRow, FolderFileRow.blob_id == BlobRow.id).where(*is_file)
        return session.scalars(query).one()


def test_folder_is_pending_until_its_last_file_is_verified(unverified: UnverifiedTeam) -> None:
    files = make_folder()
    model_id = register(unverified, files)

    states = []
    while unverified.verify():
        states.append(unverified.state(model_id))

    assert states == ["pending"] * len(files) + ["verified"]
    assert download(unverified.owner, model_id) == files


def test_folder_with_a_file_of_another_hash_fails_and_names_it(unverified: UnverifiedTeam) -> None:
    files = make_folder()
    keys = [{"path": name, "storage_key": unverified.send(content)} for name, content in files.items()]
    wrong = flip_last_bit(files["tokenizer/merges.txt"])
    keys[-1]["storage_key"] = unverified.send(wrong)
    model_id = register(unverified, files, file_list=keys)

    unverified.verify_all()

    model = unverified.model(model_id)
    assert model["verification"] == "failed"
    assert model["verification_error"].startswith("'tokenizer/merges.txt': The bytes have sha256:")
    assert unverified.owner.get(f"/models/{model_id}/files").status_code == 409


def test_failed_folder_pushed_again_is_repaired(unverified: UnverifiedTeam) -> None:
    files = make_folder()
    keys = [{"path": name, "storage_key": unverified.send(content)} for name, content in files.items()]
    keys[-1]["storage_key"] = unverified.send(flip_last_bit(files["tokenizer/merges.txt"]))
    model_id = register(unverified, files, file_list=keys)
    unverified.verify_all()

    assert register(unverified, files) == model_id
    unverified.verify_all()

    assert unverified.state(model_id) == "verified"
    assert download(unverified.owner, model_id) == files


def test_damaged_file_fails_the_folder_and_the_same_content_repairs_it(unverified: UnverifiedTeam) -> None:
    files = make_folder()
    model_id = register(unverified, files)
    unverified.verify_all()
    replace_stored_object(
        unverified.resources, get_store_key(unverified, model_id, WEIGHTS), flip_last_bit(files[WEIGHTS])
    )
    unverified.age(8)
    scrub(unverified)
    damaged = unverified.model(model_id)

    single = unverified.register(files[WEIGHTS], "loras/ink.safetensors")
    unverified.verify_all()

    assert damaged["verification"] == "failed"
    assert damaged["verification_error"].startswith(f"'{WEIGHTS}': ")
    assert (unverified.state(single), unverified.state(model_id)) == ("verified", "verified")
    assert download(unverified.owner, model_id) == files


def test_damaged_folder_pushed_again_is_repaired(unverified: UnverifiedTeam) -> None:
    files = make_folder()
    model_id = register(unverified, files)
    unverified.verify_all()
    replace_stored_object(unverified.resources, get_store_key(unverified, model_id, WEIGHTS), None)

    assert unverified.owner.get(f"/models/{model_id}/files").status_code == 409
    assert register(unverified, files) == model_id
    unverified.verify_all()

    assert download(unverified.owner, model_id) == files


def test_next_version_becomes_current_once_all_of_it_is_verified(unverified: UnverifiedTeam) -> None:
    files = make_folder()
    model_id = register(unverified, files)
    unverified.verify_all()
    register(unverified, files | {"tokenizer/merges.txt": b"new", "a.txt": b"a"}, replaces=model_id)

    before = unverified.model(model_id)
    unverified.verify_all()

    assert (before["version"], before["pending_version"]["verification"]) == (1, "pending")
    assert (unverified.model(model_id)["version"], unverified.model(model_id)["file_count"]) == (2, 5)


def test_files_of_two_folders_are_stored_once(unverified: UnverifiedTeam) -> None:
    files = make_folder()
    first, second = register(unverified, files, "LLM/one"), register(unverified, files, "LLM/two")

    unverified.verify_all()

    stored = unverified.owner.get("/teams/current").json()["stored_bytes"]
    assert stored == sum(map(len, files.values())) + len(build_manifest(list_files(files)))
    assert download(unverified.owner, first) == download(unverified.owner, second) == files


def test_unsafe_pickle_in_a_folder_is_refused_until_an_admin_allows_it(unverified: UnverifiedTeam) -> None:
    assert unverified.owner.put("/teams/current", pickle_policy="trusted").status_code == 200
    model_id = register(unverified, {"pytorch_model.bin": UNSAFE, "config.json": b"{}"}, "LLM/own")
    unverified.verify_all()
    refused = unverified.model(model_id)

    allowed = unverified.owner.put(f"/trusted-files/{hash_of(UNSAFE)}", reason="It is ours.")
    unverified.verify_all()

    assert refused["verification"] == "failed"
    assert refused["verification_error"].startswith("'pytorch_model.bin': ")
    assert allowed.json()["findings"]["pickle_scan"] == "refused"
    assert unverified.state(model_id) == "verified"


def test_clean_pickle_in_a_folder_is_accepted_under_scan(unverified: UnverifiedTeam) -> None:
    assert unverified.owner.put("/teams/current", pickle_policy="scan").status_code == 200
    content = builders.build_checkpoint()
    model_id = register(unverified, {"pytorch_model.bin": content}, "LLM/own")

    unverified.verify_all()

    assert unverified.state(model_id) == "verified"


def test_register_one_upload_for_two_contents_is_refused_and_names_the_file(unverified: UnverifiedTeam) -> None:
    files = {"a.txt": b"one", "b.txt": b"two"}
    key = unverified.send(files["a.txt"])
    keys = [{"path": name, "storage_key": key} for name in files]
    manifest = build_manifest(list_files(files))
    body = {
        "display_name": "Folder",
        "model_type": "LLM",
        "model_path": "LLM/own",
        "storage_key": unverified.send(manifest),
        "file_size": len(manifest),
        "file_hash": hash_of(manifest),
        "file_list": keys,
    }

    answer = unverified.owner.post("/models", **body)

    assert (answer.json()["type"], answer.json().get("path")) == ("/problems/hash-mismatch", "b.txt")
    assert answer.json()["errors"][0]["field"] == "file_list.1.storage_key"


def read_revision(team: UnverifiedTeam) -> int:
    """Return the revision of the team's models."""
    with team.resources.database.reading() as session:
        return revisions.get_totals(session, UUID(team.owner.get("/teams/current").json()["id"])).revision


def test_verified_file_of_a_pending_folder_reads_no_other_files_and_changes_no_revision(
    unverified: UnverifiedTeam,
) -> None:
    register(unverified, {f"{number}.txt": f"text {number}".encode() for number in range(12)})
    engine, before = unverified.resources.database.engine, read_revision(unverified)

    with record_queries(engine) as queries:
        assert unverified.verify()
    with engine.connect() as connection:
        plans = queries.plans(connection)

    assert read_revision(unverified) == before
    if is_sqlite(engine):
        of_files = [plan for plan in plans if "folder_files" in plan]
        assert of_files
        assert all("ix_folder_files_blob_id" in plan for plan in of_files)


def test_folder_with_another_failed_file_is_not_recorded_as_repaired(unverified: UnverifiedTeam) -> None:
    files = make_folder()
    model_id = register(unverified, files)
    unverified.verify_all()
    for name in (WEIGHTS, "tokenizer/merges.txt"):
        key = get_store_key(unverified, model_id, name)
        replace_stored_object(unverified.resources, key, flip_last_bit(files[name]))
    unverified.age(8)
    scrub(unverified)

    register(unverified, {"merges.txt": files["tokenizer/merges.txt"]}, "LLM/other")
    unverified.verify_all()
    still_failed, first = unverified.state(model_id), list_actions(unverified, model_id)
    unverified.register(files[WEIGHTS], "loras/ink.safetensors")
    unverified.verify_all()

    assert (still_failed, unverified.state(model_id)) == ("failed", "verified")
    assert "model.repaired" not in first
    assert list_actions(unverified, model_id).count("model.repaired") == 1


def list_actions(team: UnverifiedTeam, model_id: str) -> list[str]:
    """Return the actions of the audit events of a model."""
    events = team.owner.get("/audit-events", per_page=100).json()["audit_event_list"]
    return [event["action"] for event in events if event["object_id"] == model_id]


def test_new_verified_file_repairs_folders_with_the_same_damaged_file(unverified: UnverifiedTeam) -> None:
    files = make_folder()
    model_id = register(unverified, files)
    unverified.verify_all()
    key = get_store_key(unverified, model_id, "unet/config.json")
    replace_stored_object(unverified.resources, key, flip_last_bit(files["unet/config.json"]))
    unverified.age(8)
    scrub(unverified)
    damaged, team_id = unverified.state(model_id), UUID(unverified.owner.team_id)
    other = unverified.send(files["unet/config.json"])
    sha256 = hash_of(files["unet/config.json"]).removeprefix("sha256:")
    size = len(files["unet/config.json"])

    with unverified.resources.database.writing(team_id) as session:
        blob = BlobRow(team_id=team_id, sha256=sha256, size=size, store_key=other, verification="verified")
        session.add(blob)
        session.flush()
        repair_with_blobs(session, [blob], SYSTEM)

    assert (damaged, unverified.state(model_id)) == ("failed", "verified")
    assert download(unverified.owner, model_id) == files


def test_register_upload_that_was_deleted_meanwhile_is_refused_and_names_the_file(unverified: UnverifiedTeam) -> None:
    team_id = UUID(unverified.owner.team_id)
    upload = UploadRow(id=new_id(), team_id=team_id, storage_key="models/gone", file_size=1)
    content = UploadedContent("models/gone", 1, None, None, {})
    file = CheckedFile(FolderFile("a.txt", "0" * 64, 1), "data", upload, content, 3)

    with unverified.resources.database.writing(team_id) as session, pytest.raises(problems.UploadUsed) as refused:
        use_file_uploads(session, team_id, [file], new_id())

    assert refused.value.facts["path"] == "a.txt"
    assert refused.value.facts["errors"][0]["field"] == "file_list.3.storage_key"
