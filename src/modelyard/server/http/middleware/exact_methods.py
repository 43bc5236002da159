"""Middleware that responds with 405 to methods that a path does not have."""

import re
from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from modelyard.server.http import problems
from modelyard.wire.problems import MethodNotAllowed


class ExactMethods:
    """Middleware that checks the method against the most specific route, and responds with 405 and all its methods.

    The framework tries one route after the other: ``PUT /models/presign`` would update the model "presign", and
    ``Allow`` would contain the methods of one route only.
    """

    def __init__(self, app: ASGIApp, methods: Mapping[str, frozenset[str]]) -> None:
        """Create it with the allowed methods of each path; a path may contain ``{parameters}``."""
        self.app = app
        self._exact = methods
        self._patterns = [
            (re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)), allowed)
            for path, allowed in methods.items()
            if "{" in path
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or respond with 405 if its path is known and does not have its method."""
        allowed = self._find_allowed(scope["path"]) if scope["type"] == "http" else None
        if allowed is None or scope["method"] in allowed:
            await self.app(scope, receive, send)
            return
        refusal = problems.build_response(Request(scope), MethodNotAllowed("This method is not allowed here."))
        refusal.headers["Allow"] = ", ".join(sorted(allowed))
        await refusal(scope, receive, send)

    def _find_allowed(self, path: str) -> frozenset[str] | None:
        """Return the methods of a path, by a route without parameters first; None if no route has it."""
        if path in self._exact:
            return self._exact[path]
        return next((allowed for pattern, allowed in self._patterns if pattern.fullmatch(path)), None)
