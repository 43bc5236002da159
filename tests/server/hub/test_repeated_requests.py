"""Requests for files whose content the team has, or whose import was refused, removed, or fails: what they change."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import delete, select, update

from modelyard.server.database.base import now
from modelyard.server.imports.tables import ImportRow
from modelyard.server.models.repositories.tables import ImportedFileRow
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.uploads.tables import BlobRow, UploadRow
from tests.server.harness import ApiCaller, hash_of, make_model_file
from tests.server.hub.test_endpoint import ask
from tests.server.hub.test_pull_through import INK, get_file, list_imports, writer
from tests.server.imports.calls import list_actions
from tests.server.imports.fake_sources import COMMIT, REPOSITORY, FakeSources
from tests.server.imports.stopped import Stopped
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

__all__ = ["writer"]
NEXT_COMMIT, THIRD_COMMIT = "2" * 40, "3" * 40
FILE, NEXT_FILE = f"{REPOSITORY}/resolve/{COMMIT}/{INK}", f"{REPOSITORY}/resolve/{NEXT_COMMIT}/{INK}"
PICKLE_CALL = b"\x80\x02cos\nsystem\n(X\x04\x00\x00\x00truetR."


@pytest.fixture
def owner(stopped: Stopped) -> ApiCaller:
    """The owner of a team that lets the endpoint import; its imports run only when a test runs them."""
    assert stopped.owner.put("/teams/current", hub_may_import=True).status_code == 200
    return stopped.owner


def import_ink(stopped: Stopped, owner: ApiCaller) -> str:
    """Import the file by a request, and return the id of its model."""
    assert ask(owner, FILE).status_code == 503
    stopped.create_importer().import_next()
    set_state(stopped, "verified")
    return str(list_imports(owner)[0]["model_id"])


def set_state(stopped: Stopped, state: str) -> None:
    """Set the verification of the team's content, as a job does that verifies it, or finds its objects damaged."""
    team_id = UUID(stopped.owner.team_id)
    with stopped.resources.database.writing() as session:
        session.execute(update(BlobRow).where(BlobRow.team_id == team_id).values(verification=state))
        versions = update(ModelVersionRow).where(ModelVersionRow.team_id == team_id)
        session.execute(versions.values(verification=state, verified_at=now(), promoted_at=now()))
        models = update(ModelRow).where(ModelRow.team_id == team_id)
        session.execute(
            models.values(
                verification=state, current_version=ModelRow.latest_version, pending_version=None, verified_at=now()
            )
        )


def edit(owner: ApiCaller, model_id: str) -> dict[str, object]:
    """Change what an import has set, and return the record."""
    changes = {"display_name": "House ink", "required_labels": [], "license": "ours", "trigger_words": ["ours"]}
    assert owner.put(f"/models/{model_id}", **changes).status_code == 200
    return dict(owner.get(f"/models/{model_id}").json())


def ask_at_next_commit(owner: ApiCaller, fakes: FakeSources) -> httpx2.Response:
    """Ask for the same content at another commit."""
    fakes.huggingface.commit = NEXT_COMMIT
    return ask(owner, NEXT_FILE)


def test_request_for_content_that_its_model_has_changes_no_record(
    team: ApiCaller, writer: ApiCaller, fakes: FakeSources
) -> None:
    assert get_file(writer, INK).status_code == 307
    [done] = list_imports(writer)
    record = edit(team, done["model_id"])
    fakes.huggingface.commit = NEXT_COMMIT
    served = get_file(writer, INK, NEXT_COMMIT)
    assert (served.status_code, served.headers["X-Repo-Commit"]) == (307, NEXT_COMMIT)
    assert team.get(f"/models/{done['model_id']}").json() == record
    assert len(list_imports(writer)) == 1
    assert get_file(writer, INK, COMMIT).headers["X-Repo-Commit"] == COMMIT


def test_request_for_content_of_another_model_is_served_without_an_import(
    team: ApiCaller, writer: ApiCaller, fakes: FakeSources
) -> None:
    model_id = team.register(fakes.huggingface.files[INK], "loras/own/line.safetensors")
    record = team.get(f"/models/{model_id}").json()
    served = get_file(writer, INK)
    assert (served.status_code, served.headers["ETag"]) == (307, f'"{record["file_hash"].removeprefix("sha256:")}"')
    after = team.get(f"/models/{model_id}").json()
    assert {**after, "hub_file": None} == {**record, "hub_file": None}
    assert list_imports(writer) == []


