"""The routes of the API: they authenticate, then read the body, then run the operation in a thread."""

from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from copy import copy
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase

from modelyard.server.http.execution.account import get_account
from modelyard.server.http.execution.dependencies import DependencyPlan
from modelyard.server.http.execution.json_size import build_json_limits
from modelyard.server.http.execution.unknown_parameters import SOURCE_OPERATIONS, build_parameter_check
from modelyard.server.http.json_body import BodyBudget, BodyLimits, read_json_body
from modelyard.server.http.operation_limiter import OperationLimiter

API_PREFIX = "/api/v1"

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
_LIMITER_NAME = "limiter_name"
_HAS_LARGE_BODY = "has_large_body"
Operation = TypeVar("Operation", bound=Callable[..., Any])


def registers_models(operation: Operation) -> Operation:
    """Mark an operation as one that registers models, which has its own threads (``build_registration_limiter``)."""
    setattr(operation, _LIMITER_NAME, "registration_limiter")
    return operation


def records_heartbeats(operation: Operation) -> Operation:
    """Mark the operation of heartbeats, which has its own threads (``build_heartbeat_limiter``)."""
    setattr(operation, _LIMITER_NAME, "heartbeat_limiter")
    return operation


def only_reads(operation: Operation) -> Operation:
    """Mark an operation that only reads although its method is POST: it takes no writer's thread."""
    setattr(operation, _LIMITER_NAME, "read_limiter")
    return operation


def receives_file_lists(operation: Operation) -> Operation:
    """Mark an operation whose body may have the list of the files of a folder."""
    setattr(operation, _HAS_LARGE_BODY, True)
    return operation


class ApiRoute(APIRoute):
    """A route that checks its dependencies, and so the caller's permissions, before it reads the body.

    Between them it refuses query parameters that the operation does not have, unless clients of another API or protocol
    may send more.

    The framework alone would read and parse the body first, even of an unauthenticated client. Operations that are not
    ``async`` run in threads that are limited per account (``OperationLimiter``); writing ones have their own threads.
    """

    refuses_unknown_parameters = True

    def get_route_handler(self) -> Handler:
        """Return the framework's handler for a copy of this route that reads the body last and limits the operation.

        The framework sees no dependencies: ``DependencyPlan`` resolves them.
        """
        # Copies: the document is made from the route as it was declared.
        planned, handled = copy(self.dependant), copy(self)
        if self.refuses_unknown_parameters and get_operation_id(self) not in SOURCE_OPERATIONS:
            planned.dependencies = [*planned.dependencies, build_parameter_check(self.dependant)]
        if self.body_field is not None:
            handled.body_field = None
            planned.body_params = []
            planned.dependencies = [*planned.dependencies, _build_body_dependant(self.dependant)]
        handled.dependant = Dependant(
            call=_build_handler(self.endpoint, DependencyPlan(planned), self._limiter_name),
            request_param_name="request",
            response_param_name="response",
            path=self.dependant.path,
        )
        return APIRoute.get_route_handler(handled)

    @property
    def _limiter_name(self) -> str:
        """The name of the limiter of this route's operation in the application's state."""
        has_safe_method = (self.methods or set()) <= {"GET", "HEAD"}
        return getattr(self.endpoint, _LIMITER_NAME, "read_limiter" if has_safe_method else "write_limiter")


def get_operation_id(route: APIRoute) -> str:
    """Return the id of a route's operation in the OpenAPI document: the name of its function."""
    return route.name


class ApiRouter(APIRouter):
    """A router whose routes have their whole paths, for ``app.router.routes.extend``.

    ``include_router`` would build each route again for each application, and match a request twice on each level.
    """

    def __init__(self, tag: str, prefix: str = "") -> None:
        super().__init__(
            prefix=API_PREFIX + prefix,
            route_class=ApiRoute,
            tags=[tag],
            generate_unique_id_function=get_operation_id,
        )


def _build_body_dependant(dependant: Dependant) -> Dependant:
    """Build the dependency that reads the body into the operation's only body parameter; it has to be the last one."""
    [field] = dependant.body_params
    limits = build_body_limits(dependant)

    def validate(body: Any) -> Any:
        """Return the body as what the operation takes; raises ``RequestValidationError``."""
        value, errors = field.validate(body, loc=("body",))
        if errors:
            raise RequestValidationError(errors, body=body)
        return value

    async def read_body(request: Request) -> Any:
        """Read, parse and validate the body; raises as ``read_json_body``, or ``RequestValidationError``.

        Without a body, an operation that has a default for it gets that.
        """
        if not field.field_info.is_required() and not _has_body(request):
            return field.get_default()
        state = request.app.state
        budget: BodyBudget = state.public_body_budget if limits.is_public else state.body_budget
        return await read_json_body(request, budget, limits, validate)

    return Dependant(call=read_body, name=field.name, request_param_name="request", path=dependant.path)


def build_body_limits(dependant: Dependant) -> BodyLimits:
    """Build the limits of the bodies of a route from its declaration.

    Raises:
        TypeError: the type of its body has no largest value, see ``measure_largest``.
    """
    [field] = dependant.body_params
    return BodyLimits(
        is_public=not _has_security(dependant),
        is_large=getattr(dependant.call, _HAS_LARGE_BODY, False),
        json_limits=build_json_limits(field.field_info.annotation),
    )


def _has_body(request: Request) -> bool:
    """Return whether a request declares a body."""
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def _has_security(dependant: Dependant) -> bool:
    """Return whether a route requires a credential."""
    call: object = dependant.call
    return isinstance(call, SecurityBase) or any(_has_security(each) for each in dependant.dependencies)


def _build_handler(
    operation: Callable[..., Any], plan: DependencyPlan, limiter_name: str
) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return a function that resolves the arguments of an operation and runs it.

    An operation that is not ``async`` runs in a thread of the limiter, charged to its caller's account.
    """

    @wraps(operation)
    async def run(request: Request, response: Response) -> Any:
        """Return the result of the operation."""
        limiter: OperationLimiter = getattr(request.app.state, limiter_name)
        async with AsyncExitStack() as stack:
            values = await plan.resolve(request, response, stack)
            return await limiter.run(get_account(request), partial(operation, **values))

    @wraps(operation)
    async def run_without_thread(request: Request, response: Response) -> Any:
        """Return the result of the ``async`` operation."""
        async with AsyncExitStack() as stack:
            return await operation(**await plan.resolve(request, response, stack))

    return run_without_thread if iscoroutinefunction(operation) else run
