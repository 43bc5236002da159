"""Fixtures of the transfer tests: a server with injectable faults, options with short timeouts, and a file."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.transfer.options import TransferOptions
from tests.transfer.faulty_server import FaultyServer


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    server = FaultyServer()
    yield server
    server.close()


@pytest.fixture
def short_timeouts() -> TransferOptions:
    """Return options that give up within a second and split small files into many ranges."""
    return TransferOptions(
        connect_timeout_seconds=2,
        stall_timeout_seconds=0.3,
        response_timeout_seconds=2,
        no_progress_timeout_seconds=0.5,
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
