"""Gzip compression of responses, for lists whose rows are similar."""

import gzip

from fastapi import Response

# Below this, the head of gzip and its time are not won back.
SMALLEST = 1_000
# The quickest level makes a list of models a fifth of what it was; the best one hardly less, in ten times the time.
LEVEL = 1


def accepts_encoding(coding: str, accepted: str) -> bool:
    """Return whether an ``Accept-Encoding`` header names a coding, with a weight other than 0; ``*`` does not count.

    ``coding`` is in lower case; the header may have any.
    """
    for one in accepted.lower().split(","):
        name, _, weight = one.replace(" ", "").partition(";q=")
        if name == coding:
            return weight.strip("0.") != "" or weight == ""
    return False


def build_compressed_response(body: bytes, accepted: str) -> Response:
    """Build a JSON response; gzip it from 1,000 bytes on if ``accepted``, the ``Accept-Encoding`` header, has gzip."""
    headers = {"Vary": "Accept-Encoding"}
    if accepts_encoding("gzip", accepted) and len(body) >= SMALLEST:
        body = gzip.compress(body, LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type="application/json", headers=headers)
