"""Limits of folders: pages of one version, uploads for folders only, statements of a registration, queue and quota."""

import base64
import hashlib
import json
from contextlib import nullcontext
from datetime import timedelta
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import SYSTEM
from modelyard.server.database.base import new_id, now
from modelyard.server.fairness.accounts import Account
from modelyard.server.models.registration.decide import UploadedContent
from modelyard.server.models.registration.folder_blobs import use_file_uploads
from modelyard.server.models.registration.folder_contents import CheckedFile
from modelyard.server.storage.blob_store import Digest
from modelyard.server.uploads.tables import BlobRow, UploadRow
from modelyard.server.uploads.verification_queue import check_verification_queue
from modelyard.wire import problems
from modelyard.wire.folders.manifest import FolderFile
from tests.server.environments import only_on
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file
from tests.server.models.folders.folder_push import build_body, make_folder, register, upload
from tests.server.query_plans import count_sqlite_steps, record_queries, record_statements


def test_list_files_while_the_model_moves_on_stays_at_the_version_of_the_first_page(team: ApiCaller) -> None:
    files = make_folder("ink")
    model_id = register(team, files)
    first_hash = team.get(f"/models/{model_id}").json()["file_hash"]
    first = team.get(f"/models/{model_id}/files", cursor="", per_page=3).json()

    register(team, make_folder("oil"), replaces=model_id)
    cursor = first["page_meta"]["next_cursor"]
    second = team.get(f"/models/{model_id}/files", cursor=cursor, per_page=3).json()

    listed = {file["path"]: file["file_hash"] for page in (first, second) for file in page["file_list"]}
    assert listed == {path: hash_of(content) for path, content in files.items()}
    assert [(page["version"], page["file_hash"]) for page in (first, second)] == [(1, first_hash)] * 2
    assert team.get(f"/models/{model_id}/files").json()["version"] == 2


def test_list_files_of_another_version_than_the_cursor_is_refused(team: ApiCaller) -> None:
    model_id = register(team, make_folder("ink"))
    cursor = team.get(f"/models/{model_id}/files", cursor="", per_page=1).json()["page_meta"]["next_cursor"]
    register(team, make_folder("oil"), replaces=model_id)

    answer = team.get(f"/models/{model_id}/files", cursor=cursor, version=2)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor")


@pytest.mark.parametrize(
    "position",
    [
        pytest.param([f"{'0' * 19}1{'9' * 900}", "5"], id="number of 920 digits"),
        pytest.param([f"1{'0' * 9}", "5"], id="number above the limit"),
        pytest.param([1, "5"], id="no text"),
        pytest.param(["0", "5"], id="zero"),
        pytest.param([], id="empty"),
    ],
)
def test_list_files_with_malformed_cursor_is_refused(team: ApiCaller, position: list[object]) -> None:
    model_id = register(team, make_folder("ink"))
    cursor = base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")

    answer = team.get(f"/models/{model_id}/files", cursor=cursor)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor")


def test_register_upload_of_a_folder_as_one_file_is_refused(team: ApiCaller) -> None:
    content = make_model_file()
    key = upload(team, content, "model.safetensors")

    answer = team.post("/models", **team.new_model(content, "loras/ink.safetensors", storage_key=key))

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "storage_key")
    assert team.get("/models").json()["model_list"] == []


def test_presign_folder_around_a_model_is_refused(team: ApiCaller) -> None:
    model_id = team.register(make_model_file("oil"), "diffusers/SDXL/oil.safetensors")

    refused = team.presign(b"one", "diffusers/sdxl", is_folder=True, file_name="a.txt")
    beside = [
        team.presign(b"one", f"diffusers/{name}", is_folder=True, file_name="a.txt").status_code
        for name in ("sdx", "sdxl-2", "sdxl0", "sdxl_a")
    ]

    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/model-path-taken")
    assert refused.json()["model_id"] == model_id
    assert beside == [200] * 4


def test_presign_folder_finds_the_models_inside_in_an_index(shared_registry: Harness, team: ApiCaller) -> None:
    team.register(make_model_file("oil"), "loras/oil.safetensors")
    engine = shared_registry.resources.database.engine

    with record_queries(engine, of_all_threads=True) as queries:
        team.presign(b"one", "diffusers/sdxl", is_folder=True, file_name="a.txt")

    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            plans = [plan for plan in queries.plans(connection) if "path_key>" in plan]
        assert plans
        assert all("uq_models_team_id_path_key" in plan for plan in plans)


def _find_id(team: ApiCaller) -> UUID:
    """Return the id of a caller's team."""
    return UUID(str(team.team_id))


