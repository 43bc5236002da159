"""Objects that were changed after their verification: good bytes are preferred, and what is found is known at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from modelyard.server.database.session import Database
from modelyard.server.garbage.collection import collect_garbage
from modelyard.server.garbage.run_state import RunOptions
from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.models.objects.known_failures import KnownFailures
from modelyard.server.models.objects.recheck_requests import RecheckRequests
from modelyard.server.resources import build_database_url
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire import problems
from tests.server.environments import PATIENT
from tests.server.harness import hash_of
from tests.server.models.folders import folder_push
from tests.server.verification.conftest import Pushing
from tests.server.verification.test_corrupt_objects import folder, get_download_url, get_object_path, recheck
from tests.server.verification.test_folders import WEIGHTS, get_store_key
from tests.server.verification.test_folders import register as register_folder
from tests.server.verification.test_scrub import flip_last_bit, register_verified, replace_stored_object, scrub
from tests.server.verification.unverified_team import CONTENT, OTHER, UnverifiedTeam
from tests.waiting import PATIENCE_SECONDS

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


def presign(team: UnverifiedTeam, content: bytes = CONTENT, path: str = "loras/more.safetensors") -> bool:
    """Return whether a presigned upload of the content is answered as stored already."""
    return bool(team.owner.presign(content, path, file_hash=hash_of(content)).json()["already_stored"])


def get_error(team: UnverifiedTeam, model_id: str, version: int) -> tuple[int, str | None]:
    answer = team.owner.post(f"/models/{model_id}/versions/{version}/activate")
    return answer.status_code, answer.json().get("error_code")


def test_link_in_use_is_refused_once_a_recheck_has_found_damage(folder: UnverifiedTeam) -> None:
    model_id = register_verified(folder)
    url = get_download_url(folder, model_id)
    get_object_path(folder, model_id).write_bytes(flip_last_bit(CONTENT))
    assert [folder.client.get(url).status_code for _ in range(2)] == [200, 200]

    recheck(folder)

    refused = [folder.client.get(url, headers=headers) for headers in ({}, {"Range": "bytes=4-9"})]
    assert [(answer.status_code, answer.json()["error_code"]) for answer in refused] == [(409, "model_damaged")] * 2


def test_presign_for_changed_object_takes_the_bytes_before_the_recheck(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified)
    assert presign(unverified)
    break_object(unverified, unverified.blob(model_id).store_key)
    assert not presign(unverified)
    assert unverified.blob(model_id).is_doubtful


def test_presign_for_object_in_which_a_reader_found_other_bytes_takes_the_bytes(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified)
    unverified.resources.recheck_requests.add(unverified.blob(model_id))
    assert not presign(unverified)


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
    assert get_error(unverified, model_id, 1) == (200, None)


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
    team.resources.recheck_requests.add(team.blob(model_id))
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


def test_register_stored_content_whose_object_was_changed_since_presign_succeeds(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified)
    ticket = unverified.owner.presign(CONTENT, "loras/more.safetensors", file_hash=hash_of(CONTENT)).json()
    replace_stored_object(unverified.resources, unverified.blob(model_id).store_key, CONTENT)
    body = unverified.owner.new_model(CONTENT, "loras/more.safetensors", storage_key=ticket["storage_key"])
    assert unverified.owner.post("/models", **body).status_code == 201


def test_activate_version_with_changed_object_returns_409_until_it_is_known_to_be_good(
    unverified: UnverifiedTeam,
) -> None:
    model_id = register_verified(unverified)
    register_verified(unverified, OTHER, INK, replaces=model_id)
    key = unverified.find_store_key(model_id, 1)

    break_object(unverified, key)
    assert get_error(unverified, model_id, 1) == (409, "model_not_verified")
    recheck(unverified)
    assert get_error(unverified, model_id, 1) == (409, "model_damaged")
    assert (unverified.model(model_id)["version"], unverified.download(model_id)) == (2, OTHER)

    unverified.register(CONTENT, "loras/again.safetensors")
    unverified.verify_all()
    assert get_error(unverified, model_id, 1) == (200, None)
    assert unverified.download(model_id) == CONTENT


def test_activate_object_without_recorded_version_succeeds(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified)
    of_team = update(BlobRow).where(BlobRow.team_id == UUID(unverified.owner.team_id))
    with unverified.resources.database.writing() as session:
        session.execute(of_team.values(stored_version=None))
    register_verified(unverified, OTHER, INK, replaces=model_id)
    assert get_error(unverified, model_id, 1) == (200, None)


def test_activate_good_version_after_current_one_was_found_damaged_succeeds(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified)
    register_verified(unverified, OTHER, INK, replaces=model_id)
    break_object(unverified, unverified.find_store_key(model_id, 2), OTHER)
    unverified.owner.get(f"/models/{model_id}/download")
    recheck(unverified)
    assert unverified.state(model_id) == "failed"
    assert get_error(unverified, model_id, 1) == (200, None)
    assert (unverified.state(model_id), unverified.download(model_id)) == ("verified", CONTENT)


@pytest.mark.parametrize("is_missing", [False, True], ids=["changed", "missing"])
def test_activate_folder_version_checks_its_files(unverified: UnverifiedTeam, is_missing: bool) -> None:
    files, new_files = folder_push.make_folder(), folder_push.make_folder("new")
    model_id = register_folder(unverified, files)
    unverified.verify_all()
    register_folder(unverified, new_files, replaces=model_id)
    unverified.verify_all()
    assert get_error(unverified, model_id, 1) == (200, None)
    assert get_error(unverified, model_id, 2) == (200, None)

    key = get_store_key(unverified, model_id, WEIGHTS)
    replace_stored_object(unverified.resources, key, None if is_missing else flip_last_bit(files[WEIGHTS]))
    expected = "model_damaged" if is_missing else "model_not_verified"
    assert get_error(unverified, model_id, 1) == (409, expected)
    assert folder_push.download(unverified.owner, model_id) == new_files


class FaultyDatabase(Database):
    """A second set of connections to a registry's database; readers wait or fail as long as a test says so."""

    def __init__(self, unverified: UnverifiedTeam) -> None:
        super().__init__(build_database_url(unverified.resources.settings), PATIENT)
        self.is_unavailable = False
        self.answers = threading.Event()
        self.answers.set()
        self.reads = 0

    @contextmanager
    def reading(self) -> Iterator[Session]:
        self.reads += 1
        self.answers.wait(PATIENCE_SECONDS)
        if self.is_unavailable:
            raise problems.Unavailable("The database does not answer.", retry_after=1)
        with super().reading() as session:
            yield session


