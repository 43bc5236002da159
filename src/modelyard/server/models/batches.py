"""Requests for many files at once: each item is validated, run and answered for itself."""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from modelyard.server.http.problems import build_invalid_request
from modelyard.server.storage.blob_store import StoreError, StoreUnavailable
from modelyard.server.storage.problems import get_api_problem
from modelyard.wire.problems import InvalidRequest, Problem, Unavailable
from modelyard.wire.schemas import ProblemBody, Schema

Item = TypeVar("Item", bound=Schema)
Result = TypeVar("Result", bound=Schema)

# A batch holds a thread of its team, and proxies give up after a minute.
MAX_SECONDS = 10.0


def run_each(
    items: Sequence[Any], schema: type[Item], operation: Callable[[Item], Result], max_seconds: float = MAX_SECONDS
) -> list[Result | ProblemBody]:
    """Run an operation for each item, in order; return its result or its problem, as the single request does.

    No item is begun after ``max_seconds``, or after the store or the database did not answer: the others then have a
    problem that says so, and can be sent again.
    """
    ends = time.monotonic() + max_seconds
    results: list[Result | ProblemBody] = []
    untried: Unavailable | None = None
    for item in items:
        if untried is None and time.monotonic() >= ends:
            untried = _build_untried("the items before it took too long", retry_after=1)
        result = untried or _run(item, schema, operation)
        if isinstance(result, StoreUnavailable | Unavailable) and untried is None:
            untried = _build_untried("the registry could not answer an item before it", retry_after=2)
        results.append(_build_body(result) if isinstance(result, Problem | StoreError) else result)
    return results


def _run(item: Any, schema: type[Item], operation: Callable[[Item], Result]) -> Result | Problem | StoreError:
    """Validate one item and run the operation; return its result or its failure."""
    try:
        valid = schema.model_validate(item)
    except ValidationError as error:
        return _build_invalid(error)
    try:
        return operation(valid)
    except (Problem, StoreError) as error:
        return error


def _build_invalid(error: ValidationError) -> InvalidRequest:
    return build_invalid_request([(entry["loc"], entry["msg"]) for entry in error.errors()])


def _build_untried(why: str, *, retry_after: int) -> Unavailable:
    return Unavailable(f"This item was not tried, because {why}. Send it again.", retry_after=retry_after)


def _build_body(failure: Problem | StoreError) -> ProblemBody:
    """Return the problem with which the single request would be answered, without a request id."""
    problem = failure if isinstance(failure, Problem) else get_api_problem(failure)
    return ProblemBody.model_validate(problem.to_json())
