"""The routes of the local store's signed URLs: a raw ASGI app, mounted at ``/blobs``.

PUT a whole file or a part; GET and HEAD a file. The signature in the URL is the whole permission, and
``Authorization`` is ignored, because download tools forward it unasked.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelyard.server.storage.blob_store import DownloadCheck, StoreError, validate_key
from modelyard.server.storage.local.receive import IDLE_SECONDS, ClientGone, Receiver, check_upload_headers
from modelyard.server.storage.local.responses import get_headers, reject_upload, send_problem, send_response
from modelyard.server.storage.local.send import Sender
from modelyard.server.storage.local.signing import Expired, WrongSignature
from modelyard.server.storage.problems import build_url_problem
from modelyard.server.storage.url_server import UrlServer
from modelyard.wire import problems

_ALLOWED = "GET, HEAD, PUT"


def build_blob_app(
    store: UrlServer,
    check_download: DownloadCheck = lambda *_: None,
    *,
    idle_seconds: float = IDLE_SECONDS,
    threads: int = 32,
) -> ASGIApp:
    """Build the ASGI app of one store.

    ``check_download`` is called in a thread before each GET and HEAD, and the problem that it raises is sent.
    ``idle_seconds`` is how long a body may pause before it is rejected. ``threads`` is the size of the app's pool.
    """
    pool = ThreadPoolExecutor(threads, "blob")
    return _BlobApp(store, Receiver(store, pool, idle_seconds), Sender(store, pool, check_download))


class _BlobApp:
    """The ASGI app of the signed URLs: PUT, GET and HEAD."""

    def __init__(self, store: UrlServer, receiver: Receiver, sender: Sender) -> None:
        self._store, self._receiver, self._sender = store, receiver, sender

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to an HTTP request; a client that has closed its connection gets no response."""
        if scope["type"] != "http":
            return
        try:
            if scope["method"] == "PUT":
                await self._put(scope, receive, send)
            elif scope["method"] in ("GET", "HEAD"):
                await self._get(scope, receive, send)
            else:
                problem = problems.MethodNotAllowed("Blobs take GET, HEAD and PUT.")
                await send_problem(send, scope, problem, {"Allow": _ALLOWED, "Connection": "close"})
        except ClientGone:
            return

    async def _put(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Receive an upload; a refused body is discarded before the connection is closed."""
        body = _Body(receive)
        try:
            key, signed = self._check_signature("PUT", scope)
            check_upload_headers(signed, get_headers(scope))
            etag = await self._receiver.receive(key, signed, body.receive)
        except (problems.Problem, StoreError) as error:
            problem = error if isinstance(error, problems.Problem) else build_url_problem(error)
            if body.is_over:
                await send_problem(send, scope, problem, {})
            else:
                await reject_upload(receive, send, scope, problem)
        else:
            await send_response(send, 200, {"ETag": f'"{etag}"'})

    async def _get(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a GET or HEAD with the file or the problem; errors after the first byte pass through."""
        try:
            key, signed = self._check_signature("GET", scope)
            await self._sender.send(key, signed, scope, receive, send)
        except problems.RangeNotSatisfiable as problem:
            await send_problem(send, scope, problem, {"Content-Range": f"bytes */{problem.facts['size']}"})
        except problems.Problem as problem:
            await send_problem(send, scope, problem, {})
        except StoreError as error:
            await send_problem(send, scope, build_url_problem(error), {})

    def _check_signature(self, method: str, scope: Scope) -> tuple[str, Mapping[str, str]]:
        """Check the signature of the URL and return the key and the signed parameters.

        Raises:
            SignatureRefused: also for a percent-encoded path.
            UrlExpired
        """
        path: str = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/")
        try:
            # A key needs no percent-encoding; an encoded one may be an attempt to be decoded twice.
            if not scope.get("raw_path", b"").endswith(path.encode()):
                raise WrongSignature
            key = validate_key(path)
            return key, self._store.signer.check(method, key, scope["query_string"], self._store.now())
        except (WrongSignature, ValueError):
            raise problems.SignatureRefused("This URL was not signed by this registry, or was changed.") from None
        except Expired:
            raise problems.UrlExpired("This URL has expired. Request a new one.") from None


class _Body:
    """A request body that records whether it was received completely."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.is_over = False

    async def receive(self) -> Message:
        """Receive a message; the last one of the body, or a disconnect, sets ``is_over``."""
        message = await self._receive()
        self.is_over = not message.get("more_body", False)
        return message
