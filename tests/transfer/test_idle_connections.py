import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.transfer.download.download import DownloadTarget, download_file
from modelyard.transfer.errors import Refused
from modelyard.transfer.http.connection import Request
from modelyard.transfer.options import IdleConnections, TransferOptions
from modelyard.transfer.progress import ignore_progress
from modelyard.transfer.upload import upload_whole
from tests.transfer.faults import reset_after, respond
from tests.transfer.faulty_server import FaultyServer

CONTENT = b"x" * 100_000


@pytest.fixture
def options(options: TransferOptions) -> Iterator[TransferOptions]:
    idle = IdleConnections()
    yield replace(options, idle_connections=idle)
    idle.close()


async def download(server: FaultyServer, target: Path, options: TransferOptions) -> None:
    async def get_url() -> str:
        return server.url("/model")

    desired = DownloadTarget(len(CONTENT), server.put("/model", CONTENT), target)
    await download_file(get_url, desired, ignore_progress, options=options)


def test_downloads_one_after_the_other_use_one_connection(
    server: FaultyServer, tmp_path: Path, options: TransferOptions
) -> None:
    async def download_three() -> None:
        for name in "abc":
            await download(server, tmp_path / name, options)

    asyncio.run(download_three())
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == dict.fromkeys("abc", CONTENT)
    assert server.accepted_connections == 1


def test_uploads_one_after_the_other_use_one_connection(
    server: FaultyServer, tmp_path: Path, options: TransferOptions
) -> None:
    (tmp_path / "file").write_bytes(CONTENT)

    async def upload_three() -> None:
        for name in "abc":
            await upload_whole(tmp_path / "file", Request(server.url(f"/{name}"), {}), ignore_progress, options=options)

    asyncio.run(upload_three())
    assert server.objects == {f"/{name}": CONTENT for name in "abc"}
    assert server.accepted_connections == 1


def test_download_after_a_lost_connection_opens_another(
    server: FaultyServer, tmp_path: Path, options: TransferOptions
) -> None:
    async def download_two() -> None:
        await download(server, tmp_path / "a", options)
        server.script.append(reset_after(1000))
        await download(server, tmp_path / "b", options)

    asyncio.run(download_two())
    assert hashlib.sha256((tmp_path / "b").read_bytes()).digest() == hashlib.sha256(CONTENT).digest()
    assert server.accepted_connections == 2


def test_connection_of_a_failed_download_is_not_kept(
    server: FaultyServer, tmp_path: Path, options: TransferOptions
) -> None:
    server.always = respond(404)
    with pytest.raises(Refused):
        asyncio.run(download(server, tmp_path / "a", options))
    assert options.idle_connections is not None
    assert options.idle_connections.take() is None
