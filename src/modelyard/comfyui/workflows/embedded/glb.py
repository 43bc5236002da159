"""The JSON chunk of GLB (glTF 2.0, section 4.4), with texts in ``asset.extras``."""

import json

from modelyard.comfyui.workflows.documents import as_object

_HEADER_SIZE = 12


def read_glb(data: bytes) -> dict[str, bytes]:
    """Return the texts of ``asset.extras`` by their names."""
    size = int.from_bytes(data[_HEADER_SIZE : _HEADER_SIZE + 4], "little")
    start = _HEADER_SIZE + 8
    if data[start - 4 : start] != b"JSON":
        return {}
    try:
        content = json.loads(data[start : start + size])
    except (ValueError, RecursionError):
        return {}
    extras = as_object(as_object(as_object(content).get("asset")).get("extras"))
    return {key: text.encode("utf-8", "replace") for key, text in extras.items() if isinstance(text, str)}