def test_model_that_is_registered_during_its_import_keeps_its_record(
    stopped: Stopped, owner: ApiCaller, fakes: FakeSources
) -> None:
    assert ask(owner, FILE).status_code == 503
    [waiting] = list_imports(owner)
    own = {"display_name": "House ink", "required_labels": ["gpu24"], "license": "ours"}
    new = owner.new_model(fakes.huggingface.files[INK], waiting["model_path"], **own)
    model_id = owner.post("/models", **new).json()["id"]
    record = owner.get(f"/models/{model_id}").json()
    stopped.create_importer().import_next()
    [done] = list_imports(owner)
    assert (done["import_state"], done["model_id"]) == ("done", model_id)
    after = owner.get(f"/models/{model_id}").json()
    assert {**after, "hub_file": None} == {**record, "hub_file": None}


@pytest.mark.parametrize("was_current", [True, False], ids=["was-current", "never-current"])
def test_request_for_damaged_content_imports_it_again_and_changes_no_record(
    stopped: Stopped, owner: ApiCaller, was_current: bool
) -> None:
    model_id = import_ink(stopped, owner)
    record = edit(owner, model_id)
    set_state(stopped, "failed")
    if not was_current:
        with stopped.resources.database.writing() as session:
            versions = update(ModelVersionRow).where(ModelVersionRow.team_id == UUID(owner.team_id))
            session.execute(versions.values(promoted_at=None))
    assert ask(owner, FILE).status_code == 503
    stopped.create_importer().import_next()
    repaired = owner.get(f"/models/{model_id}").json()
    assert repaired["verification"] != "failed"
    names = ("display_name", "required_labels", "license", "trigger_words", "source_url")
    assert [repaired[name] for name in names] == [record[name] for name in names]
    assert [each["model_id"] for each in list_imports(owner)] == [model_id, model_id]


def test_verified_import_without_a_recorded_file_is_served(stopped: Stopped, owner: ApiCaller) -> None:
    """Imports of earlier releases have none."""
    import_ink(stopped, owner)
    with stopped.resources.database.writing() as session:
        session.execute(delete(ImportedFileRow).where(ImportedFileRow.team_id == UUID(owner.team_id)))
    assert ask(owner, FILE).status_code == 307
    assert len(list_imports(owner)) == 1


@pytest.mark.parametrize("reason", ["key_not_allowed", "role_too_low", "not_a_member", "unauthenticated"])
def test_import_that_ends_without_access_is_repeated_only_for_other_callers(
    stopped: Stopped, owner: ApiCaller, reason: str
) -> None:
    def fail_import() -> None:
        with stopped.resources.database.writing() as session:
            waiting = update(ImportRow).where(ImportRow.import_state == "queued")
            session.execute(waiting.values(import_state="failed", error_code=reason, error="No.", finished_at=now()))

    key = stopped.registry.create_key("integration", stopped.owner, access="write")
    for expected, caller in enumerate((key, owner), start=1):
        assert ask(caller, FILE).status_code == 503
        fail_import()
        assert len(list_imports(owner)) == expected
    for caller in (key, owner, key):
        refused = ask(caller, FILE)
        assert (refused.status_code, refused.json()["type"]) == (422, "/problems/link-refused")
    assert len(list_imports(owner)) == 2


def test_file_without_a_declared_hash_is_imported_once(team: ApiCaller, writer: ApiCaller, fakes: FakeSources) -> None:
    team.put("/teams/current", pickle_policy="scan")
    fakes.huggingface.declares_hashes = False
    fakes.huggingface.files["ink.ckpt"] = PICKLE_CALL
    for _ in range(2):
        assert get_file(writer, "ink.ckpt", COMMIT).json()["type"] == "/problems/not-a-model-file"
    assert get_file(writer, INK, COMMIT).headers["ETag"] == f'"{hash_of(fakes.huggingface.files[INK])[7:]}"'
    assert len(list_imports(writer)) == 2