@pytest.fixture
def other_database(unverified: UnverifiedTeam) -> Iterator[FaultyDatabase]:
    database = FaultyDatabase(unverified)
    yield database
    database.answers.set()
    database.close()


@pytest.fixture
def other_process(unverified: UnverifiedTeam, other_database: FaultyDatabase) -> ObjectChecks:
    """The checks of another process, which looks for failures whenever it is asked."""
    failures = KnownFailures(other_database, look_seconds=0)
    store = unverified.resources.store
    return ObjectChecks(other_database, store, Metrics(), RecheckRequests(), known_failures=failures)


def test_object_that_another_process_marked_is_refused_until_it_is_repaired(
    unverified: UnverifiedTeam, other_process: ObjectChecks
) -> None:
    model_id = register_verified(unverified)
    store, key = unverified.resources.store, unverified.blob(model_id).store_key
    break_object(unverified, key)
    broken = store.stat(key)
    other_process.check_before_sending(key, broken)
    unverified.owner.get(f"/models/{model_id}/download")
    recheck(unverified)

    with pytest.raises(problems.ModelDamaged):
        other_process.check_before_sending(key, broken)

    replace_stored_object(unverified.resources, key, CONTENT)
    unverified.age(1.1)
    scrub(unverified)
    other_process.check_before_sending(key, store.stat(key))


def test_known_failure_is_refused_and_intact_object_sent_while_the_database_does_not_answer(
    unverified: UnverifiedTeam, other_process: ObjectChecks, other_database: FaultyDatabase
) -> None:
    models = register_verified(unverified), register_verified(unverified, OTHER, "loras/other.safetensors")
    broken, intact = (unverified.blob(model_id).store_key for model_id in models)
    store = unverified.resources.store
    break_object(unverified, broken)
    other_process.check_before_sending(broken, store.stat(broken))
    unverified.owner.get(f"/models/{models[0]}/download")
    recheck(unverified)
    other_process.check_before_sending(intact, store.stat(intact))

    other_database.is_unavailable = True

    with pytest.raises(problems.ModelDamaged):
        other_process.check_before_sending(broken, store.stat(broken))
    other_process.check_before_sending(intact, store.stat(intact))


def test_object_in_use_is_sent_while_a_look_for_failures_waits_for_the_database(
    unverified: UnverifiedTeam, other_process: ObjectChecks, other_database: FaultyDatabase
) -> None:
    model_id = register_verified(unverified)
    store, key = unverified.resources.store, unverified.blob(model_id).store_key
    other_process.check_before_sending(key, store.stat(key))
    before = other_database.reads
    other_database.answers.clear()
    for _ in range(3):
        other_process.check_before_sending(key, store.stat(key))
    assert other_database.reads == before + 1
