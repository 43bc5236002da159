"""Downloads in separate processes: killed half way, and without enough disk space."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.transfer.download.download import DownloadTarget, download_file
from modelyard.transfer.options import TransferOptions
from modelyard.transfer.progress import ProgressEvent, Resumed, ignore_progress
from tests.transfer.faults import send_slowly, stall_after
from tests.transfer.faulty_server import FaultyServer, serve_correctly
from tests.waiting import wait_until

SIZE = 4_000_000

PROGRAM = """
import asyncio, resource, signal, sys
from pathlib import Path
from modelyard.transfer.download.download import DownloadTarget, download_file
from modelyard.transfer.options import TransferOptions
from modelyard.transfer.progress import ignore_progress

url, size, sha256, target, largest_file = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest_file), int(largest_file)))

async def source():
    return url

desired = DownloadTarget(int(size), sha256, Path(target))
try:
    asyncio.run(download_file(source, desired, ignore_progress, options=TransferOptions(range_size=200_000)))
except Exception as failure:
    sys.exit(type(failure).__name__)
"""


@pytest.fixture
def desired(server: FaultyServer, tmp_path: Path) -> DownloadTarget:
    content = os.urandom(SIZE)
    return DownloadTarget(SIZE, server.put("/model", content), tmp_path / "ink.safetensors")


def _start_download_process(
    server: FaultyServer, desired: DownloadTarget, *, largest_file: int = 1 << 40
) -> subprocess.Popen[str]:
    arguments = [server.url("/model"), str(desired.size), desired.sha256, str(desired.target), str(largest_file)]
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stderr=subprocess.PIPE, text=True)


def _wait_for_checkpoint(desired: DownloadTarget) -> None:
    checkpoint = desired.partial_path.with_name(f"{desired.partial_path.name}.journal")
    wait_until(lambda: checkpoint.exists() and checkpoint.read_bytes().count(b"\n") >= 2)


def test_download_after_kill_requests_only_bytes_not_in_checkpoint(
    server: FaultyServer, desired: DownloadTarget
) -> None:
    # The download cannot end before the kill: what follows the first ranges stalls.
    server.script.extend([serve_correctly] * 3)
    server.always = stall_after(20_000)
    process = _start_download_process(server, desired)
    _wait_for_checkpoint(desired)
    process.kill()
    process.communicate()
    assert not desired.target.exists()
    server.always = None
    server.script.clear()
    server.seen.clear()
    events: list[ProgressEvent] = []

    async def source() -> str:
        return server.url("/model")

    asyncio.run(download_file(source, desired, events.append, options=TransferOptions(range_size=200_000)))

    assert desired.target.read_bytes() == server.objects["/model"]
    assert list(desired.target.parent.iterdir()) == [desired.target]
    requested = sum(end - start for start, end in server.list_requested_ranges())
    assert 0 < requested < SIZE
    assert events[0] == Resumed(desired.target, SIZE - requested, SIZE)


def test_download_by_two_processes_leaves_one_complete_file(server: FaultyServer, desired: DownloadTarget) -> None:
    server.always = send_slowly(100_000, 0.01)
    both = [_start_download_process(server, desired) for _ in range(2)]

    assert [process.communicate()[1] for process in both] == ["", ""]
    assert desired.target.read_bytes() == server.objects["/model"]
    assert list(desired.target.parent.iterdir()) == [desired.target]


def test_download_disk_fills_up_raises_disk_full_and_leaves_no_files(
    server: FaultyServer, desired: DownloadTarget
) -> None:
    process = _start_download_process(server, desired, largest_file=1_000_000)

    assert process.communicate()[1].strip() == "DiskFull"
    assert list(desired.target.parent.iterdir()) == []


def test_download_larger_than_disk_fails_before_requesting_a_url(server: FaultyServer, desired: DownloadTarget) -> None:
    async def source() -> str:
        raise AssertionError("no URL is needed to see that there is no room")

    huge = DownloadTarget(10**18, desired.sha256, desired.target)
    with pytest.raises(Exception, match="more are needed"):
        asyncio.run(download_file(source, huge, ignore_progress))
    assert list(desired.target.parent.iterdir()) == []
