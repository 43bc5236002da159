"""Downloads from a server with faults: what is retried, and what ends a download."""

import asyncio
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.transfer.download.download import DownloadTarget, download_file
from modelyard.transfer.errors import (
    BadAddress,
    BadResponse,
    DigestMismatch,
    Redirected,
    Refused,
    RetriesExhausted,
    TransferFailed,
    Unreachable,
)
from modelyard.transfer.options import TransferOptions
from modelyard.transfer.progress import ProgressEvent, Received, Retrying, Verified, ignore_progress
from tests.transfer.downloads import CONTENT, Fetch, assert_only_complete_target
from tests.transfer.faults import (
    change_etag_and_ignore_if_range,
    declare_and_send_extra_byte,
    declare_another_size,
    declare_gzip_encoding,
    flip_bit,
    ignore_range,
    replace_object,
    reset_after,
    respond,
    respond_without_http,
    send_another_range,
    send_chunked,
    send_extra_byte_chunked,
    send_more_than_declared,
    stall_after,
    truncate_after,
    truncate_whole_after,
)
from tests.transfer.faulty_server import Behavior, FaultyServer, serve_correctly
from tests.transfer.limits import RecordingLimit, StoppingLimit
from tests.waiting import wait_until_async


@pytest.mark.parametrize("connections", [1, 3])
def test_download_succeeds_and_leaves_only_the_target(
    server: FaultyServer, desired: DownloadTarget, download: Fetch, connections: int
) -> None:
    events: list[ProgressEvent] = []

    download(events.append, connections=connections)

    assert_only_complete_target(desired)
    assert Received(desired.target, 1_000_000, 1_000_000) in events
    assert events[-1] == Verified(desired.target, 1_000_000, 1_000_000)
    server.wait_until_quiet()


def test_download_requests_identity_encoding_without_authorization(server: FaultyServer, download: Fetch) -> None:
    download()

    assert {exchange.headers["accept-encoding"] for exchange in server.seen} == {"identity"}
    assert all("authorization" not in exchange.headers for exchange in server.seen)


def test_download_in_ranges_requests_every_byte_once(server: FaultyServer, download: Fetch) -> None:
    download()

    assert sorted(server.list_requested_ranges()) == [(at, at + 200_000) for at in range(0, 1_000_000, 200_000)]


def test_download_empty_file_requests_no_url(server: FaultyServer, download: Fetch, tmp_path: Path) -> None:
    async def source() -> str:
        raise AssertionError("not needed")

    empty = DownloadTarget(0, hashlib.sha256().hexdigest(), tmp_path / "empty")
    asyncio.run(download_file(source, empty, ignore_progress))

    assert empty.target.read_bytes() == b""


TEMPORARY_FAULTS = {
    "stalls": stall_after(1000),
    "truncates": truncate_after(1000),
    "truncates at once": truncate_after(0),
    "resets": reset_after(150_000),
    "ignores range": ignore_range,
    "ignores range and truncates": truncate_whole_after(500_000),
    "another range": send_another_range,
    "another size": declare_another_size,
    "gzip": declare_gzip_encoding,
    "announces more": declare_and_send_extra_byte,
    "sends more": send_more_than_declared,
    "chunks": send_chunked,
    "chunks too much": send_extra_byte_chunked,
    "another etag": change_etag_and_ignore_if_range,
    "no http": respond_without_http,
    "busy": respond(503, Retry_After="0"),
    "too many": respond(429),
    "416": respond(416, Content_Range="bytes */10"),
    "expired": respond(403, b'{"error_code": "url_expired"}'),
    "token expired": respond(400, b"<Error><Code>ExpiredToken</Code></Error>"),
}


@pytest.mark.parametrize("fault", TEMPORARY_FAULTS.values(), ids=TEMPORARY_FAULTS)
@pytest.mark.parametrize(
    "connections_and_before", [(1, 0), (3, 0), (3, 2)], ids=["alone", "first of many", "on the way"]
)
def test_download_temporary_fault_is_retried_and_succeeds(
    server: FaultyServer,
    desired: DownloadTarget,
    download: Fetch,
    options: TransferOptions,
    fault: Behavior,
    connections_and_before: tuple[int, int],
) -> None:
    connections, before = connections_and_before
    server.script.extend([*[serve_correctly] * before, fault])

    # If it expires for a correct response, this one is requested again as well.
    download(connections=connections, options=replace(options, stall_timeout_seconds=0.3))

    assert_only_complete_target(desired)
    server.wait_until_quiet()


PERMANENT_FAULTS = {
    "stalls": (stall_after(0), Unreachable),
    "truncates": (truncate_after(0), Unreachable),
    "another range": (send_another_range, BadResponse),
    "another size": (declare_another_size, BadResponse),
    "gzip": (declare_gzip_encoding, BadResponse),
    "announces more": (declare_and_send_extra_byte, BadResponse),
    "no http": (respond_without_http, Unreachable),
    "busy": (respond(503, Retry_After="0"), Refused),
    "forbidden": (respond(403), Refused),
    "gone": (respond(404), Refused),
    "redirected": (respond(302, Location="http://127.0.0.1:1/"), Redirected),
    "wrong bit": (flip_bit, DigestMismatch),
    "too short": (respond(200, b"short"), BadResponse),
    "an error page": (respond(200, b"<html>Log in</html>"), BadResponse),
}


