"""Just enough of HTTP/1.1 for a proxy to know one message from the next."""

from collections.abc import Iterator
from typing import BinaryIO

_PIECE = 64 * 1024


def head_of(stream: BinaryIO) -> tuple[bytes, str, dict[str, str]]:
    """A message's head as it came, its first line, its headers; empty at the end of the connection."""
    lines: list[bytes] = []
    while (line := stream.readline()).strip():
        lines.append(line)
    if not lines or not line:
        return b"", "", {}
    pairs = [text.decode("latin-1").partition(":") for text in lines[1:]]
    return b"".join([*lines, line]), lines[0].decode("latin-1"), {n.lower(): v.strip() for n, _, v in pairs}


def pieces(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """A body of ``size`` bytes as it comes.

    Raises:
        ConnectionAbortedError: its sender hung up.
    """
    while size > 0:
        piece = stream.read1(min(_PIECE, size))  # type: ignore[attr-defined]  # what makefile gives can do more than BinaryIO
        if not piece:
            raise ConnectionAbortedError
        size -= len(piece)
        yield piece


def chunks(stream: BinaryIO) -> Iterator[bytes]:
    """A chunked body as it comes, with the sizes of its chunks."""
    while True:
        line = stream.readline()
        size = int(line.split(b";")[0], 16)
        yield line
        yield from pieces(stream, size + 2)
        if size == 0:
            return
