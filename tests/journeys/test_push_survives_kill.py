"""Pushes that are killed or interrupted resume where they stopped, and send no stored part again."""

import filecmp
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from modelyard.transfer.options import BandwidthLimit
from tests.journeys.command_line import CommandLine
from tests.journeys.fault_proxy import FaultProxy
from tests.journeys.upload_sizes import MEBIBYTE, PART_SIZE
from tests.running import RunningServer
from tests.server.harness import ApiCaller

SIZE = 100 * MEBIBYTE + 4096
RATE = 60 * MEBIBYTE
CONNECTIONS = 4


def list_stored_parts(modelyard: CommandLine, team: ApiCaller) -> set[str]:
    """Return the part numbers that the registry has stored of the one unfinished upload."""
    [record] = modelyard.unfinished_uploads
    response = team.get("/uploads/multipart/parts", storage_key=record["storage_key"], upload_id=record["upload_id"])
    assert response.status_code == 200, response.text
    return {str(part["part_number"]) for part in response.json()["part_list"]}


@pytest.mark.parametrize("percent", [10, pytest.param(50, marks=pytest.mark.core), 99])
def test_push_killed_and_repeated_sends_no_stored_part_again(
    percent: int,
    modelyard: CommandLine,
    proxy: FaultProxy,
    team: ApiCaller,
    new_file: Callable[[int], Path],
    tmp_path: Path,
) -> None:
    file = new_file(SIZE)
    proxy.bandwidth_limit = BandwidthLimit(RATE)
    with proxy.pausing_bytes_after("PUT", SIZE * percent // 100):
        push = modelyard.start("push", file)
        proxy.wait_for_blob_bytes("PUT", SIZE * percent // 100)
        assert push.wait_for_exit(signal.SIGKILL).code == -signal.SIGKILL
    proxy.wait_until_idle()
    stored_parts = list_stored_parts(modelyard, team)
    acknowledged = {exchange.query["part"] for exchange in proxy.list_blob_exchanges("PUT") if exchange.status == 200}
    assert acknowledged <= stored_parts
    assert len(stored_parts) * PART_SIZE >= SIZE * percent // 100 - 5 * PART_SIZE

    proxy.reset_exchanges()
    proxy.bandwidth_limit = None
    response = modelyard.run_json("push", file)

    sent_again = {exchange.query["part"] for exchange in proxy.list_blob_exchanges("PUT")}
    assert not sent_again & stored_parts
    assert proxy.count_blob_bytes("PUT") == SIZE - sum(
        min(PART_SIZE, SIZE - (int(n) - 1) * PART_SIZE) for n in stored_parts
    )
    assert [(file["outcome"], file["model"]["verification"]) for file in response["files"]] == [
        ("registered", "verified")
    ]
    assert modelyard.unfinished_uploads == []
    assert modelyard.run("pull", "ink.safetensors", "-o", tmp_path / "pulled").code == 0
    assert filecmp.cmp(file, tmp_path / "pulled" / file.name, shallow=False)


@pytest.mark.core
def test_push_interrupted_by_ctrl_c_says_that_the_same_command_resumes_and_it_does(
    modelyard: CommandLine, proxy: FaultProxy, team: ApiCaller, new_file: Callable[[int], Path]
) -> None:
    file = new_file(SIZE)
    proxy.bandwidth_limit = BandwidthLimit(RATE)
    with proxy.pausing_bytes_after("PUT", SIZE // 2):
        push = modelyard.start("push", file)
        proxy.wait_for_blob_bytes("PUT", SIZE // 2)

        interrupted = push.wait_for_exit(signal.SIGINT)

    assert interrupted.code == 130
    assert "Run the same command again to continue where it stopped." in interrupted.err
    assert "Traceback" not in interrupted.err
    proxy.wait_until_idle()
    stored_parts = list_stored_parts(modelyard, team)
    proxy.reset_exchanges()
    proxy.bandwidth_limit = None
    assert modelyard.run("push", file).code == 0
    assert stored_parts
    assert not {exchange.query["part"] for exchange in proxy.list_blob_exchanges("PUT")} & stored_parts


def count_stored_bytes(modelyard: CommandLine, owner: ApiCaller) -> tuple[int, int]:
    """Return how many bytes of the one unfinished upload the registry has stored, and its part size."""
    [record] = modelyard.unfinished_uploads
    response = owner.get("/uploads/multipart/parts", storage_key=record["storage_key"], upload_id=record["upload_id"])
    return sum(part["size"] for part in response.json()["part_list"]), record["part_size"]


@pytest.mark.parametrize("size", [300_000_000, 2_000_000_000], ids=["300 MB", "2 GB"])
def test_push_killed_at_30_and_70_percent_sends_at_most_one_part_a_connection_again(
    size: int, new_file: Callable[[int], Path], tmp_path: Path
) -> None:
    file = new_file(size)
    with RunningServer(tmp_path / "data") as server, closing(FaultProxy(server.url)) as proxy:
        owner = server.owner()
        modelyard = CommandLine(tmp_path / "home", proxy.url, owner)
        bytes_not_stored = 0
        for percent in (30, 70):
            kill_at_bytes = size * percent // 100 + bytes_not_stored
            with proxy.pausing_bytes_after("PUT", kill_at_bytes):
                push = modelyard.start("push", file)
                proxy.wait_for_blob_bytes("PUT", kill_at_bytes)
                push.wait_for_exit(signal.SIGKILL)
            proxy.wait_until_idle()
            stored, part_size = count_stored_bytes(modelyard, owner)
            assert proxy.count_blob_bytes("PUT") - bytes_not_stored - stored <= CONNECTIONS * part_size
            bytes_not_stored = proxy.count_blob_bytes("PUT") - stored

        result = modelyard.run("push", file)

        assert result.code == 0, result
        assert f"{100 * stored // size} % already stored" in result.err
        assert proxy.count_blob_bytes("PUT") == size + bytes_not_stored
        assert part_size <= 16 * MEBIBYTE
