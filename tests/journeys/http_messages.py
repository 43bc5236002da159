"""Readers of HTTP/1.1 messages from a stream, for proxies that have to find where a message ends."""

from collections.abc import Iterator
from typing import BinaryIO

_PIECE = 64 * 1024


def read_head(stream: BinaryIO) -> tuple[bytes, str, dict[str, str]]:
    """Read a message's head: its raw bytes, first line and headers (names in lower case); empty at the stream's end."""
    lines: list[bytes] = []
    while (line := stream.readline()).strip():
        lines.append(line)
    if not lines or not line:
        return b"", "", {}
    pairs = [text.decode("latin-1").partition(":") for text in lines[1:]]
    return b"".join([*lines, line]), lines[0].decode("latin-1"), {n.lower(): v.strip() for n, _, v in pairs}


def read_body(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """Read a body of ``size`` bytes in pieces, as they arrive.

    Raises:
        ConnectionAbortedError: the stream ended before that many bytes.
    """
    while size > 0:
        piece = stream.read1(min(_PIECE, size))  # type: ignore[attr-defined]  # makefile returns a BufferedReader, BinaryIO has no read1
        if not piece:
            raise ConnectionAbortedError
        size -= len(piece)
        yield piece


def read_chunked_body(stream: BinaryIO) -> Iterator[bytes]:
    """Read a chunked body in pieces, with the lines that give the chunk sizes."""
    while True:
        line = stream.readline()
        size = int(line.split(b";")[0], 16)
        yield line
        yield from read_body(stream, size + 2)
        if size == 0:
            return
