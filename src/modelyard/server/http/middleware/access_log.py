"""The access log: one line a request, without secrets."""

import logging
import re

from starlette.types import Scope

_PLAIN_SEGMENT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-z0-9._-]{0,24}")

log = logging.getLogger("modelyard.request")


def log_request(scope: Scope, request_id: str, status: int, seconds: float, received: int, sent: int) -> None:
    """Log one finished request; ``received`` and ``sent`` are the bytes of its bodies."""
    log.info(
        "request",
        extra={
            "request_id": request_id,
            "method": scope["method"],
            "path": _redact_path(scope["path"]),
            "status": status,
            "seconds": round(seconds, 4),
            "client": (scope.get("client") or ("",))[0],
            "received": received,
            "sent": sent,
        },
    )


def _redact_path(path: str) -> str:
    """Return the first 300 characters of the path; segments other than ids and short plain words become ``…``.

    People paste keys into paths.
    """
    segments = path[:300].split("/")
    return "/".join(segment if _PLAIN_SEGMENT.fullmatch(segment) else "…" for segment in segments)
