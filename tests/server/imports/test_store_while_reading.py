"""Parts of a download are stored while the next one is read."""

import threading
from collections.abc import Iterator

import pytest

from modelyard.server.imports.downloads.download import (
    iterate_parts,
    stop_if_interrupted,
    store_while_reading,
)
from modelyard.server.imports.downloads.unfinished_parts import UnfinishedPart
from modelyard.server.storage.blob_store import NamedPart
from modelyard.server.storage.digest import ReadStopped
from modelyard.wire.problems import SourceUnavailable
from tests.waiting import PATIENCE_SECONDS


def test_store_while_reading_next_part_is_read_before_the_first_is_stored() -> None:
    is_read = threading.Event()

    def read() -> Iterator[tuple[int, bytes]]:
        yield 1, b"first"
        is_read.set()
        yield 2, b"second"

    def put(number: int, part: bytes) -> NamedPart:
        assert is_read.wait(PATIENCE_SECONDS)
        return NamedPart(number, part.decode())

    stored = list(store_while_reading(read(), put, threading.Event()))
    assert stored == [(NamedPart(1, "first"), 5), (NamedPart(2, "second"), 6)]


def test_store_while_reading_source_that_fails_part_before_is_stored() -> None:
    def read() -> Iterator[tuple[int, bytes]]:
        yield 1, b"first"
        raise SourceUnavailable("It ended.")

    stored = store_while_reading(read(), lambda number, part: NamedPart(number, part.decode()), threading.Event())
    assert next(stored) == (NamedPart(1, "first"), 5)
    with pytest.raises(SourceUnavailable):
        next(stored)


class Continued:
    """A download that is not interrupted."""

    def is_interrupted(self) -> bool:
        return False


def test_store_while_reading_part_that_cannot_be_stored_raises_before_the_next_one_is_read() -> None:
    failed, read = threading.Event(), list[bytes]()

    def receive() -> Iterator[bytes]:
        yield b"first"
        assert failed.wait(PATIENCE_SECONDS)
        for piece in (b"a", b"b", b"c", b"d", b"e"):
            read.append(piece)
            yield piece

    def fail(number: int, part: bytes) -> NamedPart:
        raise OSError("The disk is full.")

    parts = iterate_parts(stop_if_interrupted(receive(), Continued(), failed), UnfinishedPart(0), 10, 5)
    with pytest.raises(OSError, match="full"):
        list(store_while_reading(enumerate(parts, 1), fail, failed))
    assert read == [b"a"]


def test_store_while_reading_that_is_stopped_waits_for_the_part_that_is_being_stored() -> None:
    is_stopped = threading.Event()

    def read() -> Iterator[tuple[int, bytes]]:
        yield 1, b"first"
        is_stopped.set()
        raise ReadStopped("It was cancelled.")

    def put(number: int, part: bytes) -> NamedPart:
        assert is_stopped.wait(PATIENCE_SECONDS)
        return NamedPart(number, part.decode())

    stored = store_while_reading(read(), put, threading.Event())
    assert next(stored) == (NamedPart(1, "first"), 5)
    with pytest.raises(ReadStopped):
        next(stored)
