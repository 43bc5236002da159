"""The name under which a browser saves a download."""

import re
from urllib.parse import quote


def content_disposition(file_name: str) -> str:
    """An attachment of this name (RFC 6266), exact in ``filename*`` (RFC 8187), readable in ``filename``."""
    readable = re.sub(r"[^A-Za-z0-9._ -]", "_", file_name)
    exact = quote(file_name.encode("utf-8", "replace"), safe="")
    return f"attachment; filename=\"{readable}\"; filename*=UTF-8''{exact}"
