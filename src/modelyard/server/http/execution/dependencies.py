"""Resolution of the arguments of an operation: planned once for each route, and then run for each request.

The framework would walk through the tree of a route's dependencies at each request, and read the parameters of a
dependency once for each place where it is used.
"""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_params_to_args
from fastapi.exceptions import RequestValidationError

# The result of a dependency that was not called, because a parameter that it needs is not valid.
_INVALID = object()


@dataclass(frozen=True)
class _Step:
    """The arguments of one function: results of earlier steps, parameters of the request, request and response.

    ``results`` also has steps without a name, whose results are not passed.
    ``fields`` has the parameters with the attribute of the request that has their values.
    """

    call: Callable[..., Any]
    is_generator: bool
    results: tuple[tuple[str | None, int], ...]
    fields: tuple[tuple[str, Sequence[Any]], ...]
    request_names: tuple[str, ...]
    response_name: str | None

    async def run(self, arguments: dict[str, Any], stack: AsyncExitStack) -> Any:
        """Return the result of a dependency; ``stack`` closes one that yields its result."""
        if self.is_generator:
            return await stack.enter_async_context(asynccontextmanager(self.call)(**arguments))
        return await self.call(**arguments)

    def build_arguments(
        self, request: Request, response: Response, results: list[Any], errors: list[Any]
    ) -> dict[str, Any] | None:
        """Return the arguments of the function; None if one is not valid, whose errors are added to ``errors``."""
        arguments = {name: results[index] for name, index in self.results if name is not None}
        is_valid = all(results[index] is not _INVALID for _, index in self.results)
        for attribute, fields in self.fields:
            values, found = request_params_to_args(fields, getattr(request, attribute))
            arguments |= values
            errors += found
            is_valid = is_valid and not found
        if not is_valid:
            return None
        for name in self.request_names:
            arguments[name] = request
        if self.response_name is not None:
            arguments[self.response_name] = response
        return arguments


class DependencyPlan:
    """The order in which the dependencies of an operation are called: each once, after those that it needs itself.

    All of them are called, as the framework does, except those that need an invalid parameter: so a caller is refused
    before errors in other parameters are reported.
    """

    def __init__(self, dependant: Dependant) -> None:
        """Plan the dependencies of a route.

        Raises:
            TypeError: a dependency is not ``async``, or it or the operation needs something of the framework that no
                route here needs.
        """
        self._steps: list[_Step] = []
        self._indexes: dict[Callable[..., Any], int] = {}
        _check_needs(dependant)
        self._operation = self._plan(dependant)

    async def resolve(self, request: Request, response: Response, stack: AsyncExitStack) -> dict[str, Any]:
        """Call the dependencies, and return the arguments of the operation; ``stack`` closes them after it.

        Raises:
            RequestValidationError: a parameter of the request is not valid.
        """
        results: list[Any] = []
        errors: list[Any] = []
        for step in self._steps:
            arguments = step.build_arguments(request, response, results, errors)
            results.append(_INVALID if arguments is None else await step.run(arguments, stack))
        arguments = self._operation.build_arguments(request, response, results, errors)
        if arguments is None or errors:
            raise RequestValidationError(errors)
        return arguments

    def _plan(self, dependant: Dependant) -> _Step:
        """Return the step of a function, after adding those of its dependencies."""
        assert dependant.call is not None  # noqa: S101 - only the framework's own empty ones have no function
        results = tuple((each.name, self._add(each)) for each in dependant.dependencies)
        request_names = (dependant.request_param_name, dependant.http_connection_param_name)
        fields = {
            "path_params": dependant.path_params,
            "query_params": dependant.query_params,
            "headers": dependant.header_params,
            "cookies": dependant.cookie_params,
        }
        return _Step(
            call=dependant.call,
            is_generator=isasyncgenfunction(dependant.call),
            results=results,
            fields=tuple((attribute, tuple(each)) for attribute, each in fields.items() if each),
            request_names=tuple(name for name in request_names if name is not None),
            response_name=dependant.response_param_name,
        )

    def _add(self, dependant: Dependant) -> int:
        """Add the step of a dependency unless the plan has it; return its index among the results."""
        _check_is_shared_and_async(dependant)
        _check_needs(dependant)
        step = self._plan(dependant)
        if step.call not in self._indexes:
            self._steps.append(step)
            self._indexes[step.call] = len(self._steps) - 1
        return self._indexes[step.call]


def _check_is_shared_and_async(dependant: Dependant) -> None:
    """Check how a dependency is called.

    Raises:
        TypeError: it is not ``async``, so the framework would give it a thread of its own, or it is not shared by those
            that need it.
    """
    call = dependant.call
    how = getattr(call, "__call__", None)  # noqa: B004 - how it is called, not whether it can be
    is_async = iscoroutinefunction(call) or iscoroutinefunction(how) or isasyncgenfunction(call)
    if not is_async or not dependant.use_cache:
        raise TypeError(f"The dependency {call} is not async, or it is called once for each use.")


def _check_needs(dependant: Dependant) -> None:
    """Check that a function needs nothing that a plan does not resolve.

    Raises:
        TypeError: it needs a body, security scopes, background tasks or a WebSocket.
    """
    needs = (
        dependant.security_scopes_param_name,
        dependant.background_tasks_param_name,
        dependant.websocket_param_name,
        dependant.concurrency,
        *dependant.body_params,
    )
    if any(each is not None for each in needs):
        raise TypeError(f"{dependant.call} needs what no plan of dependencies has.")
