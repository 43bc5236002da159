"""Objects that were changed after their verification: good bytes are preferred, and what is found is known at once."""

from uuid import UUID

import pytest
from sqlalchemy import select, update

from modelyard.server.garbage.collection import collect_garbage
from modelyard.server.garbage.run_state import RunOptions
from modelyard.server.models.objects.recheck_requests import record_wrong_bytes
from modelyard.server.uploads.tables import BlobRow
from modelyard.server.verification.scrub import RECHECK_RATE, Scrubber
from tests.server.harness import hash_of, make_model_file
from tests.server.models.folders import folder_push
from tests.server.verification.conftest import Pushing
from tests.server.verification.test_corrupt_objects import folder, recheck
from tests.server.verification.test_folders import WEIGHTS, get_store_key
from tests.server.verification.test_folders import register as register_folder
from tests.server.verification.test_scrub import flip_last_bit, register_verified, replace_stored_object
from tests.server.verification.unverified_team import CONTENT, OTHER, UnverifiedTeam

__all__ = ["folder"]
pytestmark = pytest.mark.slow

INK = "loras/ink.safetensors"


def break_object(team: UnverifiedTeam, key: str, content: bytes = CONTENT) -> None:
    """Replace a stored object by one of the same size with other bytes."""
    replace_stored_object(team.resources, key, flip_last_bit(content))


def count_blobs(team: UnverifiedTeam, content: bytes = CONTENT) -> int:
    with team.resources.database.reading() as session:
        of_team = BlobRow.team_id == UUID(team.owner.team_id), BlobRow.sha256 == hash_of(content)[7:]
        return len(session.scalars(select(BlobRow.id).where(*of_team)).all())


def is_presigned_as_stored(
    team: UnverifiedTeam, content: bytes = CONTENT, path: str = "loras/more.safetensors"
) -> bool:
    """Return whether a presigned upload of the content is answered as stored already."""
    return bool(team.owner.presign(content, path, file_hash=hash_of(content)).json()["already_stored"])


def forget_object_versions(team: UnverifiedTeam) -> None:
    """Let an older release have verified the team's blobs."""
    of_team = update(BlobRow).where(BlobRow.team_id == UUID(team.owner.team_id))
    with team.resources.database.writing() as session:
        session.execute(of_team.values(stored_version=None))


def activate(team: UnverifiedTeam, model_id: str, version: int) -> tuple[int, str | None]:
    """Activate a version; return the status and the error code of the answer."""
    answer = team.owner.post(f"/models/{model_id}/versions/{version}/activate")
    return answer.status_code, answer.json().get("error_code")


def test_presign_for_changed_object_takes_the_bytes_before_the_recheck(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified)
    assert is_presigned_as_stored(unverified)
    break_object(unverified, unverified.blob(model_id).store_key)
    assert not is_presigned_as_stored(unverified)
    assert unverified.blob(model_id).is_doubtful


@pytest.mark.parametrize("recorded", [True, False], ids=["version recorded", "by an older release"])
def test_presign_for_object_in_which_a_reader_found_other_bytes_takes_the_bytes(
    unverified: UnverifiedTeam, recorded: bool
) -> None:
    model_id = register_verified(unverified)
    if not recorded:
        forget_object_versions(unverified)
    record_wrong_bytes(unverified.resources.database, unverified.blob(model_id))
    assert not is_presigned_as_stored(unverified)
    recheck(unverified)
    assert is_presigned_as_stored(unverified)


