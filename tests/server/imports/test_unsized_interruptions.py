"""Downloads of files without a size that end early, are encoded, or are too large."""

import os
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select, update

from modelyard.server.imports.runs.failures import MAX_TRIES
from modelyard.server.imports.tables import ImportRow
from modelyard.server.uploads.tables import UploadRow
from tests.server.environments import only_on
from tests.server.harness import ApiCaller, hash_of, make_model_file
from tests.server.imports.calls import start, wait
from tests.server.imports.conftest import PART
from tests.server.imports.fake_sources import FakeSources
from tests.server.imports.stopped import Stopped
from tests.server.imports.test_unsized_imports import check_imported

pytestmark = pytest.mark.slow

CONTENT = make_model_file("large", 2 * PART + 1000)
TOTAL = len(CONTENT)
STATVFS = os.statvfs


def send_chunked(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
    """Send a body in chunks, with an end."""
    handler.send_response(status)
    for name, value in ({"Transfer-Encoding": "chunked"} | headers).items():
        handler.send_header(name, value)
    handler.end_headers()
    if handler.command != "HEAD":
        for at in range(0, len(body), 100_000):
            piece = body[at : at + 100_000]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.wfile.write(b"0\r\n\r\n")


def send_until_closed(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
    """Send a body that the end of the connection ends."""
    handler.send_response(status)
    for name, value in ({"Connection": "close"} | headers).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def script(fakes: FakeSources, *first: Callable[[BaseHTTPRequestHandler], None]) -> str:
    """Answer the first downloads of a file as given, and all others with all of it in chunks; return its link."""
    answers = list(first)
    fakes.storage.file, fakes.storage.says_size = CONTENT, False

    def respond(handler: BaseHTTPRequestHandler) -> None:
        if handler.command == "GET" and answers:
            handler.close_connection = True
            answers.pop(0)(handler)
        else:
            fakes.storage.respond(handler)

    fakes.route_storage(respond)
    return f"{fakes.storage.server.address}/file/ink.safetensors"


def test_import_with_length_and_shorter_chunked_body_is_tried_again(team: ApiCaller, fakes: FakeSources) -> None:
    headers = {"Content-Length": str(TOTAL)}
    link = script(fakes, lambda handler: send_chunked(handler, 200, CONTENT[: PART + 300], headers))
    check_imported(team, start(team, link), CONTENT)


@pytest.mark.parametrize("total", [str(TOTAL), "*"])
def test_import_range_that_ends_early_is_tried_again(team: ApiCaller, fakes: FakeSources, total: str) -> None:
    def cut(handler: BaseHTTPRequestHandler) -> None:
        fakes.storage.cut_after = [PART + 500]
        fakes.storage.respond(handler)

    headers = {"ETag": '"first"', "Content-Range": f"bytes {PART}-{TOTAL - 1}/{total}"}
    short = CONTENT[PART : PART + 300]
    send = send_until_closed if total != "*" else send_chunked
    link = script(fakes, cut, lambda handler: send(handler, 206, short, headers))
    check_imported(team, start(team, link), CONTENT)


@pytest.mark.parametrize("has_size", [True, False], ids=["with size", "without size"])
def test_import_encoded_body_is_refused(team: ApiCaller, fakes: FakeSources, has_size: bool) -> None:
    headers = {"Content-Encoding": "gzip"}
    link = script(fakes, *[lambda handler: send_chunked(handler, 200, CONTENT, headers)] * 2)
    changed = {"file_size": TOTAL, "file_hash": hash_of(CONTENT)} if has_size else {}
    failed = wait(team, start(team, link, **changed), "failed", "done")
    assert failed["error_code"] == "link_refused"
    assert "gzip" in failed["error"]


def test_import_without_size_above_the_largest_number_of_parts_is_refused(team: ApiCaller, fakes: FakeSources) -> None:
    team.put("/teams/current", quota_bytes=None)
    headers = {"Content-Length": str(10_000 * PART + 1)}
    link = script(fakes, *[lambda handler: send_until_closed(handler, 200, b"x" * 100, headers)] * 2)
    failed = wait(team, start(team, link), "failed", "done")
    assert failed["error_code"] == "link_refused"
    assert "parts" in failed["error"]


def test_import_next_without_size_and_etag_that_is_always_cut_fails_after_its_tries(
    stopped: Stopped, fakes: FakeSources
) -> None:
    owner, link = stopped.owner, script(fakes)
    fakes.storage.etag, fakes.storage.cut_after = None, [PART + 500] * 20
    import_id, importer = start(owner, link), stopped.create_importer()
    for _ in range(MAX_TRIES):
        assert owner.get(f"/imports/{import_id}").json()["import_state"] == "queued"
        importer.import_next()
        stopped.expire_leases()
    failed = owner.get(f"/imports/{import_id}").json()
    assert (failed["import_state"], failed["error_code"]) == ("failed", "source_unavailable")


@only_on("folder", reason="a bucket reports no free space, and the test limits that")
def test_import_next_without_size_larger_than_the_disk_fails_at_once(
    stopped: Stopped, fakes: FakeSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, link = stopped.owner, script(fakes)
    import_id = start(owner, link)

    def fill_disk(path: Path) -> os.statvfs_result:
        disk = list(STATVFS(path))
        disk[3] = disk[4] = 0  # no free blocks
        return os.statvfs_result(disk)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        monkeypatch.setattr(os, "statvfs", fill_disk)
        fakes.storage.respond(handler)

    fakes.route_storage(lambda each: fakes.storage.respond(each) if each.command == "HEAD" else answer(each))
    stopped.create_importer().import_next()
    failed = owner.get(f"/imports/{import_id}").json()
    assert (failed["import_state"], failed["error_code"]) == ("failed", "storage_full")


def test_import_next_without_size_that_begins_anew_reserves_one_part_again(
    stopped: Stopped, fakes: FakeSources
) -> None:
    owner, link = stopped.owner, script(fakes)
    fakes.storage.etag, fakes.storage.cut_after = None, [2 * PART + 500]
    import_id, importer = start(owner, link), stopped.create_importer()
    importer.import_next()
    stopped.expire_leases()
    reserved = list[tuple[int, bool]]()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        with stopped.resources.database.reading() as session:
            upload = session.scalars(select(UploadRow).where(UploadRow.team_id == UUID(owner.team_id))).one()
            reserved.append((upload.file_size, upload.multipart_id is not None))
        fakes.storage.respond(handler)

    fakes.route_storage(lambda each: fakes.storage.respond(each) if each.command == "HEAD" else answer(each))
    importer.import_next()
    assert reserved == [(PART, True)]
    assert owner.get(f"/imports/{import_id}").json()["import_state"] == "done"


def test_import_next_after_a_kill_before_its_first_report_starts_anew(stopped: Stopped, fakes: FakeSources) -> None:
    owner, link = stopped.owner, script(fakes)
    fakes.storage.cut_after = [2 * PART + 500]
    import_id, importer = start(owner, link), stopped.create_importer()
    importer.import_next()
    with stopped.resources.database.writing() as session:
        session.execute(update(ImportRow).values(bytes_done=0, leased_until=None))
    fakes.storage.file, fakes.storage.etag = make_model_file("small"), '"second"'
    importer.import_next()
    done = owner.get(f"/imports/{import_id}").json()
    assert (done["import_state"], done["file_size"]) == ("done", len(fakes.storage.file))
