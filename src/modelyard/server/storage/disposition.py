"""The ``Content-Disposition`` header of downloads."""

import re
from urllib.parse import quote


def build_content_disposition(file_name: str) -> str:
    """Return an attachment header with this name (RFC 6266).

    The name is exact in ``filename*`` (RFC 8187) and reduced to readable ASCII in ``filename``.
    """
    readable = re.sub(r"[^A-Za-z0-9._ -]", "_", file_name)
    exact = quote(file_name.encode("utf-8", "replace"), safe="")
    return f"attachment; filename=\"{readable}\"; filename*=UTF-8''{exact}"
