"""Serving of the page for requests that no route matches: its files, its index for browsers, a line for programs.

Requests below the paths of the API get its 404.
"""

import secrets
from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from modelyard.server.http.middleware.security_headers import NONCE, build_page_policy, get_fixed_headers
from modelyard.server.http.openapi_document import OPENAPI_PATH
from modelyard.server.page.files import PageFile

INDEX = "/index.html"
# Paths of the API and of files: an unknown one is answered with a problem, also to a browser.
API_PREFIXES = ("/api/", "/blobs/", "/assets/", "/hf/")
CACHE_FOREVER = "public, max-age=31536000, immutable"
# In the name of each script that runs as a web worker (web/src/features/upload/engine/fileWorker.ts).
WORKER_NAME = "Worker-"
NOT_BUILT = "<!doctype html><title>Modelyard</title><p>This registry runs, but has no page: run `make page`.</p>"
# For programs, such as curl, that take a page's address for that of the API.
API_HINT = f"The API is at /api/v1, and its OpenAPI document at {OPENAPI_PATH}.\n"
WELCOME = f"This is a Modelyard registry. {API_HINT}"
NO_PAGE_FOR_PROGRAMS = f"There is nothing for programs at this address. {API_HINT}"


class Page:
    """The default application of a router: serves the page, and passes other requests to ``fallback``.

    ``upload_origins`` are the origins to which the page may send files, for its content security policy.
    """

    def __init__(self, files: Mapping[str, PageFile], upload_origins: Sequence[str], fallback: ASGIApp) -> None:
        self._files = files
        self._upload_origins = upload_origins
        self._fallback = fallback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for the page; pass others to ``fallback``."""
        response = self._build_response(Request(scope)) if scope["type"] == "http" else None
        await (response or self._fallback)(scope, receive, send)

    def _build_response(self, request: Request) -> Response | None:
        """Return a file of the page, its index for a browser, or for a program a line of text.

        None if the request is not for the page, or asks for JSON.
        """
        if request.method not in ("GET", "HEAD"):
            return None
        path = request.scope["path"]
        if path != INDEX and path in self._files:
            return _build_file_response(request, self._files[path], path)
        if path.startswith(API_PREFIXES):
            return None
        accepted = request.headers.get("accept", "")
        if "text/html" in accepted:
            return self._build_index_response()
        return None if "json" in accepted else _build_hint_response(path)

    def _build_index_response(self) -> Response:
        """Return the index with a fresh nonce, or 503 if not built. Never cached: it names the files of one build."""
        nonce = secrets.token_urlsafe(16)
        headers = get_fixed_headers() | {
            "Content-Security-Policy": build_page_policy(nonce, self._upload_origins),
            "Cache-Control": "no-store",
            "Vary": "Accept",
        }
        index = self._files.get(INDEX)
        text = NOT_BUILT if index is None else index.bodies[""].decode().replace(NONCE, nonce)
        return HTMLResponse(text, 503 if index is None else 200, headers)


def _build_hint_response(path: str) -> Response:
    """Build the line that says where the API is: 200 for the root, 404 for any other path."""
    # The same address has another content for browsers.
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    return PlainTextResponse(*((WELCOME, 200) if path == "/" else (NO_PAGE_FOR_PROGRAMS, 404)), headers)


def _build_file_response(request: Request, file: PageFile, path: str) -> Response:
    """Build the response with a file of the page, or 304 if the request has its ETag."""
    is_named_by_content = path.startswith("/assets/")
    headers = {
        "ETag": file.etag,
        "Vary": "Accept-Encoding",
        "Cache-Control": CACHE_FOREVER if is_named_by_content else "no-cache",
    }
    # A web worker runs under the policy of its own script.
    if WORKER_NAME in path:
        headers["Content-Security-Policy"] = build_page_policy("none", ())
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    encoding, body = file.choose_body(request.headers.get("accept-encoding", ""))
    if encoding:
        headers["Content-Encoding"] = encoding
    return Response(body, headers=headers, media_type=file.media_type)
