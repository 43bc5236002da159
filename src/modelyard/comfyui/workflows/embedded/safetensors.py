"""Metadata in the header of safetensors, which is also the format of ``.latent`` files (``SaveLatent``)."""

import json

from modelyard.comfyui.workflows.documents import as_object

_LENGTH_SIZE = 8
# The limit of the safetensors library.
_MAX_HEADER_BYTES = 100_000_000


def is_safetensors(data: bytes) -> bool:
    """Return whether data begins as safetensors: the size of the header in 8 bytes, then a JSON object.

    The upper bytes of the size are zero, which no JSON text has there, but an MP3 file with a tag of 15,744 bytes does.
    """
    if data.startswith(b"ID3"):
        return False
    return data[4:_LENGTH_SIZE] == bytes(4) and data[_LENGTH_SIZE : _LENGTH_SIZE + 1] == b"{"


def read_safetensors(data: bytes) -> dict[str, bytes]:
    """Return the texts of ``__metadata__`` by their names."""
    size = int.from_bytes(data[:_LENGTH_SIZE], "little")
    if size > _MAX_HEADER_BYTES:
        return {}
    try:
        header = json.loads(data[_LENGTH_SIZE : _LENGTH_SIZE + size])
    except (ValueError, RecursionError):
        return {}
    metadata = as_object(as_object(header).get("__metadata__"))
    return {key: text.encode("utf-8", "replace") for key, text in metadata.items() if isinstance(text, str)}
