"""Which handler of the local API answers which method and path, and how long its body may be."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from modelyard.agent.local_api.handlers import LocalHandlers
from modelyard.agent.local_api.http import (
    MAX_BODY_BYTES,
    MAX_WORKFLOW_BODY_BYTES,
    LocalProblem,
    LocalResponse,
    RequestHead,
)

_PREVIEW_PATH = re.compile(r"/v1/previews/([0-9a-f]{64})")

Handler = Callable[[bytes], Awaitable[LocalResponse]]


@dataclass(frozen=True)
class Route:
    """A handler, its method, and the longest body that it takes."""

    handler: Handler
    method: str = "POST"
    max_body_bytes: int = MAX_BODY_BYTES


class Router:
    """The routes of one agent's local API."""

    def __init__(self, handlers: LocalHandlers) -> None:
        self._handlers = handlers
        self._routes = {
            "/v1/status": Route(handlers.get_status, "GET"),
            "/v1/models": Route(handlers.list_models),
            "/v1/workflow-check": Route(handlers.check_workflow, max_body_bytes=MAX_WORKFLOW_BODY_BYTES),
            "/v1/fetch": Route(handlers.fetch_models),
            "/v1/progress": Route(handlers.get_progress),
            "/v1/push": Route(handlers.push, max_body_bytes=MAX_WORKFLOW_BODY_BYTES),
        }

    def close(self) -> None:
        """Stop what goes on after its request was answered."""
        self._handlers.cancel_pushes()

    def find_route(self, head: RequestHead) -> Route:
        """Return the route of a request.

        Raises:
            LocalProblem: no route has this path, or it takes another method.
        """
        route = self._routes.get(head.path)
        if preview := _PREVIEW_PATH.fullmatch(head.path):
            route = Route(partial(self._get_preview, preview[1]), "GET")
        if route is None:
            text = f"The agent of this machine does not know {head.path!r}. Update the older of agent and extension."
            raise LocalProblem(HTTPStatus.NOT_FOUND, "unknown-path", "There is no such path", text)
        if route.method != head.method:
            text = f"{head.path} takes {route.method}."
            raise LocalProblem(HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed", "The method is wrong", text)
        return route

    async def _get_preview(self, sha256: str, _: bytes) -> LocalResponse:
        """Return a picture; the body is ignored."""
        return await self._handlers.get_preview(sha256)