@pytest.mark.parametrize(("fault", "failure"), PERMANENT_FAULTS.values(), ids=PERMANENT_FAULTS)
def test_download_permanent_fault_raises_and_leaves_no_file(
    server: FaultyServer,
    desired: DownloadTarget,
    download: Fetch,
    options: TransferOptions,
    fault: Behavior,
    failure: type[TransferFailed],
) -> None:
    server.always = fault
    if failure is Unreachable:
        options = replace(options, stall_timeout_seconds=0.3)

    with pytest.raises(TransferFailed) as failed:
        download(options=replace(options, no_progress_timeout_seconds=0.5))

    assert isinstance(failed.value.last if isinstance(failed.value, RetriesExhausted) else failed.value, failure)
    assert list(desired.target.parent.iterdir()) == []
    server.wait_until_quiet()


def test_download_flipped_bit_raises_digest_mismatch_and_leaves_no_file(
    server: FaultyServer, desired: DownloadTarget, download: Fetch
) -> None:
    server.script.extend([serve_correctly, serve_correctly, flip_bit])

    with pytest.raises(DigestMismatch) as failed:
        download()

    assert failed.value.expected == desired.sha256
    assert list(desired.target.parent.iterdir()) == []


def test_download_connection_closed_early_requests_only_the_rest(
    server: FaultyServer, desired: DownloadTarget, download: Fetch
) -> None:
    server.script.append(truncate_after(123_456))

    download(connections=1)

    assert server.list_requested_ranges() == [(0, 1_000_000), (123_456, 1_000_000)]


def test_download_with_progress_in_each_of_20_failed_attempts_succeeds(
    server: FaultyServer, desired: DownloadTarget, download: Fetch
) -> None:
    server.script.extend([truncate_after(40_000)] * 20)

    download(connections=1)

    assert_only_complete_target(desired)


def test_download_expired_url_is_renewed_and_download_resumes(
    server: FaultyServer, desired: DownloadTarget, options: TransferOptions
) -> None:
    requested = 0

    async def source() -> str:
        nonlocal requested
        requested += 1
        return server.url("/model")

    server.script.extend([truncate_after(300_000), respond(403, b'{"error_code": "url_expired"}')])
    asyncio.run(download_file(source, desired, ignore_progress, connections=1, options=options))

    assert requested == 2
    assert server.list_requested_ranges()[-1] == (300_000, 1_000_000)


def test_download_of_object_replaced_meanwhile_has_the_new_content(
    server: FaultyServer, desired: DownloadTarget, download: Fetch
) -> None:
    server.put("/model", os.urandom(1_000_000))
    server.script.extend([serve_correctly, serve_correctly, replace_object(CONTENT)])

    download()

    assert_only_complete_target(desired)


def test_download_server_without_ranges_uses_one_stream(
    server: FaultyServer, desired: DownloadTarget, download: Fetch
) -> None:
    server.always = ignore_range

    download()

    assert_only_complete_target(desired)
    assert len(server.seen) == 2


def test_download_server_without_ranges_failing_always_raises_retries_exhausted(
    server: FaultyServer, desired: DownloadTarget, download: Fetch, options: TransferOptions
) -> None:
    server.always = truncate_whole_after(500_000)

    with pytest.raises(Unreachable):
        download(options=replace(options, no_progress_timeout_seconds=0.5))

    assert not desired.target.exists()


def test_download_error_of_url_source_is_re_raised(desired: DownloadTarget) -> None:
    async def source() -> str:
        raise LookupError("no such model")

    with pytest.raises(LookupError, match="no such model"):
        asyncio.run(download_file(source, desired, ignore_progress))
    assert list(desired.target.parent.iterdir()) == []


def test_download_temporary_refusal_reports_retrying_event(
    server: FaultyServer, desired: DownloadTarget, download: Fetch
) -> None:
    server.script.append(respond(503, b'{"detail": "Restarting."}'))
    events: list[ProgressEvent] = []

    download(events.append)

    retry_events = [event for event in events if isinstance(event, Retrying)]
    assert [event.why for event in retry_events] == ["The server answered 503: Restarting."]


def test_download_bandwidth_limit_applies_to_all_connections_together(
    server: FaultyServer, desired: DownloadTarget, download: Fetch, options: TransferOptions
) -> None:
    limit = RecordingLimit(2_000_000)
    download(options=replace(options, bandwidth_limit=limit))

    assert sum(limit.counts) == 1_000_000


def test_download_connections_wait_as_long_as_the_bandwidth_limit_says(
    server: FaultyServer, desired: DownloadTarget, options: TransferOptions, tmp_path: Path
) -> None:
    """Each of three connections receives one piece; none receives another while a whole other download runs."""
    limit, unlimited = StoppingLimit(), replace(desired, target=tmp_path / "unlimited")
    stopped = replace(options, bandwidth_limit=limit)

    async def source() -> str:
        return server.url("/model")

    async def work() -> None:
        waiting = asyncio.create_task(download_file(source, desired, ignore_progress, connections=3, options=stopped))
        await wait_until_async(lambda: len(limit.waiting) == 3)
        await download_file(source, unlimited, ignore_progress, connections=3, options=options)
        assert len(limit.counts) == 3
        waiting.cancel()
        await asyncio.wait([waiting])

    asyncio.run(work())
    assert max(limit.counts) <= limit.chunk_size


def test_download_url_with_other_scheme_raises_bad_address(desired: DownloadTarget) -> None:
    async def source() -> str:
        return "file:///etc/passwd"

    with pytest.raises(BadAddress):
        asyncio.run(download_file(source, desired, ignore_progress))
