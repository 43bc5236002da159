"""The OpenAPI document as a response, serialised once."""

import gzip
import hashlib
import json
import math
from dataclasses import dataclass

from fastapi import FastAPI, Request, Response

from modelyard.server.http.cached_result import CachedResult
from modelyard.server.http.compression import accepts_encoding

OPENAPI_PATH = "/api/v1/openapi.json"


@dataclass(frozen=True)
class _Document:
    body: bytes
    compressed: bytes
    etag: str


def mount_openapi(app: FastAPI) -> None:
    """Serve the OpenAPI document of an application; it is built once, in a thread, at the first request."""
    document = CachedResult(lambda: _serialize(app), keep_seconds=math.inf)

    async def read_document(request: Request) -> Response:
        """Return the document, which the first request builds."""
        return _build_response(request, await document.get())

    app.add_route(OPENAPI_PATH, read_document, include_in_schema=False)


def _serialize(app: FastAPI) -> _Document:
    """Build and serialise the application's document, with an ETag of its content."""
    body = json.dumps(app.openapi(), ensure_ascii=False, separators=(",", ":")).encode()
    return _Document(body, gzip.compress(body, mtime=0), f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _build_response(request: Request, document: _Document) -> Response:
    """Build the response: 304 if the client has this ETag, else the document, gzipped if the client accepts that."""
    headers = {"ETag": document.etag, "Vary": "Accept-Encoding", "Cache-Control": "no-cache"}
    # A proxy that packs an answer makes its tag a weak one.
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if document.etag in known:
        return Response(status_code=304, headers=headers)
    if accepts_encoding("gzip", request.headers.get("accept-encoding", "")):
        headers["Content-Encoding"] = "gzip"
        return Response(document.compressed, media_type="application/json", headers=headers)
    return Response(document.body, media_type="application/json", headers=headers)
