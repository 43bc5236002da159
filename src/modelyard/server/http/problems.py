"""Problems as HTTP responses and as OpenAPI entries; exceptions become responses here only."""

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from modelyard.wire import problems
from modelyard.wire.problems import Problem

MEDIA_TYPE = "application/problem+json"
Answers = dict[int | str, dict[str, Any]]

log = logging.getLogger("modelyard.problems")


def build_response(request: Request, problem: Problem) -> JSONResponse:
    """Build the RFC 9457 response for a problem, with the headers that its status requires."""
    headers = {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="modelyard"'
    if problem.status in (429, 503):
        headers["Retry-After"] = str(problem.facts.get("retry_after", 2))
    body = problem.to_json(getattr(request.state, "request_id", None))
    return JSONResponse(body, problem.status, headers, media_type=MEDIA_TYPE)


def answers(*kinds: type[Problem], also: Answers | None = None) -> Answers:
    """Build OpenAPI's ``responses`` for the problems that a route can raise, one entry a status, plus ``also``.

    The examples that they refer to are added to the document by ``server.openapi``.
    """
    entries: Answers = {}
    for kind in kinds:
        content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}, "examples": {}}}
        entry = entries.setdefault(kind.status, {"description": "", "content": content})
        line = f"`{kind.slug}`: {' '.join((kind.__doc__ or '').split())}"
        entry["description"] = f"{entry['description']}\n\n{line}".strip()
        entry["content"][MEDIA_TYPE]["examples"][kind.slug] = {"$ref": f"#/components/examples/{kind.slug}"}
    return entries | (also or {})


def install_handlers(app: FastAPI) -> None:
    """Register the handlers for problems, invalid requests, errors of the framework and any other exception."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, handle_unexpected_error)


async def _on_problem(request: Request, error: Exception) -> JSONResponse:
    """Respond with a problem of this application."""
    assert isinstance(error, Problem)  # noqa: S101 - registered for this class only
    return build_response(request, error)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    """Respond with ``invalid-request``."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    found = [(entry["loc"][1:] or entry["loc"][:1], entry["msg"]) for entry in error.errors()]
    return build_response(request, build_invalid_request(found))


def build_invalid_request(found: Sequence[tuple[tuple[int | str, ...], str]]) -> problems.InvalidRequest:
    """Build the problem of places and messages of errors in a body, with one entry each; it names the first five.

    The place ``("part_list", 0, "etag")`` is the field ``part_list.0.etag``; the place of the whole body is ``body``.
    """
    errors = [{"field": ".".join(map(str, place)) or "body", "message": message} for place, message in found]
    names = ", ".join(f"'{entry['field']}'" for entry in errors[:5])
    return problems.InvalidRequest(f"Not valid: {names}. {errors[0]['message']}.", errors=errors)


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    """Respond to an error of the framework: 404, 405 and 413 as such, any other as ``MalformedRequest``."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    kinds: dict[int, Problem] = {
        404: problems.RouteNotFound("There is nothing at this address."),
        405: problems.MethodNotAllowed("This method is not allowed here."),
        413: problems.BodyTooLarge("The body is too large."),
    }
    response = build_response(request, kinds.get(error.status_code, problems.MalformedRequest(str(error.detail))))
    response.headers.update(error.headers or {})
    return response


async def handle_unexpected_error(request: Request, error: Exception) -> JSONResponse:
    """Log an unexpected exception and build the response, a 500 that contains nothing of it."""
    log.error("unhandled error", exc_info=error, extra={"request_id": getattr(request.state, "request_id", None)})
    return build_response(
        request,
        problems.InternalError("An unexpected error occurred. The registry's log has details under this id."),
    )
