"""Boxes of the ISO base media file format, of which AVIF and MP4 consist (ISO/IEC 14496-12, section 4.2)."""

from collections.abc import Iterator


def list_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and content of the boxes in a block."""
    offset = 0
    while len(header := data[offset : offset + 8]) == 8:
        size, start = int.from_bytes(header[:4]), 8
        if size == 1:
            size, start = int.from_bytes(data[offset + 8 : offset + 16]), 16
        elif size == 0:
            size = len(data) - offset
        if size < start:
            return
        yield header[4:], data[offset + start : offset + size]
        offset += size


def find_box(data: bytes, kind: bytes) -> bytes:
    """Return the content of the first box of a type; empty if there is none."""
    return next((content for found, content in list_boxes(data) if found == kind), b"")
