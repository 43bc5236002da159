"""What transfer tests share: a server that can misbehave, impatient settings, and files."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.transfer.network import Network
from tests.transfer.misbehaving import MisbehavingServer


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    server = MisbehavingServer()
    yield server
    server.close()


@pytest.fixture
def impatient() -> Network:
    """Gives up within a second what would otherwise take minutes, and cuts small files into many ranges."""
    return Network(
        connect_seconds=2,
        stall_seconds=0.3,
        answer_seconds=2,
        tries=3,
        first_wait_seconds=0.01,
        longest_wait_seconds=0.05,
        range_size=200_000,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of 1,000,000 bytes that compress badly."""
    path = tmp_path / "ink.safetensors"
    path.write_bytes(os.urandom(1_000_000))
    return path
