"""Downloads onto files that exist, partial ones and complete ones, and their resumption."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.transfer.download.download import DownloadTarget, download_file
from modelyard.transfer.errors import (
    DigestMismatch,
    Refused,
    TargetExists,
)
from modelyard.transfer.options import TransferOptions
from modelyard.transfer.progress import ProgressEvent, Received, Resumed, ignore_progress
from tests.transfer.downloads import CONTENT, Fetch, assert_only_complete_target
from tests.transfer.faults import respond, send_slowly, stall_after
from tests.transfer.faulty_server import Exchange, FaultyServer, serve_correctly
from tests.waiting import PATIENCE_SECONDS, wait_until


def download_two_ranges(server: FaultyServer, download: Fetch) -> None:
    """Interrupt a download when its first and third range are in the partial file: the server refuses all others."""
    received = [0]

    def record(event: ProgressEvent) -> None:
        if isinstance(event, Received):
            received.append(event.done)

    def serve_or_refuse(exchange: Exchange) -> None:
        if exchange.range in {(0, 200_000), (400_000, 600_000)}:
            serve_correctly(exchange)
        else:
            wait_until(lambda: received[-1] == 400_000)
            respond(404)(exchange)

    server.always = serve_or_refuse
    with pytest.raises(Refused):
        download(record)
    server.always = None


def test_download_interrupted_leaves_no_target_and_resumes_next_time(
    server: FaultyServer, desired: DownloadTarget, download: Fetch
) -> None:
    download_two_ranges(server, download)
    assert not desired.target.exists()
    server.seen.clear()
    events: list[ProgressEvent] = []

    download(events.append)

    assert_only_complete_target(desired)
    asked_again = sum(end - start for start, end in server.list_requested_ranges())
    assert asked_again == 600_000
    assert events[0] == Resumed(desired.target, 400_000, 1_000_000)


def test_download_with_partial_file_of_other_content_has_the_right_content(
    server: FaultyServer, desired: DownloadTarget, download: Fetch
) -> None:
    desired.partial_path.write_bytes(b"x" * 500_000)
    checkpoint = desired.partial_path.with_name(desired.partial_path.name + ".journal")
    lines = ['{"version": 1, "size": 1000000, "sha256": "other"}', '{"etag": null, "spans": [[0, 500000]]}', ""]
    checkpoint.write_text("\n".join(lines))

    download()

    assert_only_complete_target(desired)


def test_download_corrupt_partial_file_raises_digest_mismatch(
    server: FaultyServer, desired: DownloadTarget, download: Fetch
) -> None:
    download_two_ranges(server, download)
    with desired.partial_path.open("r+b") as file:
        file.write(b"rot")

    with pytest.raises(DigestMismatch):
        download()
    download()

    assert_only_complete_target(desired)


def test_download_target_already_complete_requests_nothing(
    server: FaultyServer, desired: DownloadTarget, download: Fetch
) -> None:
    desired.target.write_bytes(CONTENT)

    download()

    assert server.seen == []


@pytest.mark.parametrize("other", [b"short", b"x" * 1_000_000], ids=["another size", "same size"])
def test_download_other_file_at_target_raises_target_exists(
    server: FaultyServer, desired: DownloadTarget, download: Fetch, other: bytes
) -> None:
    desired.target.write_bytes(other)

    with pytest.raises(TargetExists):
        download()

    assert desired.target.read_bytes() == other
    assert server.seen == []


def test_download_other_file_created_meanwhile_raises_target_exists(
    server: FaultyServer, desired: DownloadTarget, download: Fetch
) -> None:
    def someone_saves(exchange: object) -> None:
        desired.target.write_bytes(b"mine")
        serve_correctly(server.seen[-1])

    server.script.append(someone_saves)

    with pytest.raises(TargetExists):
        download(connections=1)

    assert desired.target.read_bytes() == b"mine"


def test_download_dangling_link_at_target_raises_target_exists(
    server: FaultyServer, desired: DownloadTarget, download: Fetch
) -> None:
    desired.target.symlink_to("nowhere")

    with pytest.raises(TargetExists):
        download()

    assert desired.target.readlink() == Path("nowhere")


def test_download_with_replace_overwrites_other_file(
    server: FaultyServer, desired: DownloadTarget, options: TransferOptions
) -> None:
    desired.target.write_bytes(b"old")

    async def source() -> str:
        return server.url("/model")

    asyncio.run(download_file(source, replace(desired, replace=True), ignore_progress, options=options))

    assert_only_complete_target(desired)


def test_download_twice_concurrently_leaves_one_complete_file(
    server: FaultyServer, desired: DownloadTarget, options: TransferOptions
) -> None:
    server.always = send_slowly(20_000, 0.005)

    async def source() -> str:
        return server.url("/model")

    async def both() -> None:
        await asyncio.gather(*(download_file(source, desired, ignore_progress, options=options) for _ in range(2)))

    asyncio.run(both())

    assert_only_complete_target(desired)


def test_download_cancelled_stops_before_the_request_ends_and_can_be_resumed(
    server: FaultyServer, desired: DownloadTarget, download: Fetch, options: TransferOptions
) -> None:
    server.always = stall_after(10_000)
    never_stalled = replace(options, stall_timeout_seconds=10 * PATIENCE_SECONDS)

    async def source() -> str:
        return server.url("/model")

    async def work() -> None:
        has_received = asyncio.Event()

        def record_event(event: ProgressEvent) -> None:
            if isinstance(event, Received) and event.done > 0:
                has_received.set()

        download = asyncio.create_task(
            download_file(source, desired, record_event, connections=1, options=never_stalled)
        )
        await has_received.wait()
        download.cancel()
        await asyncio.wait([download], timeout=PATIENCE_SECONDS)
        assert download.cancelled()

    asyncio.run(work())
    server.wait_until_quiet()
    assert not desired.target.exists()
    events: list[ProgressEvent] = []
    server.always = None

    download(events.append)

    assert isinstance(events[0], Resumed)
    assert_only_complete_target(desired)
