"""Serves the signed URLs of the local store: a raw ASGI app, mounted at ``/blobs``.

PUT a whole file or a part; GET and HEAD a file. The signature in the URL is the whole permission, so ``Authorization``
is ignored: download tools forward it without being asked.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelyard.server.storage.blob_store import StoreError, check_key
from modelyard.server.storage.local import LocalStore
from modelyard.server.storage.local_answers import answer, answer_problem, as_problem, headers_of, refuse_upload
from modelyard.server.storage.local_receive import IDLE_SECONDS, ClientGone, Receiver, check_upload
from modelyard.server.storage.local_send import Sender
from modelyard.server.storage.signing import Expired, WrongSignature
from modelyard.wire import problems

_ALLOWED = "GET, HEAD, PUT"


def blob_app(store: LocalStore, *, idle_seconds: float = IDLE_SECONDS, threads: int = 32) -> ASGIApp:
    """The routes of one store. ``idle_seconds`` is how long a body may say nothing."""
    return _BlobApp(store, ThreadPoolExecutor(threads, "blob"), idle_seconds)


class _BlobApp:
    def __init__(self, store: LocalStore, threads: ThreadPoolExecutor, idle_seconds: float) -> None:
        self._store = store
        self._receiver = Receiver(store, threads, idle_seconds)
        self._sender = Sender(store, threads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            if scope["method"] == "PUT":
                await self._put(scope, receive, send)
            elif scope["method"] in ("GET", "HEAD"):
                await self._get(scope, receive, send)
            else:
                problem = problems.MethodNotAllowed("Blobs take GET, HEAD and PUT.")
                await answer_problem(send, scope, problem, {"Allow": _ALLOWED, "Connection": "close"})
        except ClientGone:
            return

    async def _put(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(receive)
        try:
            key, signed = self._permission("PUT", scope)
            check_upload(signed, headers_of(scope))
            etag = await self._receiver.receive(key, signed, body.receive)
        except (problems.Problem, StoreError) as error:
            problem = error if isinstance(error, problems.Problem) else as_problem(error)
            if body.is_over:
                await answer_problem(send, scope, problem, {})
            else:
                await refuse_upload(receive, send, scope, problem)
        else:
            await answer(send, 200, {"ETag": f'"{etag}"'})

    async def _get(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            key, signed = self._permission("GET", scope)
            await self._sender.send(key, signed, scope, receive, send)
        except problems.RangeNotSatisfiable as problem:
            await answer_problem(send, scope, problem, {"Content-Range": f"bytes */{problem.facts['size']}"})
        except problems.Problem as problem:
            await answer_problem(send, scope, problem, {})
        except StoreError as error:
            await answer_problem(send, scope, as_problem(error), {})

    def _permission(self, method: str, scope: Scope) -> tuple[str, Mapping[str, str]]:
        """The key and the signed parameters.

        Raises:
            SignatureRefused, UrlExpired
        """
        path: str = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/")
        try:
            # A key needs no percent-encoding. Whoever sends one wants to be decoded twice somewhere.
            if not scope.get("raw_path", b"").endswith(path.encode()):
                raise WrongSignature
            key = check_key(path)
            return key, self._store.signer.check(method, key, scope["query_string"], self._store.now())
        except (WrongSignature, ValueError):
            raise problems.SignatureRefused("This URL was not made by this registry, or was changed.") from None
        except Expired:
            raise problems.UrlExpired("This URL has expired; ask for a fresh one.") from None


class _Body:
    """Knows whether the whole body was received."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.is_over = False

    async def receive(self) -> Message:
        message = await self._receive()
        self.is_over = not message.get("more_body", False)
        return message
