"""Pulls that are killed, or whose registry is killed, resume where they stopped."""

import filecmp
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelyard.transfer.byte_ranges import ByteRanges
from modelyard.transfer.download.checkpoint import Checkpoint
from modelyard.transfer.options import BandwidthLimit
from modelyard.wire.problems import UrlExpired
from tests.journeys.command_line import CommandLine
from tests.journeys.fault_proxy import FaultProxy, RespondInstead
from tests.journeys.upload_sizes import MEBIBYTE, PART_SIZE, SINGLE_PUT_LIMIT
from tests.running import RunningServer
from tests.server.harness import ApiCaller, hash_of
from tests.waiting import wait_until

SIZE = 64 * MEBIBYTE
RATE = 40 * MEBIBYTE
REFUSED_URL = UrlExpired("This URL has expired; ask for a fresh one.")


@pytest.fixture
def file(modelyard: CommandLine, new_file: Callable[[int], Path]) -> Path:
    """Push a file of the team and return its path."""
    file = new_file(SIZE)
    assert modelyard.run("push", file).code == 0
    return file


def read_stored_ranges(folder: Path, file: Path) -> ByteRanges:
    """Return the byte ranges that the checkpoint file of the one partial file in the folder records as stored."""
    [journal] = folder.glob(".*.journal")
    return Checkpoint(journal, SIZE, hash_of(file.read_bytes()).removeprefix("sha256:")).read().ranges


def has_stored(folder: Path, file: Path, min_stored: int) -> bool:
    return any(folder.glob(".*.journal")) and read_stored_ranges(folder, file).total >= min_stored


@pytest.mark.parametrize(("percent", "min_stored"), [pytest.param(30, 1, marks=pytest.mark.core), (90, SIZE // 4)])
def test_pull_killed_and_repeated_downloads_only_missing_ranges(
    percent: int, min_stored: int, modelyard: CommandLine, proxy: FaultProxy, file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "pulled"
    proxy.bandwidth_limit = BandwidthLimit(RATE)
    with proxy.pausing_bytes_after("GET", SIZE * percent // 100):
        pull = modelyard.start("pull", file.name, "-o", folder)
        proxy.wait_for_blob_bytes("GET", SIZE * percent // 100)
        wait_until(lambda: has_stored(folder, file, min_stored))
        assert pull.wait_for_exit(signal.SIGKILL).code == -signal.SIGKILL
    assert not (folder / file.name).exists()
    proxy.wait_until_idle()
    stored_ranges = read_stored_ranges(folder, file)

    proxy.reset_exchanges()
    proxy.bandwidth_limit = None
    repeated = modelyard.run("pull", file.name, "-o", folder)

    assert repeated.code == 0, repeated
    assert filecmp.cmp(file, folder / file.name, shallow=False)
    assert [item.name for item in folder.iterdir()] == [file.name]
    assert proxy.count_blob_bytes("GET") == SIZE - stored_ranges.total


@pytest.mark.core
def test_pull_expired_url_requests_a_fresh_one_and_succeeds(
    modelyard: CommandLine, proxy: FaultProxy, file: Path, tmp_path: Path
) -> None:
    body = b'{"error_code": "url_expired", "detail": "This URL has expired; ask for a fresh one."}'
    proxy.reset_exchanges()
    proxy.inject_once(RespondInstead(REFUSED_URL.status, body), "GET", "/blobs/.*")

    pulled = modelyard.run("pull", file.name, "-o", tmp_path / "pulled")

    assert pulled.code == 0, pulled
    assert filecmp.cmp(file, tmp_path / "pulled" / file.name, shallow=False)
    assert len([item for item in proxy.exchanges if item.path.endswith("/download")]) == 2


@pytest.fixture
def own_registry(tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path / "data", part_size=str(PART_SIZE), single_put_limit=str(SINGLE_PUT_LIMIT)) as server:
        yield server


@pytest.mark.core
def test_pull_and_push_continue_after_registry_is_killed_and_restarted(
    own_registry: RunningServer, new_file: Callable[[int, str], Path], tmp_path: Path
) -> None:
    owner: ApiCaller = own_registry.owner()
    proxy = FaultProxy(own_registry.url)
    modelyard = CommandLine(tmp_path / "home", proxy.url, owner)
    file, pushed_file = new_file(SIZE, "ink.safetensors"), new_file(SIZE, "other.safetensors")
    assert modelyard.run("push", file).code == 0
    proxy.reset_exchanges()
    proxy.bandwidth_limit = BandwidthLimit(RATE)
    pull = modelyard.start("pull", file.name, "-o", tmp_path / "pulled")
    push = modelyard.start("push", pushed_file)
    proxy.wait_for_blob_bytes("GET", SIZE // 4)
    proxy.wait_for_blob_bytes("PUT", SIZE // 4)

    own_registry.kill()
    # Both programs try again while there is no server.
    wait_until(lambda: proxy.failed_connections >= 2)
    own_registry.start()
    proxy.forward_to(own_registry.url)

    assert pull.wait_for_exit().code == 0
    assert push.wait_for_exit().code == 0
    proxy.close()
    assert filecmp.cmp(file, tmp_path / "pulled" / file.name, shallow=False)
    hashes = {
        model["file_hash"]
        for model in CommandLine(tmp_path / "home", own_registry.url, owner).run_json("ls")["model_list"]
    }
    assert hashes == {hash_of(file.read_bytes()), hash_of(pushed_file.read_bytes())}
