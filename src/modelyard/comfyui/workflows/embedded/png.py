"""Text chunks of PNG (W3C, "Portable Network Graphics", third edition, section 11.3.3)."""

import zlib
from collections.abc import Iterator

from modelyard.comfyui.workflows.documents import MAX_DOCUMENT_BYTES
from modelyard.comfyui.workflows.references import WorkflowUnreadable

_KEYS = frozenset({b"workflow", b"prompt"})
_SIGNATURE_SIZE = 8


def read_png(data: bytes) -> dict[str, bytes]:
    """Return the texts ``workflow`` and ``prompt``, the first one of each; ``comf`` is what ComfyUI writes to APNG."""
    texts: dict[str, bytes] = {}
    for kind, content in _list_chunks(data):
        keyword, separator, _ = content[:80].partition(b"\x00")
        if kind not in (b"tEXt", b"zTXt", b"iTXt", b"comf") or keyword not in _KEYS or not separator:
            continue
        if keyword.decode() not in texts:
            texts[keyword.decode()] = _read_text(kind, content[len(keyword) + 1 :])
    return texts


def _list_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and content of the chunks; the file ends at a chunk that is longer than the data."""
    offset = _SIGNATURE_SIZE
    while len(header := data[offset : offset + 8]) == 8:
        size, kind = int.from_bytes(header[:4]), header[4:]
        if kind == b"IEND" or offset + 8 + size > len(data):
            return
        yield kind, data[offset + 8 : offset + 8 + size]
        offset += 12 + size


def _read_text(kind: bytes, content: bytes) -> bytes:
    """Return the text of a chunk in UTF-8, without its keyword."""
    if kind == b"zTXt":
        return as_utf8(_inflate(content[1:]))
    if kind == b"iTXt":
        is_deflated, rest = content[:1] == b"\x01", content[2:]
        # Language and translated keyword come before the text.
        _, _, text = rest.partition(b"\x00")[2].partition(b"\x00")
        return _inflate(text) if is_deflated else text
    return as_utf8(content)


def as_utf8(text: bytes) -> bytes:
    """Return a text in UTF-8 that may be in Latin-1 instead, as PNG demands and not every program follows."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1").encode()
    return text


def _inflate(deflated: bytes) -> bytes:
    """Decompress a text; return an empty one if it is damaged, raise WorkflowUnreadable if it is too large."""
    decompressor = zlib.decompressobj()
    try:
        text = decompressor.decompress(deflated, MAX_DOCUMENT_BYTES + 1)
    except zlib.error:
        return b""
    if len(text) > MAX_DOCUMENT_BYTES:
        raise WorkflowUnreadable(f"The picture's workflow is larger than {MAX_DOCUMENT_BYTES // 1024**2} MiB.")
    return text