def test_concurrent_requests_for_a_file_start_one_import(
    stopped: Stopped, owner: ApiCaller, fakes: FakeSources
) -> None:
    together = threading.Barrier(2)

    def wait_for_others(path: str) -> None:
        if "/resolve/" in path:  # the last request of a lookup
            together.wait(PATIENCE_SECONDS)

    fakes.huggingface.on_request = wait_for_others
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda _: ask(owner, FILE), range(2)))
    assert [answer.status_code for answer in answers] == [503, 503]
    assert len(list_imports(owner)) == 1
    with stopped.resources.database.reading() as session:
        of_team = select(UploadRow).where(UploadRow.team_id == UUID(owner.team_id))
        open_uploads = session.scalars(of_team.where(UploadRow.multipart_id.is_not(None))).all()
    assert len(open_uploads) == 1
    actions = list_actions(owner)
    assert (actions.count("import.started"), actions.count("import.requested")) == (1, 1)


@pytest.mark.parametrize(
    "ask_again",
    [lambda owner, _: ask(owner, FILE), ask_at_next_commit],
    ids=["same-commit", "next-commit"],
)
def test_deleted_model_is_not_imported_again_while_it_is_in_the_trash(
    stopped: Stopped,
    owner: ApiCaller,
    fakes: FakeSources,
    ask_again: Callable[[ApiCaller, FakeSources], httpx2.Response],
) -> None:
    model_id = import_ink(stopped, owner)
    assert owner.delete(f"/models/{model_id}").status_code in (200, 204)
    refused = ask_again(owner, fakes)
    assert (refused.status_code, refused.headers["X-Error-Code"]) == (404, "EntryNotFound")
    assert "Restore it" in refused.headers["X-Error-Message"]
    assert len(list_imports(owner)) == 1
    assert owner.post(f"/models/{model_id}/restore").status_code == 200
    assert ask_again(owner, fakes).status_code == 307


def test_deleted_version_is_not_imported_again_while_it_is_in_the_trash(
    stopped: Stopped, owner: ApiCaller, fakes: FakeSources
) -> None:
    model_id = import_ink(stopped, owner)
    path = owner.get(f"/models/{model_id}").json()["model_path"]
    owner.register(make_model_file("next"), path, replaces=model_id)
    set_state(stopped, "verified")
    assert owner.delete(f"/models/{model_id}/versions/1").status_code in (200, 204)
    for refused in (ask(owner, FILE), ask_at_next_commit(owner, fakes)):
        assert (refused.status_code, refused.headers["X-Error-Code"]) == (404, "EntryNotFound")
        assert "Restore it" in refused.headers["X-Error-Message"]
    assert len(list_imports(owner)) == 1
    assert owner.post(f"/models/{model_id}/versions/1/restore").status_code == 200
    assert ask_at_next_commit(owner, fakes).status_code == 307


@pytest.mark.parametrize("held", ["older-import", "newest-import", "pushed-model"])
def test_request_for_held_content_at_another_commit_leaves_main(
    stopped: Stopped, owner: ApiCaller, fakes: FakeSources, held: str
) -> None:
    def read_main() -> tuple[int, str, str]:
        served = ask(owner, f"{REPOSITORY}/resolve/main/{INK}")
        return served.status_code, served.headers["X-Repo-Commit"], served.headers["ETag"]

    files = fakes.huggingface.files
    contents = {"older-import": files[INK], "newest-import": make_model_file("b"), "pushed-model": make_model_file("c")}
    import_ink(stopped, owner)
    files[INK] = contents["newest-import"]
    assert ask_at_next_commit(owner, fakes).status_code == 503
    stopped.create_importer().import_next()
    owner.register(contents["pushed-model"], "loras/own/line.safetensors")
    set_state(stopped, "verified")
    before = read_main()
    assert before == (307, NEXT_COMMIT, f'"{hash_of(contents["newest-import"])[7:]}"')

    fakes.huggingface.commit, files[INK] = THIRD_COMMIT, contents[held]
    for _ in range(2):
        served = ask(owner, f"{REPOSITORY}/resolve/{THIRD_COMMIT}/{INK}")
        assert (served.status_code, served.headers["ETag"]) == (307, f'"{hash_of(contents[held])[7:]}"')

    assert read_main() == before
    assert len(list_imports(owner)) == 2
