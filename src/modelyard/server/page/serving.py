"""Answers where no route does: the page for whoever opens an address, its files, or else the 404 of the API."""

import secrets
from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from modelyard.server.page.files import PageFile
from modelyard.server.page.policy import NONCE, content_security_policy, fixed_headers

INDEX = "/index.html"
# Programs ask here. A mistyped address is told so as a problem, whoever asks.
NEVER_THE_PAGE = ("/api/", "/blobs/", "/assets/")
FOREVER = "public, max-age=31536000, immutable"
NOT_BUILT = "<!doctype html><title>Modelyard</title><p>This registry runs, but has no page: run `make page`.</p>"


class Page:
    """The last resort of a router; ``otherwise`` is what it did before."""

    def __init__(self, files: Mapping[str, PageFile], stores: Sequence[str], otherwise: ASGIApp) -> None:
        self._files = files
        self._stores = stores
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._answer(Request(scope)) if scope["type"] == "http" else None
        await (answer or self._otherwise)(scope, receive, send)

    def _answer(self, request: Request) -> Response | None:
        if request.method not in ("GET", "HEAD"):
            return None
        path = request.scope["path"]
        if path != INDEX and path in self._files:
            return _file(request, self._files[path], path)
        if path.startswith(NEVER_THE_PAGE) or "text/html" not in request.headers.get("accept", ""):
            return None
        return self._index()

    def _index(self) -> Response:
        """The page itself: never kept by a browser, since it names the files of one build and a nonce."""
        nonce = secrets.token_urlsafe(16)
        headers = fixed_headers() | {
            "Content-Security-Policy": content_security_policy(nonce, self._stores),
            "Cache-Control": "no-store",
        }
        index = self._files.get(INDEX)
        text = NOT_BUILT if index is None else index.bodies[""].decode().replace(NONCE, nonce)
        return HTMLResponse(text, 503 if index is None else 200, headers)


def _file(request: Request, file: PageFile, path: str) -> Response:
    is_named_by_content = path.startswith("/assets/")
    headers = fixed_headers() | {
        "ETag": file.etag,
        "Vary": "Accept-Encoding",
        "Cache-Control": FOREVER if is_named_by_content else "no-cache",
        # A worker runs under the policy of its own script.
        "Content-Security-Policy": content_security_policy("none", ()),
    }
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    encoding, body = file.best(request.headers.get("accept-encoding", ""))
    if encoding:
        headers["Content-Encoding"] = encoding
    return Response(body, headers=headers, media_type=file.media_type)
