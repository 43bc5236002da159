"""The metadata element of SVG, with one JSON object in CDATA."""

import json
import re

from modelyard.comfyui.workflows.documents import MAX_DOCUMENT_BYTES

_start = re.compile(rb"<metadata>\s{0,1000}<!\[CDATA\[", re.IGNORECASE)


def read_svg(data: bytes) -> dict[str, bytes]:
    """Return the members of the JSON object as texts. The file is not parsed as XML, so no entity is expanded."""
    found = _start.search(data)
    if found is None or (end := data.find(b"]]>", found.end())) < 0 or end - found.end() > MAX_DOCUMENT_BYTES:
        return {}
    try:
        content = json.loads(data[found.end() : end])
        members = content.items() if isinstance(content, dict) else ()
        return {key: json.dumps(value).encode() for key, value in members if isinstance(value, dict)}
    except (ValueError, RecursionError):
        return {}
