"""Threads of authentication: the requests of one credential leave threads to others."""

import asyncio
import threading
from dataclasses import dataclass

from fastapi import FastAPI, Request

from modelyard.server.fairness.accounts import Account
from modelyard.server.http.execution.account import get_account
from modelyard.server.http.operation_limiter import build_authentication_limiter
from modelyard.server.identity.authentication import run_authentication
from tests.waiting import PATIENCE_SECONDS


@dataclass(frozen=True)
class Checked:
    """The caller that a credential is."""

    account: Account


async def test_authenticate_60_requests_of_one_credential_leave_threads_for_another() -> None:
    app, release = FastAPI(), threading.Event()
    app.state.authentication_limiter = build_authentication_limiter()
    request = Request({"type": "http", "app": app})

    def check_slowly() -> Checked:
        assert release.wait(2 * PATIENCE_SECONDS)
        return Checked(Account("one"))

    burst = [asyncio.create_task(run_authentication(request, "sk-1", check_slowly)) for _ in range(60)]
    other = Checked(Account("other"))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await run_authentication(request, "sk-2", lambda: other) == other
        assert get_account(request) == other.account
    finally:
        release.set()
    assert await asyncio.gather(*burst) == [Checked(Account("one"))] * 60
