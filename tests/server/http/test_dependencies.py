"""Arguments of operations: resolved in the framework's order, each dependency once, and closed after the operation."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Header, Query, Request, Response
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from modelyard.server.fairness.usage import Limits
from modelyard.server.http.api_route import ApiRoute
from modelyard.server.http.operation_limiter import OperationLimiter
from modelyard.wire.problems import Unauthenticated


async def count_calls(request: Request) -> int:
    request.app.state.calls += 1
    return int(request.app.state.calls)


async def check_token(token: Annotated[str, Header()] = "") -> str:
    if token == "wrong":
        raise Unauthenticated("Sign in.")
    return token


async def read_page(number: Annotated[int, Query(ge=1)] = 1, _calls: int = Depends(count_calls)) -> int:
    return number


async def read_rows(request: Request, page: Annotated[int, Depends(read_page)]) -> list[int]:
    request.app.state.pages.append(page)
    return [page]


async def hold_file(request: Request) -> AsyncIterator[str]:
    request.app.state.is_open = True
    try:
        yield "file"
    finally:
        request.app.state.is_open = False


async def describe_caller(
    request: Request,
    token: Annotated[str, Depends(check_token)],
    calls: Annotated[int, Depends(count_calls)],
    file: Annotated[str, Depends(hold_file)],
) -> dict[str, Any]:
    return {"token": token, "calls": calls, "file": file, "is_open": request.app.state.is_open}


def read_all(
    response: Response,
    item: int,
    page: Annotated[int, Depends(read_page)],
    caller: Annotated[dict[str, Any], Depends(describe_caller)],
    sort: Annotated[str, Query(max_length=4)] = "name",
) -> dict[str, Any]:
    if page == 13:
        raise Unauthenticated("There is no such page.")
    response.headers["X-Page"] = str(page)
    response.status_code = 202
    return caller | {"item": item, "sort": sort}


def list_rows(rows: Annotated[list[int], Depends(read_rows)]) -> list[int]:
    return rows


def build_client(route_class: type[APIRoute]) -> TestClient:
    app = FastAPI()
    app.state.read_limiter = OperationLimiter(Limits(4, per_person=2, per_team=2))
    app.state.calls = 0
    app.state.pages = []
    app.router.route_class = route_class
    app.get("/items/{item}")(read_all)
    app.get("/rows")(list_rows)
    app.add_exception_handler(Unauthenticated, lambda *_: Response(status_code=401))
    return TestClient(app)


@pytest.mark.parametrize("path", ["/items/1", "/items/2?number=3&sort=size", "/items/x?number=0&sort=longer"])
@pytest.mark.parametrize("token", ["right", "wrong"])
def test_resolve_arguments_gives_the_same_response_as_the_framework(path: str, token: str) -> None:
    ours, theirs = (build_client(kind).get(path, headers={"token": token}) for kind in (ApiRoute, APIRoute))
    assert (ours.status_code, ours.content) == (theirs.status_code, theirs.content)
    assert ours.headers == theirs.headers


def test_resolve_arguments_of_invalid_request_with_wrong_token_reports_the_token() -> None:
    assert build_client(ApiRoute).get("/items/x?number=0", headers={"token": "wrong"}).status_code == 401


def test_resolve_dependency_used_twice_calls_it_once() -> None:
    client = build_client(ApiRoute)
    assert [client.get("/items/1").json()["calls"] for _ in range(2)] == [1, 2]


def test_resolve_dependency_that_yields_is_closed_after_the_operation() -> None:
    client = build_client(ApiRoute)
    assert client.get("/items/1").json()["is_open"]
    assert isinstance(client.app, FastAPI)
    assert not client.app.state.is_open


def test_resolve_dependency_that_yields_is_closed_after_a_failing_operation() -> None:
    client = build_client(ApiRoute)
    assert client.get("/items/1?number=13").status_code == 401
    assert isinstance(client.app, FastAPI)
    assert not client.app.state.is_open


def test_resolve_invalid_parameter_calls_no_dependency_that_needs_it() -> None:
    client = build_client(ApiRoute)
    assert [client.get(f"/rows?number={number}").status_code for number in (0, 2)] == [422, 200]
    assert isinstance(client.app, FastAPI)
    assert client.app.state.pages == [2]


def read_in_thread() -> int:
    return 1


def test_plan_dependency_that_is_not_async_is_refused() -> None:
    app = FastAPI()
    app.router.route_class = ApiRoute
    with pytest.raises(TypeError, match="not async"):
        app.get("/")(lambda value=Depends(read_in_thread): value)


def test_plan_operation_with_background_tasks_is_refused() -> None:
    def send(tasks: BackgroundTasks) -> None:
        tasks.add_task(print)

    app = FastAPI()
    app.router.route_class = ApiRoute
    with pytest.raises(TypeError, match="send"):
        app.get("/")(send)
