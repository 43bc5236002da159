"""Pictures in the headers of model files. Runs in the sandbox, but for ``may_have_picture``.

``modelspec.thumbnail`` is a data URI (the model specification of Stability AI); ``ssmd_cover_images`` is a JSON list of
pictures in base64 (stable-diffusion-webui).
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator

from modelyard.comfyui.model_files import json_limits
from modelyard.wire.formats import MAX_EMBEDDED_BYTES

THUMBNAIL, COVERS = "modelspec.thumbnail", "ssmd_cover_images"
_MAX_TEXT = MAX_EMBEDDED_BYTES * 4 // 3 + 100
# Pictures that trainers write into every model, by the SHA-256 of the picture: that of OneTrainer for SDXL
# (resources/sd_model_spec/sd_xl_base_1.0.json).
STOCK_PICTURES = frozenset({"26f74671ce3a5e5ccec594fd2729d8d0b7deba440cbfbc535e4fe3a4977b0f4b"})


def may_have_picture(header: bytes) -> bool:
    """Return whether a header names one of the entries; it may still have no picture."""
    return any(name.encode() in header for name in (THUMBNAIL, COVERS))


def iterate_pictures(header: bytes, stock: frozenset[str] = STOCK_PICTURES) -> Iterator[bytes]:
    """Yield the pictures in the header of a safetensors file, without stock pictures and those above 4 MiB."""
    try:
        metadata = json_limits.parse(header).get("__metadata__")
    except (json_limits.JsonRejected, AttributeError):
        return
    if not isinstance(metadata, dict):
        return
    for text in (metadata.get(THUMBNAIL), *_list_covers(metadata.get(COVERS))):
        picture = _decode(text)
        if picture and hashlib.sha256(picture).hexdigest() not in stock:
            yield picture


def _list_covers(text: object) -> list[object]:
    """Return the entries of the list of covers, at most 10; an invalid list has none."""
    try:
        covers = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        covers = None
    return covers[:10] if isinstance(covers, list) else []


def _decode(text: object) -> bytes:
    """Return the bytes of a data URI or of base64; b"" if it is neither, or too long."""
    if not isinstance(text, str) or len(text) > _MAX_TEXT:
        return b""
    encoded = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode("".join(encoded.split()))[: MAX_EMBEDDED_BYTES + 1]
    except (binascii.Error, ValueError):
        return b""
