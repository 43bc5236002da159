"""Uploads of whole files to a server with faults."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.transfer.errors import DiskFailed, FileChanged, Refused, RetriesExhausted, Unreachable
from modelyard.transfer.http.connection import Request
from modelyard.transfer.options import TransferOptions
from modelyard.transfer.progress import ProgressEvent, Retrying, Sent, ignore_progress
from modelyard.transfer.upload import upload_whole
from tests.transfer.fake_clock import FakeClock
from tests.transfer.faults import lose_response, reset_after_reading, respond, respond_without_http, stop_reading_after
from tests.transfer.faulty_server import Behavior, FaultyServer

pytestmark = pytest.mark.slow


def _build_request(server: FaultyServer, file: Path, **headers: str) -> Request:
    signed = {"Content-Length": str(file.stat().st_size), "If-None-Match": "*", "x-amz-meta-Odd": "A b"}
    return Request(server.url("/key"), signed | headers)


def test_upload_whole_stores_file_and_returns_etag(server: FaultyServer, file: Path) -> None:
    events: list[ProgressEvent] = []

    etag = asyncio.run(upload_whole(file, _build_request(server, file), events.append))

    assert server.objects["/key"] == file.read_bytes()
    assert etag == server.etags["/key"]
    assert events[-1] == Sent(file, 1_000_000, 1_000_000)


def test_upload_whole_sends_signed_headers_unchanged_and_once(server: FaultyServer, file: Path) -> None:
    asyncio.run(upload_whole(file, _build_request(server, file), ignore_progress))

    assert server.seen[0].headers == {
        "host": server.base.removeprefix("http://"),
        "content-length": "1000000",
        "if-none-match": "*",
        "x-amz-meta-odd": "A b",
    }


def test_upload_whole_empty_file_is_stored(server: FaultyServer, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()

    asyncio.run(upload_whole(empty, _build_request(server, empty), ignore_progress))

    assert server.objects["/key"] == b""


@pytest.mark.parametrize(
    ("fault", "stall_timeout_seconds"),
    [
        (respond(503, Retry_After="0"), None),
        (respond(400, b"<Error><Code>BadDigest</Code></Error>"), None),
        (reset_after_reading(300_000), None),
        # Must not expire in the second attempt.
        (stop_reading_after(1000), 5),
        (lose_response, None),
        (respond_without_http, None),
    ],
    ids=["busy", "garbled", "reset", "stalled", "answer lost", "no http"],
)
def test_upload_whole_temporary_fault_is_retried_and_succeeds(
    server: FaultyServer,
    tmp_path: Path,
    options: TransferOptions,
    fault: Behavior,
    stall_timeout_seconds: float | None,
) -> None:
    large = tmp_path / "large"
    large.write_bytes(os.urandom(10_000_000))  # more than the socket buffers hold
    server.script.append(fault)
    events: list[ProgressEvent] = []
    if stall_timeout_seconds is not None:
        options = replace(options, stall_timeout_seconds=stall_timeout_seconds)

    asyncio.run(upload_whole(large, _build_request(server, large), events.append, options=options))

    assert server.objects["/key"] == large.read_bytes()
    assert sum(isinstance(event, Retrying) for event in events) == 1
    assert events[-1] == Sent(large, 10_000_000, 10_000_000)
    server.wait_until_quiet()


@pytest.mark.parametrize("status", [403, 411, 412, 413, 507])
def test_upload_whole_refused_early_stops_sending(server: FaultyServer, tmp_path: Path, status: int) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(20_000_000_000)
    server.always = respond(status, b'{"detail": "Not allowed.", "error_code": "not_allowed"}')

    with pytest.raises(Refused) as refused:
        asyncio.run(upload_whole(large, _build_request(server, large), ignore_progress))

    assert (refused.value.status, refused.value.detail, refused.value.code) == (status, "Not allowed.", "not_allowed")
    assert len(server.seen) == 1
    server.wait_until_quiet()


def test_upload_whole_s3_error_is_parsed(server: FaultyServer, file: Path) -> None:
    server.always = respond(403, b"<Error><Code>AccessDenied</Code><Message>Request has\x1b expired</Message></Error>")

    with pytest.raises(Refused, match="Request has  expired") as refused:
        asyncio.run(upload_whole(file, _build_request(server, file), ignore_progress))
    assert refused.value.code == "AccessDenied"


def test_upload_whole_server_down_raises_retries_exhausted_naming_the_store(
    server: FaultyServer, file: Path, options: TransferOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeClock(monkeypatch, tick_seconds=options.no_progress_timeout_seconds / 10)
    server.close()
    events: list[ProgressEvent] = []

    with pytest.raises(RetriesExhausted) as failed:
        asyncio.run(upload_whole(file, _build_request(server, file), events.append, options=options))
    store = server.base.removeprefix("http://")
    assert f"The store at {store} cannot be reached" in str(failed.value)
    retry_events = [event for event in events if isinstance(event, Retrying)]
    assert len(retry_events) > 3
    assert {event.store for event in retry_events} == {store}
    assert retry_events[-1].left_seconds < retry_events[0].left_seconds <= options.no_progress_timeout_seconds


def test_upload_whole_failure_message_hides_the_signature(
    server: FaultyServer, file: Path, options: TransferOptions
) -> None:
    server.close()

    impatient = replace(options, no_progress_timeout_seconds=0.2)
    with pytest.raises(Unreachable) as failed:
        asyncio.run(upload_whole(file, _build_request(server, file), ignore_progress, options=impatient))
    assert "secret" not in str(failed.value)
    assert "secret" not in repr(_build_request(server, file))


def test_upload_whole_size_differs_from_signed_raises_file_changed(server: FaultyServer, file: Path) -> None:
    request = _build_request(server, file)
    with file.open("ab") as end:
        end.write(b"x")

    with pytest.raises(FileChanged):
        asyncio.run(upload_whole(file, request, ignore_progress))
    assert server.seen == []


def test_upload_whole_missing_file_raises_disk_failed(server: FaultyServer, tmp_path: Path) -> None:
    with pytest.raises(DiskFailed):
        asyncio.run(upload_whole(tmp_path / "absent", Request(server.url("/key"), {}), ignore_progress))