def _add_uploads(registry: Harness, team_id: UUID, count: int) -> list[CheckedFile]:
    """Add the uploads of a folder of ``count`` pickles whose content was checked already."""
    files = list[CheckedFile]()
    for number in range(count):
        sha256 = hashlib.sha256(f"{number}".encode()).hexdigest()
        key = f"models/{team_id}/{new_id()}"
        columns = {"file_name": "a.bin", "file_size": 8, "is_in_folder": True, "creator_kind": SYSTEM.kind}
        row = UploadRow(id=new_id(), team_id=team_id, storage_key=key, **columns)
        content = UploadedContent(key, 8, Digest(sha256, "0" * 64), None, {"format": "pickle", "extra": {}})
        files.append(CheckedFile(FolderFile(f"{number}.bin", sha256, 8), "pickle", row, content, number))
    with registry.resources.database.writing(team_id) as session:
        session.add_all([file.upload for file in files])
        session.flush()
        session.expunge_all()
    return files


def _record_use(registry: Harness, team_id: UUID, count: int) -> list[str]:
    """Return the statements that use the uploads of a folder of ``count`` files."""
    files = _add_uploads(registry, team_id, count)
    with (
        registry.resources.database.writing(team_id) as session,
        record_statements(session.get_bind()) as statements,
    ):
        use_file_uploads(session, team_id, files, new_id())
        session.flush()
    return statements


def test_register_folder_sends_as_many_statements_for_many_files_as_for_few(
    shared_registry: Harness, team: ApiCaller
) -> None:
    team_id = _find_id(team)

    few = _record_use(shared_registry, team_id, 2)
    many = _record_use(shared_registry, team_id, 40)  # the team has two of them, which are pickles
    known = _record_use(shared_registry, team_id, 40)

    # The new objects of content that the team has are discarded.
    assert max(len(many), len(known)) <= len(few) + 5, (few, many, known)


@only_on("sqlite", reason="it counts SQLite's steps: PostgreSQL chooses its plan by statistics")
def test_register_folder_costs_the_same_however_many_files_of_others_have_its_content(
    registry_without_jobs: Harness,
) -> None:
    database, team = registry_without_jobs.resources.database, registry_without_jobs.create_team()
    text, steps = b"the same", list[int]()
    for number, count in enumerate((2, 500)):
        register(team, {f"{index}.txt": text for index in range(count)}, f"diffusers/{number}")
        [file, *_] = _add_uploads(registry_without_jobs, _find_id(team), 1)
        known = FolderFile("a.txt", hashlib.sha256(text).hexdigest(), len(text))
        content = UploadedContent(file.upload.storage_key, len(text), Digest(known.sha256, "0" * 64))
        file = CheckedFile(known, "data", file.upload, content, 0)
        with count_sqlite_steps(database.engine) as counted, database.writing(_find_id(team)) as session:
            use_file_uploads(session, _find_id(team), [file], new_id())
        steps.append(counted.steps)
    assert steps[1] < steps[0] + 500, steps


def test_presign_files_of_a_folder_reserves_quota_after_their_urls_expired(
    shared_registry: Harness, team: ApiCaller
) -> None:
    team.put("/teams/current", quota_bytes=100)
    folder = team.presign(b"x" * 60, "diffusers/sdxl", is_folder=True, file_name="a.txt")
    with shared_registry.resources.database.writing(_find_id(team)) as session:
        session.execute(
            update(UploadRow).where(UploadRow.team_id == _find_id(team)).values(created_at=now() - timedelta(hours=2))
        )

    refused = team.presign(b"x" * 60, "diffusers/sdxl", is_folder=True, file_name="b.txt")
    with shared_registry.resources.database.writing(_find_id(team)) as session:
        session.execute(
            update(UploadRow).where(UploadRow.team_id == _find_id(team)).values(touched_at=now() - timedelta(days=8))
        )
    accepted = team.presign(b"x" * 60, "diffusers/sdxl", is_folder=True, file_name="b.txt")

    assert (folder.status_code, accepted.status_code) == (200, 200)
    assert refused.json()["type"] == "/problems/quota-exceeded"


def test_presign_sums_reserved_bytes_with_an_index_of_unregistered_uploads(
    shared_registry: Harness, team: ApiCaller
) -> None:
    team.put("/teams/current", quota_bytes=100)
    engine = shared_registry.resources.database.engine

    with record_queries(engine, of_all_threads=True) as queries:
        team.presign(b"one", "diffusers/sdxl", is_folder=True, file_name="a.txt")

    sums = [(statement, values) for statement, values in queries.sent if "sum(" in statement and "uploads" in statement]
    assert len(sums) == 1
    if engine.dialect.name == "sqlite":
        queries.sent = sums
        with engine.connect() as connection:
            [plan] = queries.plans(connection)
        assert "(team_id=? AND registered_at=?" in plan


