"""Text frames of ID3 tags, which MP3 files begin with (ID3v2.3.0 and ID3v2.4.0, sections 3 and 4)."""

from collections.abc import Iterator

_HEADER_SIZE = 10
_KEYS = frozenset({"workflow", "prompt"})
# By the first byte of a text frame: the encoding, and the size of the zero that ends a text.
_ENCODINGS = {0: ("latin-1", 1), 1: ("utf-16", 2), 2: ("utf-16-be", 2), 3: ("utf-8", 1)}


def read_mp3(data: bytes) -> dict[str, bytes]:
    """Return ``workflow`` and ``prompt``: frames TXXX of the tag, with these names as descriptions."""
    version, flags, size = data[3:4], data[5:6], _read_syncsafe(data[6:10])
    if version not in (b"\x03", b"\x04") or not flags:
        return {}
    body = data[_HEADER_SIZE : _HEADER_SIZE + size]
    if flags[0] & 0x80:
        body = body.replace(b"\xff\x00", b"\xff")
    texts: dict[str, bytes] = {}
    for frame in _list_frames(body, is_syncsafe=version == b"\x04", has_extension=bool(flags[0] & 0x40)):
        name, text = _read_user_text(frame)
        if name in _KEYS:
            texts.setdefault(name, text)
    return texts


def _list_frames(body: bytes, *, is_syncsafe: bool, has_extension: bool) -> Iterator[bytes]:
    """Yield the contents of the frames TXXX; ``is_syncsafe``: sizes have 7 bits a byte, as in version 2.4."""
    offset = 0
    if has_extension:
        # In version 2.4 the size includes its own four bytes.
        offset = _read_syncsafe(body[:4]) if is_syncsafe else int.from_bytes(body[:4]) + 4
    while len(header := body[offset : offset + _HEADER_SIZE]) == _HEADER_SIZE and header[0]:
        size = _read_syncsafe(header[4:8]) if is_syncsafe else int.from_bytes(header[4:8])
        # Compressed and encrypted frames have flags in the second byte.
        if header[:4] == b"TXXX" and not header[9]:
            yield body[offset + _HEADER_SIZE : offset + _HEADER_SIZE + size]
        offset += _HEADER_SIZE + size


def _read_user_text(frame: bytes) -> tuple[str, bytes]:
    """Return description and text of a frame TXXX in UTF-8; empty ones if it is invalid."""
    encoding, width = _ENCODINGS.get(frame[0] if frame else -1, ("", 1))
    if not encoding:
        return "", b""
    end = next((at for at in range(1, min(len(frame), 101), width) if not any(frame[at : at + width])), 0)
    name = frame[1:end].decode(encoding, "replace").lower() if end else ""
    if name not in _KEYS:
        return "", b""
    return name, frame[end + width :].decode(encoding, "replace").encode("utf-8", "replace")


def _read_syncsafe(size: bytes) -> int:
    """Return a number whose bytes have 7 bits each."""
    number = 0
    for byte in size:
        number = number << 7 | byte & 0x7F
    return number
