from pathlib import Path

import pytest

from modelyard.transfer.byte_ranges import ByteRanges
from modelyard.transfer.download.checkpoint import Checkpoint, CheckpointState


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    checkpoint = Checkpoint(tmp_path / "x.journal", 1000, "a" * 64)
    checkpoint.reset()
    return checkpoint


def _ranges(checkpoint: Checkpoint) -> list[tuple[int, int]]:
    return list(checkpoint.read().ranges)


def test_checkpoint_read_several_lines_returns_the_last(checkpoint: Checkpoint) -> None:
    checkpoint.append(CheckpointState(ByteRanges([(0, 10)]), None))
    checkpoint.append(CheckpointState(ByteRanges([(0, 100), (500, 600)]), '"tag"'))

    assert _ranges(checkpoint) == [(0, 100), (500, 600)]
    assert checkpoint.read().etag == '"tag"'


def test_checkpoint_read_missing_file_returns_no_ranges(tmp_path: Path) -> None:
    assert _ranges(Checkpoint(tmp_path / "absent", 1000, "a" * 64)) == []


def test_checkpoint_read_for_other_content_returns_no_ranges(checkpoint: Checkpoint) -> None:
    checkpoint.append(CheckpointState(ByteRanges([(0, 10)]), None))

    assert _ranges(Checkpoint(checkpoint.path, 1000, "b" * 64)) == []
    assert _ranges(Checkpoint(checkpoint.path, 1001, "a" * 64)) == []


@pytest.mark.parametrize("cut_at", range(1, 30))
def test_checkpoint_read_truncated_last_line_returns_the_line_before(checkpoint: Checkpoint, cut_at: int) -> None:
    checkpoint.append(CheckpointState(ByteRanges([(0, 10)]), None))
    checkpoint.append(CheckpointState(ByteRanges([(0, 999)]), None))
    content = checkpoint.path.read_bytes()
    checkpoint.path.write_bytes(content[:-cut_at])

    assert _ranges(checkpoint) == [(0, 10)]


@pytest.mark.parametrize(
    "line",
    [
        b"\x00" * 100,
        b"{}",
        b"[" * 5000,
        b'{"etag": null, "spans": [[0, 1001]]}',
        b'{"etag": null, "spans": [[-1, 10]]}',
        b'{"etag": null, "spans": [[10, 5]]}',
        b'{"etag": null, "spans": [["0", "10"]]}',
        b'{"etag": 5, "spans": [[0, 10]]}',
        b'{"etag": null, "spans": [[0]]}',
        b'{"etag": null, "spans": 7}',
    ],
)
def test_checkpoint_read_invalid_line_is_skipped(checkpoint: Checkpoint, line: bytes) -> None:
    checkpoint.append(CheckpointState(ByteRanges([(0, 10)]), None))
    with checkpoint.path.open("ab") as file:
        file.write(line + b"\n")

    assert _ranges(checkpoint) == [(0, 10)]


def test_checkpoint_reset_discards_all_ranges(checkpoint: Checkpoint) -> None:
    checkpoint.append(CheckpointState(ByteRanges([(0, 10)]), None))

    checkpoint.reset()

    assert _ranges(checkpoint) == []
