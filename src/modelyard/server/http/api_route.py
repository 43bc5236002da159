"""The route class of the API: it authenticates, then reads the body, then runs the operation in a thread."""

from collections.abc import Callable, Coroutine, Mapping
from copy import copy
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_body_to_args
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase

from modelyard.server.http.json_body import BodyBudget, BodyLimits, read_json_body
from modelyard.server.http.operation_limiter import OperationLimiter

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
# What a wrapped operation gets the request as; no operation has a parameter of this name.
_REQUEST = "request_of_operation"


@runtime_checkable
class HasAccount(Protocol):
    """A caller with the ids that determine to which account a request counts."""

    @property
    def team_id(self) -> UUID | None: ...

    @property
    def user_id(self) -> UUID | None: ...


class ApiRoute(APIRoute):
    """A route that checks its dependencies, and so the caller's permissions, before it reads the body.

    The framework alone would read and parse the body first, even of an unauthenticated client. Operations that are not
    ``async`` run in threads that are limited per account (``OperationLimiter``); writing ones have their own threads.
    """

    def get_route_handler(self) -> Handler:
        """Return the framework's handler for a copy of this route that reads the body last and limits the operation."""
        # A copy: the document is made from the route as it was declared.
        handled = copy(self)
        handled.dependant = copy(self.dependant)
        if self.body_field is not None:
            handled.body_field = None
            handled.dependant.body_params = []
            handled.dependant.dependencies = [*self.dependant.dependencies, _build_body_dependant(self.dependant)]
        if not iscoroutinefunction(self.endpoint):
            only_reads = (self.methods or set()) <= {"GET", "HEAD"}
            handled.dependant.call = _limit_operation(self.endpoint, "read_limiter" if only_reads else "write_limiter")
            handled.dependant.request_param_name = _REQUEST
        return APIRoute.get_route_handler(handled)


def _build_body_dependant(dependant: Dependant) -> Dependant:
    """Build the dependency that reads the body into the operation's only body parameter; it has to be the last one."""
    [field] = dependant.body_params
    limits = BodyLimits(is_public=not _has_security(dependant))

    async def read_body(request: Request) -> Any:
        """Read, parse and validate the body; raises as ``read_json_body``, or ``RequestValidationError``."""
        state = request.app.state
        budget: BodyBudget = state.public_body_budget if limits.is_public else state.body_budget
        body = await read_json_body(request, budget, limits)
        values, errors = await request_body_to_args([field], body, embed_body_fields=False)
        if errors:
            raise RequestValidationError(errors, body=body)
        return values[field.name]

    return Dependant(call=read_body, name=field.name, request_param_name="request", path=dependant.path)


def _has_security(dependant: Dependant) -> bool:
    """Return whether a route requires a credential."""
    call: object = dependant.call
    return isinstance(call, SecurityBase) or any(_has_security(each) for each in dependant.dependencies)


def _limit_operation(operation: Callable[..., Any], limiter_name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Wrap an operation so that it runs in a thread of the limiter of this name in the application's state."""

    @wraps(operation)
    async def run(**values: Any) -> Any:
        """Run the operation in a thread of the limiter, counted to its caller's account."""
        limiter: OperationLimiter = getattr(values.pop(_REQUEST).app.state, limiter_name)
        return await limiter.run(_account_of(values), partial(operation, **values))

    return run


def _account_of(values: Mapping[str, Any]) -> UUID | None:
    """Return the team id of the caller among the arguments, else its user id, else None (sign-in, pairing)."""
    caller = next((value for value in values.values() if isinstance(value, HasAccount)), None)
    return None if caller is None else caller.team_id or caller.user_id
