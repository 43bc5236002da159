"""Pushes and pulls during an outage of the registry or the store: they wait, name the address, and resume."""

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.journeys.command_line import CommandLine
from tests.journeys.fault_proxy import FaultProxy
from tests.journeys.postgres_and_bucket import create_database_and_bucket
from tests.journeys.upload_sizes import MEBIBYTE, PART_SIZE
from tests.ports import free_port
from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tests.waiting import wait_until
from tools.model_files import write_safetensors

SIZE = 60 * MEBIBYTE
RATE = ("--limit-rate", "10MB")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "models" / "loras" / "ink.safetensors"
    write_safetensors(file, SIZE)
    return file


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """Run a registry on a folder, with a fixed port that it keeps after a restart."""
    with RunningServer(tmp_path / "data", port=free_port(), part_size=str(PART_SIZE)) as server:
        yield server


def wait_until_part_is_stored(modelyard: CommandLine, server: RunningServer) -> None:
    """Wait until the registry has stored a part of the unfinished upload."""
    wait_until(lambda: bool(modelyard.unfinished_uploads))
    [record] = modelyard.unfinished_uploads
    upload_ids = {"storage_key": record["storage_key"], "upload_id": record["upload_id"]}
    owner = server.owner()
    wait_until(lambda: bool(owner.get("/uploads/multipart/parts", **upload_ids).json()["part_list"]))


def test_push_registry_killed_gives_up_after_option_and_repeated_push_succeeds(
    server: RunningServer, file: Path, tmp_path: Path
) -> None:
    modelyard = CommandLine(tmp_path / "home", server.url, server.owner())
    push = modelyard.start("push", file, "--give-up-after", "3s", *RATE)
    wait_until_part_is_stored(modelyard, server)
    server.kill()

    result = push.wait_for_exit()

    assert result.code == 5
    address = server.url.removeprefix("http://")
    assert f"waiting for the store at {address}" in result.err
    assert f"The store at {address} cannot be reached: no data was transferred for 3 seconds" in result.err
    assert "Continue where it stopped: modelyard push" in result.err
    server.start()
    assert modelyard.run("push", file).code == 0


def test_push_registry_restarted_during_push_continues_by_itself(
    server: RunningServer, file: Path, tmp_path: Path
) -> None:
    modelyard = CommandLine(tmp_path / "home", server.url, server.owner())
    push = modelyard.start("push", file, *RATE)
    wait_until_part_is_stored(modelyard, server)
    server.kill()
    assert any("waiting for the store" in push.read_line() for _ in range(20))
    server.start()

    result = push.wait_for_exit()

    assert result.code == 0, result


def test_pull_registry_killed_reports_unreachable_store_and_repeated_pull_resumes(
    server: RunningServer, file: Path, tmp_path: Path
) -> None:
    modelyard = CommandLine(tmp_path / "home", server.url, server.owner())
    assert modelyard.run("push", file).code == 0
    modelyard.set_environment(MODELYARD_GIVE_UP_AFTER="3s")
    folder = tmp_path / "pulled"
    with closing(FaultProxy(server.url)) as proxy:
        modelyard.set_environment(MODELYARD_URL=proxy.url)
        with proxy.pausing_bytes_after("GET", SIZE // 2):
            pull = modelyard.start("pull", "ink", "-o", folder)
            proxy.wait_for_blob_bytes("GET", SIZE // 2)
            server.kill()

        result = pull.wait_for_exit()

        assert result.code == 5
        assert "cannot be reached: no data was transferred for 3 seconds" in result.err
        server.start()
        result = modelyard.run("pull", "ink", "-o", folder)
    assert result.code == 0
    assert "already stored" in result.err
    assert (folder / file.name).read_bytes() == file.read_bytes()


def test_push_bucket_stopped_reports_bucket_address_as_unreachable(
    postgres_server: RunningPostgres, file: Path, tmp_path: Path
) -> None:
    with (
        RunningSeaweed() as seaweed,
        create_database_and_bucket(postgres_server, seaweed) as settings,
        RunningServer(tmp_path / "data", port=0, part_size=str(PART_SIZE), **settings) as server,
    ):
        modelyard = CommandLine(tmp_path / "home", server.url, server.owner())
        push = modelyard.start("push", file, "--give-up-after", "3s", *RATE)
        wait_until_part_is_stored(modelyard, server)
        seaweed.stop(signal.SIGKILL)

        result = push.wait_for_exit()

        assert result.code == 5
        assert f"The store at 127.0.0.1:{seaweed.port} cannot be reached" in result.err
        seaweed.start()
        assert modelyard.run("push", file).code == 0
