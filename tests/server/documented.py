"""A net below every test: what a route is seen to answer must be in its OpenAPI responses."""

import re
from collections.abc import Callable
from typing import Any

import httpx2
from fastapi import FastAPI

Operation = dict[str, Any]
Route = tuple[str, re.Pattern[str], Operation]


def documented(app: FastAPI) -> Callable[[httpx2.Response], None]:
    """A hook for a client's answers that fails the test which sees an undocumented one."""
    routes: list[Route] = []

    def look(answer: httpx2.Response) -> None:
        if not routes:
            routes.extend(_routes(app.openapi()))
        operation = _operation(routes, answer.request)
        if operation is not None:
            answer.read()
            _check(operation, answer)

    return look


def _routes(document: dict[str, Any]) -> list[Route]:
    found = [
        (method.upper(), re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    # A path without parameters is meant before one with them.
    return sorted(found, key=lambda route: route[1].pattern.count("[^/]+"))


def _operation(routes: list[Route], request: httpx2.Request) -> Operation | None:
    return next(
        (found for method, path, found in routes if method == request.method and path.fullmatch(request.url.path)), None
    )


def _check(operation: Operation, answer: httpx2.Response) -> None:
    name, status = operation["operationId"], str(answer.status_code)
    code = answer.json()["error_code"] if answer.status_code >= 400 and name != "read_readiness" else None
    assert status in operation["responses"], f"{name} does not document {status}: {answer.text[:300]}"
    text = operation["responses"][status]["description"]
    slug = "" if code is None else f"`{code.replace('_', '-')}`"
    assert slug in text, f"{name} does not document {code} under {status}"
