"""Vorbis comments of FLAC (RFC 9639, section 8.6) and Ogg (RFC 3533; RFC 7845, section 5.2 for Opus)."""

from collections.abc import Iterator

from modelyard.comfyui.workflows.documents import MAX_DOCUMENT_BYTES

_COMMENT_BLOCK = 4
# At the beginning of the packet that has the comments, of Opus and of Vorbis.
_COMMENT_MARKS = (b"OpusTags", b"\x03vorbis")
_KEYS = frozenset({"workflow", "prompt"})
_PAGE_HEADER_SIZE = 27
# The comments are in the second packet of a stream. A file may contain several streams.
_MAX_PACKETS = 20


def read_flac(data: bytes) -> dict[str, bytes]:
    """Return ``workflow`` and ``prompt`` of the comment block."""
    offset = 4
    while len(header := data[offset : offset + 4]) == 4:
        size = int.from_bytes(header[1:])
        if header[0] & 0x7F == _COMMENT_BLOCK:
            return _read_comments(data[offset + 4 : offset + 4 + size])
        if header[0] & 0x80:
            break
        offset += 4 + size
    return {}


def read_ogg(data: bytes) -> dict[str, bytes]:
    """Return ``workflow`` and ``prompt`` of the comment packet."""
    for packet in _list_packets(data):
        for mark in _COMMENT_MARKS:
            if packet.startswith(mark):
                return _read_comments(packet[len(mark) :])
    return {}


def _read_comments(block: bytes) -> dict[str, bytes]:
    """Return the comments of a block by name, in lower case; the vendor's name comes first."""
    offset = 4 + int.from_bytes(block[:4], "little")
    count = int.from_bytes(block[offset : offset + 4], "little")
    offset += 4
    texts: dict[str, bytes] = {}
    while count > 0 and offset + 4 <= len(block):
        size = int.from_bytes(block[offset : offset + 4], "little")
        comment = block[offset + 4 : offset + 4 + size]
        key = comment[:20].partition(b"=")[0].decode("latin-1").lower()
        if key in _KEYS and len(comment) == size:
            texts.setdefault(key, comment[len(key) + 1 :])
        offset += 4 + size
        count -= 1
    return texts


def _list_packets(data: bytes) -> Iterator[bytes]:
    """Yield the first packets of an Ogg file. A packet may span pages, those of other streams may be in between."""
    unfinished: dict[bytes, list[bytes]] = {}
    offset = count = 0
    while data[offset : offset + 4] == b"OggS" and count < _MAX_PACKETS and offset < MAX_DOCUMENT_BYTES:
        serial, segments = (
            data[offset + 14 : offset + 18],
            data[offset + _PAGE_HEADER_SIZE - 1 : offset + _PAGE_HEADER_SIZE],
        )
        table = data[offset + _PAGE_HEADER_SIZE : offset + _PAGE_HEADER_SIZE + (segments[0] if segments else 0)]
        offset += _PAGE_HEADER_SIZE + len(table)
        parts = unfinished.setdefault(serial, [])
        for size in table:
            parts.append(data[offset : offset + size])
            offset += size
            # A segment of 255 bytes continues in the next one.
            if size < 255:
                yield b"".join(parts)
                parts.clear()
                count += 1
