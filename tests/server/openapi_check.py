"""A check of every response that a test receives: the OpenAPI document must list its status and problem."""

import re
from collections.abc import Callable
from typing import Any

import httpx2
from fastapi import FastAPI

Operation = dict[str, Any]
Route = tuple[str, re.Pattern[str], Operation]

# Built once in a process, which takes half a second: all applications have the same document.
_routes: list[Route] = []


def build_response_check(app: FastAPI) -> Callable[[httpx2.Response], None]:
    """Return a response hook for an HTTP client that fails the test on an undocumented response."""

    def check(answer: httpx2.Response) -> None:
        if not _routes:
            _routes.extend(_list_routes(app.openapi()))
        operation = _find_operation(_routes, answer.request)
        if operation is not None:
            answer.read()
            _check_response(operation, answer)

    return check


def _list_routes(document: dict[str, Any]) -> list[Route]:
    """Return method, path pattern and operation of all routes."""
    routes = [
        (method.upper(), re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    # A path without parameters has precedence.
    return sorted(routes, key=lambda route: route[1].pattern.count("[^/]+"))


def _find_operation(routes: list[Route], request: httpx2.Request) -> Operation | None:
    path = request.url.path
    return next(
        (operation for method, pattern, operation in routes if method == request.method and pattern.fullmatch(path)),
        None,
    )


def _check_response(operation: Operation, answer: httpx2.Response) -> None:
    """Fail if the operation does not document the response's status, or its problem under that status."""
    name, status = operation["operationId"], str(answer.status_code)
    code = answer.json()["error_code"] if answer.status_code >= 400 and name != "get_readiness" else None
    assert status in operation["responses"], f"{name} does not document {status}: {answer.text[:300]}"
    text = operation["responses"][status]["description"]
    slug = "" if code is None else f"`{code.replace('_', '-')}`"
    assert slug in text, f"{name} does not document {code} under {status}"
