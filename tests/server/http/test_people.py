"""What one person takes at once, in however many teams, by whichever key, and that others pass meanwhile."""

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal
from starlette.requests import Request

from modelyard.server.fairness.accounts import Account
from modelyard.server.http.execution.account import ANYBODY, get_account
from modelyard.server.http.json_body import BODY_BYTES, MAX_BODY_BYTES, BodyBudget
from modelyard.server.http.operation_limiter import READ_THREADS
from tests.server.harness import ApiCaller, Harness
from tests.server.http.held_operations import hold_statements, sending
from tests.waiting import wait_until

WORD = "zqperson"
SPELLINGS = ("Bearer {}", "Bearer  {}", "bearer {}", "BEARER   {}", "Bearer {} ", "bEARER {}  ")


def create_callers_of_one_person(registry: Harness) -> list[ApiCaller]:
    """Return a person in three teams, and a key that the person made in a fourth."""
    team = registry.create_team()
    return [*(registry.create_team() for _ in range(3)), registry.create_key("integration", team)]


def test_searches_of_one_person_in_four_teams_run_two_at_a_time(quiet_registry: Harness) -> None:
    callers, other = create_callers_of_one_person(quiet_registry), quiet_registry.create_other_team()
    places = quiet_registry.app.state.read_limiter.places
    with (
        hold_statements(quiet_registry.resources.database.engine, WORD) as held,
        sending(len(callers), lambda number: callers[number].get("/models", q=WORD), held.release.set) as sent,
    ):
        wait_until(lambda: (held.running, places.waiting.total) == (2, 2))
        assert other.get("/models", q="ink").status_code == 200
    assert [each.result().status_code for each in sent] == [200] * len(callers)
    assert held.most == READ_THREADS.per_person == 2


def test_members_of_one_team_share_the_threads_of_the_team(quiet_registry: Harness) -> None:
    team = quiet_registry.create_team()
    people = [team, *(quiet_registry.create_member("viewer", team) for _ in range(3))]
    places = quiet_registry.app.state.read_limiter.places
    with (
        hold_statements(quiet_registry.resources.database.engine, WORD) as held,
        sending(len(people), lambda number: people[number].get("/models", q=WORD), held.release.set) as sent,
    ):
        wait_until(lambda: (held.running, places.waiting.total) == (2, 2))
    assert [each.result().status_code for each in sent] == [200] * len(people)
    assert held.most == READ_THREADS.per_team == 2


def test_requests_without_a_caller_count_to_their_address_whatever_credential_they_send() -> None:
    credentials = [[], *([(b"authorization", b"Bearer %d" % number)] for number in range(3))]
    scope = {"type": "http", "client": ("192.0.2.1", 4711)}
    accounts = {get_account(Request(scope | {"headers": headers})) for headers in credentials}
    assert accounts == {Account("192.0.2.1", ANYBODY)}


class HalfSentBody:
    """A request whose body stops one byte before its end until it is ended; ``status`` is 0 until it is answered."""

    def __init__(self, registry: Harness, headers: Mapping[str, str]) -> None:
        self.status = 0
        self._app, self._ended, self._is_sent = registry.app, asyncio.Event(), False
        self._headers = {"host": "registry.test", "content-type": "application/json"} | dict(headers)

    async def send_request(self) -> None:
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "query_string": b"",
            "path": "/api/v1/models/presign",
            "raw_path": b"/api/v1/models/presign",
            "root_path": "",
            "client": ("192.0.2.1", 4711),
            "headers": [(name.lower().encode(), value.encode()) for name, value in self._headers.items()],
            "server": ("registry.test", 80),
        }
        await self._app(scope, self._receive, self._answer)

    async def _receive(self) -> dict[str, Any]:
        if self._is_sent:
            await self._ended.wait()
            return {"type": "http.disconnect"}
        self._is_sent = True
        return {"type": "http.request", "body": b" " * (MAX_BODY_BYTES - 1), "more_body": True}

    async def _answer(self, message: Mapping[str, Any]) -> None:
        self.status = message.get("status", self.status)

    async def end(self) -> None:
        self._ended.set()


@contextmanager
def sending_half(registry: Harness, all_headers: list[dict[str, str]]) -> Iterator[list[HalfSentBody]]:
    """Send bodies that do not end before the block does."""
    portal = registry.client.portal
    assert isinstance(portal, BlockingPortal)
    bodies = [portal.call(HalfSentBody, registry, headers) for headers in all_headers]
    running: list[Future[None]] = [portal.start_task_soon(body.send_request) for body in bodies]
    try:
        yield bodies
    finally:
        for body in bodies:
            portal.call(body.end)
        for each in running:
            each.result()


@pytest.mark.parametrize("spellings", [SPELLINGS[:1], SPELLINGS], ids=["one spelling", "many spellings"])
def test_half_sent_bodies_of_one_person_leave_the_budget_to_others(registry: Harness, spellings: list[str]) -> None:
    callers, other = create_callers_of_one_person(registry), registry.create_other_team()
    budget: BodyBudget = registry.app.state.body_budget
    all_headers = [
        caller.headers | {"Authorization": spelling.format(caller.token)}
        for caller in callers
        for spelling in spellings
        for _ in range(18 // len(spellings))
    ]
    most = BODY_BYTES.per_person // (MAX_BODY_BYTES - 1)
    with sending_half(registry, all_headers) as bodies:
        wait_until(lambda: sum(body.status == 503 for body in bodies) == len(bodies) - most)
        assert budget.held.total == most * (MAX_BODY_BYTES - 1)
        assert other.presign(b"bytes").status_code == 200
    assert budget.held.total == 0
    assert len(all_headers) * MAX_BODY_BYTES > BODY_BYTES.total
