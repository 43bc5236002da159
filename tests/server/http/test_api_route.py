"""API routes: the order of checks, body budgets, and limits of concurrent reads."""

import asyncio
import threading
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

import httpx2
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.routing import APIRoute

from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.usage import Limits
from modelyard.server.http.api_route import ApiRoute
from modelyard.server.http.execution.account import set_account
from modelyard.server.http.json_body import PUBLIC_BODY_BYTES, BodyBudget
from modelyard.server.http.operation_limiter import OperationLimiter
from tests.server.harness import Harness
from tests.waiting import PATIENCE_SECONDS, wait_until_async

# Routes without a body that write nothing.
PLAIN = {"/healthz", "/readyz", "/metrics", "/docs"}


def test_api_routes_check_caller_before_body(shared_registry: Harness) -> None:
    routes = {route.path: route for route in shared_registry.app.routes if isinstance(route, APIRoute)}
    plain = {path for path, route in routes.items() if not isinstance(route, ApiRoute)}
    assert len(routes) > len(PLAIN)
    assert plain == PLAIN


def test_public_bodies_at_limit_leave_budget_for_authenticated_callers(registry: Harness) -> None:
    owner, login = registry.owner, {"email_address": "ada@studio.example", "user_password": "wrong"}
    budget: BodyBudget = registry.app.state.public_body_budget
    with budget.buffer_for(Account("192.0.2.1")) as first, budget.buffer_for(Account("192.0.2.2")) as second:
        for buffer in (first, second):
            buffer.add(b" " * PUBLIC_BODY_BYTES.per_person)
        refused = registry.anonymous.post("/auth/login", **login)
        assert (refused.status_code, refused.json()["error_code"]) == (503, "unavailable")
        assert owner.post("/teams", display_name="Night shift").status_code == 201
    assert registry.anonymous.post("/auth/login", **login).status_code == 401


@dataclass(frozen=True)
class TeamCaller:
    """A caller of the team that the path names."""

    team_id: UUID

    @property
    def account(self) -> Account:
        return Account(team=self.team_id)


_requested_team: ContextVar[str] = ContextVar("requested_team", default="nothing")


async def build_caller(team: int, request: Request) -> TeamCaller:
    _requested_team.set(f"team {team}")
    caller = TeamCaller(UUID(int=team))
    set_account(request, caller.account)
    return caller


CallerOfTeam = Annotated[TeamCaller, Depends(build_caller)]


class SlowReadApp:
    """An application with one read route, which blocks its thread for team 1 until it is released."""

    def __init__(self) -> None:
        self.running, self.release = 0, threading.Event()
        router = APIRouter(route_class=ApiRoute)
        router.add_api_route("/{team}", self.read)
        self.app = FastAPI()
        self.app.state.read_limiter = OperationLimiter(
            Limits(4, per_person=2, per_team=2), queue_seconds=PATIENCE_SECONDS
        )
        self.app.include_router(router)

    def read(self, caller: CallerOfTeam) -> str:
        if caller.team_id.int == 1:
            self.running += 1
            self.release.wait(2 * PATIENCE_SECONDS)
        return _requested_team.get()


async def test_get_60_slow_reads_of_one_team_leave_threads_for_another_team() -> None:
    slow = SlowReadApp()
    transport = httpx2.ASGITransport(app=slow.app)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://registry.test", timeout=PATIENCE_SECONDS
    ) as client:
        reads = [asyncio.create_task(client.get("/1")) for _ in range(60)]
        await wait_until_async(lambda: slow.running == 2)
        async with asyncio.timeout(PATIENCE_SECONDS):
            other = await client.get("/2")
        assert (other.json(), slow.running) == ("team 2", 2)
        slow.release.set()
        answers = await asyncio.gather(*reads)
    assert {answer.json() for answer in answers} == {"team 1"}