def _presign_each(team: ApiCaller, contents: list[bytes]) -> list[httpx2.Response]:
    """Presign files of a folder with their hashes."""
    return [
        team.presign(content, "diffusers/sdxl", is_folder=True, file_name="a.txt", file_hash=hash_of(content))
        for content in contents
    ]


def test_presign_file_of_a_folder_again_reserves_quota_once(team: ApiCaller) -> None:
    team.put("/teams/current", quota_bytes=100)

    answers = _presign_each(team, [b"x" * 60, b"x" * 60, b"y" * 60])

    assert [answer.status_code for answer in answers] == [200, 200, 403]
    assert answers[2].json()["expected_bytes"] == 60


def test_presign_file_of_a_folder_many_times_reserves_quota_each_time_after_the_second(team: ApiCaller) -> None:
    team.put("/teams/current", quota_bytes=200)

    answers = _presign_each(team, [b"x" * 60] * 6)

    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 403, 403]
    assert [answer.json()["expected_bytes"] for answer in answers[4:]] == [180, 180]


def test_presign_folder_with_a_full_quota_again_is_accepted_once(team: ApiCaller) -> None:
    team.put("/teams/current", quota_bytes=100)
    folder = [b"x" * 60, b"y" * 40]

    answers = _presign_each(team, folder * 3)

    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 403, 403]


def test_presign_file_of_a_folder_without_hash_reserves_quota_each_time(team: ApiCaller) -> None:
    team.put("/teams/current", quota_bytes=100)

    answers = [team.presign(b"x" * 60, "diffusers/sdxl", is_folder=True, file_name="a.txt") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 403]


def _add_waiting_files(session: Session, team_id: UUID, count: int) -> None:
    """Add files that wait for verification; they are leased, so that the registry's jobs leave them."""
    held = {"leased_until": now() + timedelta(hours=1), "lease": new_id()}
    for number in range(count):
        session.add(BlobRow(team_id=team_id, sha256=f"{number:064}", size=1, store_key=f"{team_id}/{number}", **held))
    session.flush()


@pytest.mark.parametrize(
    ("limit", "waiting", "count", "is_accepted"),
    [
        pytest.param(10, 0, 10, True, id="fills the queue"),
        pytest.param(10, 1, 9, True, id="fits"),
        pytest.param(10, 1, 10, False, id="one too many"),
        pytest.param(10, 0, 500, True, id="larger than the queue, which is empty"),
        pytest.param(20, 1, 500, True, id="larger than the queue, of which less than a tenth is taken"),
        pytest.param(20, 1, 20, True, id="as large as the queue, of which less than a tenth is taken"),
        pytest.param(20, 2, 500, False, id="larger than the queue, of which a tenth is taken"),
    ],
)
def test_check_queue_counts_all_files_of_a_folder(
    shared_registry: Harness, team: ApiCaller, limit: int, waiting: int, count: int, is_accepted: bool
) -> None:
    team_id = _find_id(team)
    with shared_registry.resources.database.writing(team_id) as session:
        _add_waiting_files(session, team_id, waiting)
        expected = nullcontext() if is_accepted else pytest.raises(problems.VerificationQueueFull)
        with expected:
            check_verification_queue(session, Account(team=team_id), limit=limit, count=count)
        session.rollback()


def test_check_queue_of_all_teams_counts_all_files_of_a_folder(shared_registry: Harness, team: ApiCaller) -> None:
    other_id = _find_id(shared_registry.create_other_team())
    with shared_registry.resources.database.writing(other_id) as session:
        _add_waiting_files(session, other_id, 95)
        with pytest.raises(problems.VerificationQueueFull):
            check_verification_queue(session, Account(team=_find_id(team)), limit=10, count=8)
        session.rollback()


def test_register_folder_checks_the_queue_for_each_file(registry: Harness) -> None:
    team = registry.create_team()
    content = json.dumps({"text": "x" * 400_000})
    files = {f"{number}.json": f'{content[:-1]}, "n": {number}}}'.encode() for number in range(3)}
    body = build_body(team, files)
    with registry.resources.database.writing(_find_id(team)) as session:
        for number in range(registry.resources.settings.verification_queue - 2):
            held = {"leased_until": now() + timedelta(hours=1), "lease": new_id()}
            row = BlobRow(team_id=_find_id(team), sha256=f"{number:064}", size=1, store_key=f"models/{number}", **held)
            session.add(row)

    answer = team.post("/models", **body)

    assert answer.json()["type"] == "/problems/verification-queue-full"
