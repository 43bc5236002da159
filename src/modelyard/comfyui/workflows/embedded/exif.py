"""EXIF tags (TIFF 6.0, section 2) with texts such as ``workflow:{…}``."""

import struct

# Where ComfyUI writes them: Model (prompt), Make (workflow) and the tags below (further texts).
_KEYS = frozenset({"prompt", "workflow"})
_MAX_ENTRIES = 1_000
_ASCII = 2


def read_exif(block: bytes) -> dict[str, bytes]:
    """Return ``prompt`` and ``workflow``: texts of the first directory of an EXIF block that begin so, with a colon.

    The block may begin with ``Exif`` and two zero bytes. What is invalid is left out.
    """
    block = block.removeprefix(b"Exif\x00\x00")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return {}
    texts: dict[str, bytes] = {}
    for place, size in _list_texts(block, order):
        key, colon, _ = block[place : place + min(size, 20)].partition(b":")
        name = key.decode("latin-1").strip().lower()
        # Several entries may be the same bytes: only what is needed is copied.
        if colon and name in _KEYS and name not in texts:
            texts[name] = block[place + len(key) + 1 : place + size].rstrip(b"\x00")
    return texts


def _list_texts(block: bytes, order: str) -> list[tuple[int, int]]:
    """Return offsets and sizes of the texts of the first directory; ``order`` is the byte order."""
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    if start + 2 > len(block):
        return []
    (count,) = struct.unpack_from(f"{order}H", block, start)
    texts = []
    for index in range(min(count, _MAX_ENTRIES)):
        offset = start + 2 + index * 12
        if offset + 12 > len(block):
            break
        _, kind, size, place = struct.unpack_from(f"{order}HHII", block, offset)
        if kind == _ASCII and size > 4 and place + size <= len(block):
            texts.append((place, size))
    return texts
