"""Problems as HTTP bodies and as OpenAPI entries: the one place where an exception becomes an answer."""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from modelyard.wire import problems
from modelyard.wire.problems import Problem
from modelyard.wire.shapes import MAX_INT64, ProblemBody

MEDIA_TYPE = "application/problem+json"
# Where a scope keeps what is wrong with a body while the caller is checked: a stranger learns nothing of its mistakes.
BODY_PROBLEM = "modelyard.body_problem"
Answers = dict[int | str, dict[str, Any]]

log = logging.getLogger("modelyard.problems")


def answer(request: Request, problem: Problem) -> JSONResponse:
    """The RFC 9457 answer, with the headers that its status asks for."""
    headers = {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="modelyard"'
    if problem.status in (429, 503):
        headers["Retry-After"] = str(problem.facts.get("retry_after", 2))
    body = problem.as_json(getattr(request.state, "request_id", None))
    return JSONResponse(body, problem.status, headers, media_type=MEDIA_TYPE)


def answers(*kinds: type[Problem], also: Answers | None = None) -> Answers:
    """OpenAPI's ``responses`` for the problems that a route can raise, one entry a status, and ``also`` beside them."""
    entries: Answers = {}
    for kind in kinds:
        entry = entries.setdefault(kind.status, {"description": "", "model": ProblemBody})
        line = f"`{kind.slug}`: {(kind.__doc__ or '').strip()}"
        entry["description"] = f"{entry['description']}\n\n{line}".strip()
    for entry in entries.values():
        entry["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
        del entry["model"]
    return entries | (also or {})


def complete_operation(method: str, operation: dict[str, Any]) -> None:
    """Add to an OpenAPI operation the problems that any route of its kind can answer, and drop what we never answer."""
    kinds: list[type[Problem]] = [problems.Unavailable]
    if "requestBody" in operation:
        kinds += [problems.MalformedJson, problems.RequestStalled, problems.BodyTooLarge]
        kinds += [problems.UnsupportedMediaType, problems.InvalidRequest]
    if method != "get":
        kinds.append(problems.StorageFull)
    listed: dict[str, Any] = {
        status: entry for status, entry in operation["responses"].items() if "HTTPValidationError" not in str(entry)
    }
    for status, entry in answers(*kinds).items():
        held = listed.setdefault(str(status), {"description": "", "content": entry["content"]})
        lines = [line for line in entry["description"].split("\n\n") if line not in held["description"]]
        held["description"] = "\n\n".join([held["description"], *lines]).strip()
    operation["responses"] = dict(sorted(listed.items()))
    for parameter in operation.get("parameters", []):
        parameter["schema"] = _without_null(parameter["schema"])


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter: one may be left out, but there is no way to send null in a header or a query."""
    choices: list[dict[str, Any]] = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) != 1:
        return schema
    return {name: value for name, value in schema.items() if name != "anyOf"} | choices[0]


def with_whole_numbers(part: Any) -> Any:
    """The document with bounds as exact as we check them: the framework makes them floats, which end at 2^53."""
    if isinstance(part, dict):
        return {name: with_whole_numbers(value) for name, value in part.items()}
    if isinstance(part, list):
        return [with_whole_numbers(value) for value in part]
    return min(int(part), MAX_INT64) if isinstance(part, float) and part.is_integer() else part


def install(app: FastAPI) -> None:
    """Make every failure of this application a problem."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, on_bug)


async def _on_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)  # noqa: S101 - registered for this class only
    return answer(request, error)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    unreadable: Problem | None = request.scope.get(BODY_PROBLEM)
    if unreadable is not None:
        return answer(request, unreadable)
    found = [{"field": _field(entry["loc"]), "message": entry["msg"]} for entry in error.errors()]
    names = ", ".join(f"'{entry['field']}'" for entry in found[:5])
    return answer(request, problems.InvalidRequest(f"Not valid: {names}. {found[0]['message']}.", errors=found))


def _field(location: tuple[int | str, ...]) -> str:
    """``("body", "part_list", 0, "etag")`` as ``part_list.0.etag``."""
    return ".".join(str(step) for step in location[1:]) or str(location[0])


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    kinds: dict[int, Problem] = {
        404: problems.RouteNotFound("There is nothing at this address."),
        405: problems.MethodNotAllowed("This method is not allowed here."),
        413: problems.BodyTooLarge("The body is too large."),
    }
    response = answer(request, kinds.get(error.status_code, problems.MalformedRequest(str(error.detail))))
    response.headers.update(error.headers or {})
    return response


async def on_bug(request: Request, error: Exception) -> JSONResponse:
    """The answer to what should never happen: nothing of it is shown, all of it is logged."""
    log.error("unhandled error", exc_info=error, extra={"request_id": getattr(request.state, "request_id", None)})
    return answer(request, problems.InternalError("The registry made a mistake; its log has it under this request id."))
