"""Tags of WebM and Matroska (RFC 8794; RFC 9559, section 5.1.8)."""

from collections.abc import Iterator

_SEGMENT, _TAGS, _TAG = b"\x18\x53\x80\x67", b"\x12\x54\xc3\x67", b"\x73\x73"
_SIMPLE_TAG, _NAME, _TEXT = b"\x67\xc8", b"\x45\xa3", b"\x44\x87"
_MAX_ELEMENTS = 10_000


def read_webm(data: bytes) -> dict[str, bytes]:
    """Return the texts of the tags by their names, in lower case."""
    texts: dict[str, bytes] = {}
    tags = [tag for segment in _find(data, _SEGMENT) for each in _find(segment, _TAGS) for tag in _find(each, _TAG)]
    for simple in (simple for tag in tags for simple in _find(tag, _SIMPLE_TAG)):
        name = b"".join(_find(simple, _NAME)).rstrip(b"\x00").decode("utf-8", "replace").lower()
        texts.setdefault(name, b"".join(_find(simple, _TEXT)[:1]))
    return texts


def _find(data: bytes, identifier: bytes) -> list[bytes]:
    """Return the contents of the elements with an identifier, one level below ``data``."""
    return [content for found, content in _list_elements(data) if found == identifier]


def _list_elements(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield identifiers and contents of elements; one of unknown size reaches to the end of the data."""
    offset = 0
    for _ in range(_MAX_ELEMENTS):
        identifier = data[offset : offset + _get_width(data, offset)]
        offset += len(identifier)
        width = _get_width(data, offset)
        if not identifier or not width or offset + width > len(data):
            return
        size = int.from_bytes(data[offset : offset + width]) - (1 << 7 * width)
        offset += width
        end = len(data) if size == (1 << 7 * width) - 1 else offset + size
        yield identifier, data[offset:end]
        offset = end


def _get_width(data: bytes, offset: int) -> int:
    """Return the size of the number at an offset: one more than the zero bits in front of it; 0 if there is none."""
    first = data[offset] if offset < len(data) else 0
    return 9 - first.bit_length() if first else 0
