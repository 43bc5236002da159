"""Answers that are sent smaller to whoever takes gzip: lists whose rows say much the same."""

import gzip

from fastapi import Response

# Below this, the head of gzip and its time are not won back.
SMALLEST = 1_000
# The quickest level makes a list of models a fifth of what it was; the best one hardly less, in ten times the time.
LEVEL = 1


def takes(coding: str, accepted: str) -> bool:
    """Whether a client that sent this ``Accept-Encoding`` takes a coding: it is named, and not with the weight 0."""
    for one in accepted.lower().split(","):
        name, _, weight = one.replace(" ", "").partition(";q=")
        if name == coding:
            return weight.strip("0.") != "" or weight == ""
    return False


def packed(body: bytes, accepted: str) -> Response:
    """JSON as an answer, for a client that sent this ``Accept-Encoding``."""
    headers = {"Vary": "Accept-Encoding"}
    if takes("gzip", accepted) and len(body) >= SMALLEST:
        body = gzip.compress(body, LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type="application/json", headers=headers)
