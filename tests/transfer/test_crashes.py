"""Downloads in processes of their own: killed in the middle, and out of room."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modelyard.transfer.download import Wanted, fetch
from modelyard.transfer.network import Network
from modelyard.transfer.progress import Event, Resumed, unheard
from tests.transfer.misbehaving import MisbehavingServer, trickles

SIZE = 4_000_000

PROGRAM = """
import asyncio, resource, signal, sys
from pathlib import Path
from modelyard.transfer.download import Wanted, fetch
from modelyard.transfer.network import Network
from modelyard.transfer.progress import unheard

url, size, sha256, target, largest_file = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest_file), int(largest_file)))

async def source():
    return url

wanted = Wanted(int(size), sha256, Path(target))
try:
    asyncio.run(fetch(source, wanted, unheard, network=Network(range_size=200_000)))
except Exception as failure:
    sys.exit(type(failure).__name__)
"""


@pytest.fixture
def wanted(server: MisbehavingServer, tmp_path: Path) -> Wanted:
    content = os.urandom(SIZE)
    return Wanted(SIZE, server.put("/model", content), tmp_path / "ink.safetensors")


def _start(server: MisbehavingServer, wanted: Wanted, *, largest_file: int = 1 << 40) -> subprocess.Popen[str]:
    arguments = [server.url("/model"), str(wanted.size), wanted.sha256, str(wanted.target), str(largest_file)]
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stderr=subprocess.PIPE, text=True)


def _wait_for_a_checkpoint(wanted: Wanted) -> None:
    journal = wanted.partial_path.with_name(f"{wanted.partial_path.name}.journal")
    deadline = time.monotonic() + 20
    while not journal.exists() or journal.read_bytes().count(b"\n") < 2:
        assert time.monotonic() < deadline, "nothing was noted"
        time.sleep(0.02)


def test_a_killed_download_goes_on_without_fetching_again_what_was_noted(
    server: MisbehavingServer, wanted: Wanted
) -> None:
    server.always = trickles(20_000, 0.1)
    process = _start(server, wanted)
    _wait_for_a_checkpoint(wanted)
    process.kill()
    process.communicate()
    assert not wanted.target.exists()
    server.always = None
    server.seen.clear()
    heard: list[Event] = []

    async def source() -> str:
        return server.url("/model")

    asyncio.run(fetch(source, wanted, heard.append, network=Network(range_size=200_000)))

    assert wanted.target.read_bytes() == server.objects["/model"]
    assert list(wanted.target.parent.iterdir()) == [wanted.target]
    asked = sum(end - start for start, end in server.ranges_asked())
    assert 0 < asked < SIZE
    assert heard[0] == Resumed(wanted.target, SIZE - asked, SIZE)


def test_two_processes_fetch_one_file_and_one_file_is_there(server: MisbehavingServer, wanted: Wanted) -> None:
    server.always = trickles(100_000, 0.01)
    both = [_start(server, wanted) for _ in range(2)]

    assert [process.communicate()[1] for process in both] == ["", ""]
    assert wanted.target.read_bytes() == server.objects["/model"]
    assert list(wanted.target.parent.iterdir()) == [wanted.target]


def test_a_download_that_runs_out_of_room_leaves_nothing(server: MisbehavingServer, wanted: Wanted) -> None:
    process = _start(server, wanted, largest_file=1_000_000)

    assert process.communicate()[1].strip() == "DiskFull"
    assert list(wanted.target.parent.iterdir()) == []


def test_a_file_larger_than_the_disk_is_not_begun(server: MisbehavingServer, wanted: Wanted) -> None:
    async def source() -> str:
        raise AssertionError("no URL is needed to see that there is no room")

    huge = Wanted(10**18, wanted.sha256, wanted.target)
    with pytest.raises(Exception, match="more are needed"):
        asyncio.run(fetch(source, huge, unheard))
    assert list(wanted.target.parent.iterdir()) == []