def test_push_replaces_changed_object_while_no_more_requests_of_downloads_are_taken(
    unverified: UnverifiedTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelyard.server.models.objects.recheck_requests.MAX_REQUESTS", 0)
    model_id = register_verified(unverified)
    register_verified(unverified, OTHER, INK, replaces=model_id)
    broken = unverified.find_store_key(model_id, 1)
    key = unverified.send(CONTENT)
    break_object(unverified, broken)

    assert activate(unverified, model_id, 1) == (409, "model_not_verified")
    assert not is_presigned_as_stored(unverified)
    unverified.register(CONTENT, "loras/again.safetensors", storage_key=key)
    unverified.verify_all()

    assert unverified.find_store_key(model_id, 1) != broken
    assert activate(unverified, model_id, 1) == (200, None)


def test_verification_keeps_pushed_bytes_if_the_stored_object_was_changed_meanwhile(
    unverified: UnverifiedTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelyard.server.models.objects.recheck_requests.MAX_REQUESTS", 0)
    model_id = register_verified(unverified)
    broken = unverified.blob(model_id).store_key
    unverified.register(CONTENT, "loras/again.safetensors")
    break_object(unverified, broken)
    unverified.verify_all()
    assert unverified.blob(model_id).store_key != broken
    assert unverified.download(model_id) == CONTENT


def test_refused_activation_puts_its_objects_before_others_that_wait(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified)
    register_verified(unverified, OTHER, INK, replaces=model_id)
    third = make_model_file("third")
    recheck(unverified)  # what other tests have left
    waiting = register_verified(unverified, third, "loras/third.safetensors")
    replace_stored_object(unverified.resources, unverified.blob(waiting).store_key, third)
    replace_stored_object(unverified.resources, unverified.find_store_key(model_id, 1), CONTENT)
    assert not is_presigned_as_stored(unverified, third)
    assert activate(unverified, model_id, 1) == (409, "model_not_verified")

    resources = unverified.resources
    assert Scrubber(resources.database, resources.store, unverified.metrics, RECHECK_RATE).recheck_next()

    assert activate(unverified, model_id, 1) == (200, None)
    assert unverified.blob(waiting).is_doubtful


def test_link_says_whether_the_stored_file_is_doubtful(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified)
    files = folder_push.make_folder("other")
    folder_id = register_folder(unverified, files)
    unverified.verify_all()
    broken = register_verified(unverified, OTHER, "loras/broken.safetensors")
    break_object(unverified, unverified.blob(broken).store_key, OTHER)
    break_object(unverified, get_store_key(unverified, folder_id, WEIGHTS), files[WEIGHTS])

    def is_doubtful(model_id: str) -> bool:
        return bool(unverified.owner.get(f"/models/{model_id}/download", redirect="false").json()["is_doubtful"])

    listed = unverified.owner.get(f"/models/{folder_id}/files").json()["file_list"]
    assert [is_doubtful(model_id), is_doubtful(broken)] == [False, True]
    assert [file["path"] for file in listed if file["is_doubtful"]] == [WEIGHTS]


@pytest.mark.parametrize(
    ("path", "replaces"),
    [(INK, False), ("loras/other.safetensors", False), (INK, True)],
    ids=["same path", "other path", "replaces"],
)
def test_push_of_good_bytes_replaces_changed_object_before_the_recheck(
    hashing: Pushing, path: str, replaces: bool
) -> None:
    team, push = hashing
    model_id = push(CONTENT, INK)
    team.verify_all()
    doubtful = team.blob(model_id)
    break_object(team, doubtful.store_key)

    push(CONTENT, path, **({"replaces": model_id} if replaces else {}))
    assert team.state(model_id) == "verified"
    team.verify_all()

    assert team.blob(model_id).id != doubtful.id
    assert team.download(model_id) == CONTENT
    recheck(team)
    assert team.state(model_id) == "verified"
    assert team.model(model_id)["version"] == 1
    assert "model.corrupted" not in team.events(model_id)


def test_replaces_with_the_content_of_an_older_doubtful_version_uses_the_new_bytes_for_both(
    unverified: UnverifiedTeam,
) -> None:
    model_id = register_verified(unverified)
    register_verified(unverified, OTHER, INK, replaces=model_id)
    broken = unverified.find_store_key(model_id, 1)
    break_object(unverified, broken)

    unverified.register(CONTENT, INK, replaces=model_id)
    unverified.verify_all()

    assert broken != unverified.find_store_key(model_id, 1) == unverified.find_store_key(model_id, 3)
    assert activate(unverified, model_id, 1) == (200, None)


@pytest.mark.parametrize("path", [folder_push.PATH, "diffusers/second"])
def test_push_of_folder_replaces_changed_file_before_the_recheck(unverified: UnverifiedTeam, path: str) -> None:
    files = folder_push.make_folder()
    model_id = register_folder(unverified, files)
    unverified.verify_all()
    broken = get_store_key(unverified, model_id, WEIGHTS)
    break_object(unverified, broken, files[WEIGHTS])

    register_folder(unverified, files, path)
    assert unverified.state(model_id) == "verified"
    unverified.verify_all()

    assert get_store_key(unverified, model_id, WEIGHTS) != broken
    assert folder_push.download(unverified.owner, model_id) == files
    recheck(unverified)
    assert unverified.state(model_id) == "verified"


def test_push_of_wrong_bytes_for_changed_object_changes_nothing(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified)
    before = unverified.blob(model_id)
    replace_stored_object(unverified.resources, before.store_key, CONTENT)
    unverified.register_wrong_hash(INK)
    unverified.verify_all()
    assert (unverified.state(model_id), unverified.blob(model_id).id) == ("verified", before.id)
    recheck(unverified)
    assert (unverified.state(model_id), unverified.download(model_id)) == ("verified", CONTENT)


def test_push_after_restore_of_intact_object_leaves_one_copy_after_garbage_collection(
    hashing: Pushing,
) -> None:
    team, push = hashing
    model_id = push(CONTENT, INK)
    team.verify_all()
    replaced = team.blob(model_id).store_key
    replace_stored_object(team.resources, replaced, CONTENT)
    push(CONTENT, INK)
    team.verify_all()
    recheck(team)
    assert count_blobs(team) == 2

    resources = team.resources
    for _ in range(2):
        collect_garbage(
            resources.database,
            resources.store,
            resources.settings,
            RunOptions(RunOptions().grace * 0, is_thorough=False),
        )

    assert count_blobs(team) == 1
    assert resources.store.stat(replaced) is None
    assert (team.state(model_id), team.download(model_id)) == ("verified", CONTENT)


def test_push_whose_doubtful_object_turns_out_intact_first_keeps_that_one(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified)
    before = unverified.blob(model_id)
    replace_stored_object(unverified.resources, before.store_key, CONTENT)
    unverified.register(CONTENT, INK)
    recheck(unverified)
    unverified.verify_all()
    assert (unverified.blob(model_id).id, count_blobs(unverified)) == (before.id, 1)


@pytest.mark.parametrize("replaces", [False, True])
def test_register_stored_content_whose_object_was_changed_since_presign_asks_for_the_upload(
    unverified: UnverifiedTeam, replaces: bool
) -> None:
    model_id = register_verified(unverified)
    other_id = register_verified(unverified, OTHER, "loras/other.safetensors")
    path, changed = ("loras/other.safetensors", {"replaces": other_id}) if replaces else ("loras/more.safetensors", {})
    ticket = unverified.owner.presign(CONTENT, path, file_hash=hash_of(CONTENT), **changed).json()
    assert ticket["already_stored"]
    replace_stored_object(unverified.resources, unverified.blob(model_id).store_key, CONTENT)
    body = unverified.owner.new_model(CONTENT, path, storage_key=ticket["storage_key"], **changed)
    assert unverified.owner.post("/models", **body).json()["error_code"] == "upload_incomplete"
    assert unverified.download(other_id) == OTHER
    assert not is_presigned_as_stored(unverified)


def test_garbage_collection_keeps_a_replacement_that_is_not_verified_yet(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified)
    broken = unverified.blob(model_id).store_key
    break_object(unverified, broken)
    unverified.register(CONTENT, INK)
    resources = unverified.resources
    for _ in range(2):
        collect_garbage(
            resources.database,
            resources.store,
            resources.settings,
            RunOptions(RunOptions().grace * 0, is_thorough=True),
        )
    unverified.verify_all()
    assert unverified.blob(model_id).store_key != broken
    assert unverified.download(model_id) == CONTENT


def test_activate_version_with_changed_object_returns_409_until_it_is_known_to_be_good(
    unverified: UnverifiedTeam,
) -> None:
    model_id = register_verified(unverified)
    register_verified(unverified, OTHER, INK, replaces=model_id)
    key = unverified.find_store_key(model_id, 1)

    break_object(unverified, key)
    assert activate(unverified, model_id, 1) == (409, "model_not_verified")
    recheck(unverified)
    assert activate(unverified, model_id, 1) == (409, "model_damaged")
    assert (unverified.model(model_id)["version"], unverified.download(model_id)) == (2, OTHER)

    unverified.register(CONTENT, "loras/again.safetensors")
    unverified.verify_all()
    assert activate(unverified, model_id, 1) == (200, None)
    assert unverified.download(model_id) == CONTENT


def test_activate_object_without_recorded_version_succeeds(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified)
    forget_object_versions(unverified)
    register_verified(unverified, OTHER, INK, replaces=model_id)
    assert activate(unverified, model_id, 1) == (200, None)


def test_activate_good_version_after_current_one_was_found_damaged_succeeds(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified)
    register_verified(unverified, OTHER, INK, replaces=model_id)
    break_object(unverified, unverified.find_store_key(model_id, 2), OTHER)
    unverified.owner.get(f"/models/{model_id}/download")
    recheck(unverified)
    assert unverified.state(model_id) == "failed"
    assert activate(unverified, model_id, 1) == (200, None)
    assert (unverified.state(model_id), unverified.download(model_id)) == ("verified", CONTENT)


@pytest.mark.parametrize("is_missing", [False, True], ids=["changed", "missing"])
def test_activate_folder_version_checks_its_files(unverified: UnverifiedTeam, is_missing: bool) -> None:
    files, new_files = folder_push.make_folder(), folder_push.make_folder("new")
    model_id = register_folder(unverified, files)
    unverified.verify_all()
    register_folder(unverified, new_files, replaces=model_id)
    unverified.verify_all()
    assert activate(unverified, model_id, 1) == (200, None)
    assert activate(unverified, model_id, 2) == (200, None)

    key = get_store_key(unverified, model_id, WEIGHTS)
    replace_stored_object(unverified.resources, key, None if is_missing else flip_last_bit(files[WEIGHTS]))
    expected = "model_damaged" if is_missing else "model_not_verified"
    assert activate(unverified, model_id, 1) == (409, expected)
    assert folder_push.download(unverified.owner, model_id) == new_files
