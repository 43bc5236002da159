"""Fixtures of the transfer tests: a server with injectable faults, options with short pauses, and a file."""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelyard.transfer.download.download import DownloadTarget, download_file
from modelyard.transfer.options import TransferOptions
from modelyard.transfer.progress import ProgressEvent, ignore_progress
from tests.transfer.downloads import CONTENT, Fetch
from tests.transfer.faulty_server import FaultyServer
from tests.waiting import PATIENCE_SECONDS


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    server = FaultyServer()
    yield server
    server.close()


@pytest.fixture
def options() -> TransferOptions:
    """Return options that retry soon, never give up on a slow machine, and split small files into many ranges.

    A test that waits for a timeout shortens this one alone.
    """
    return TransferOptions(
        connect_timeout_seconds=PATIENCE_SECONDS,
        stall_timeout_seconds=PATIENCE_SECONDS,
        response_timeout_seconds=PATIENCE_SECONDS,
        no_progress_timeout_seconds=PATIENCE_SECONDS,
        initial_backoff_seconds=0.01,
        max_backoff_seconds=0.05,
        range_size=200_000,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Create a file of 1,000,000 incompressible bytes."""
    path = tmp_path / "ink.safetensors"
    path.write_bytes(os.urandom(1_000_000))
    return path


@pytest.fixture
def desired(server: FaultyServer, tmp_path: Path) -> DownloadTarget:
    digest = server.put("/model", CONTENT)
    return DownloadTarget(len(CONTENT), digest, tmp_path / "ink.safetensors")


@pytest.fixture
def download(server: FaultyServer, desired: DownloadTarget, options: TransferOptions) -> Fetch:
    """Return a function that downloads ``desired`` from the server."""

    def run(
        on_progress: Callable[[ProgressEvent], None] = ignore_progress,
        *,
        connections: int = 3,
        options: TransferOptions = options,
    ) -> None:
        async def source() -> str:
            return server.url("/model")

        asyncio.run(download_file(source, desired, on_progress, connections=connections, options=options))

    return run
