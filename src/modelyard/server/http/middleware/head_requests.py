"""Middleware that answers HEAD wherever GET is answered: the same status and headers, without a body."""

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The store's signed URLs answer HEAD themselves, because a GET would read the file.
_OWN_HEAD_PREFIX = "/blobs/"
_IS_HEAD = "is_head"


class HeadRequests:
    """Middleware that passes a HEAD request on as GET and drops the body of the response.

    Outer middleware, such as the access log, still sees a HEAD request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; that for HEAD as GET, with a response whose body is empty."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or scope["path"].startswith(_OWN_HEAD_PREFIX):
            await self.app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            """Send a message of the response; one with a part of the body without it."""
            await send(message if message["type"] == "http.response.start" else {**message, "body": b""})

        state = {**scope.get("state", {}), _IS_HEAD: True}
        await self.app({**scope, "method": "GET", "state": state}, receive, send_without_body)


async def is_head_request(request: Request) -> bool:
    """Return whether a client sent this GET request as HEAD, for a route whose responses to both differ."""
    return getattr(request.state, _IS_HEAD, False)
