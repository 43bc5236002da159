"""Threads of authentication: the requests of one credential leave threads to others."""

import asyncio
import threading

from fastapi import FastAPI, Request

from modelyard.server.http.operation_limiter import build_authentication_limiter
from modelyard.server.identity.authentication import run_authentication
from tests.waiting import PATIENCE_SECONDS


async def test_authenticate_60_requests_of_one_credential_leave_threads_for_another() -> None:
    app, release = FastAPI(), threading.Event()
    app.state.authentication_limiter = build_authentication_limiter()
    request = Request({"type": "http", "app": app})
    burst = [
        asyncio.create_task(run_authentication(request, "sk-1", lambda: release.wait(2 * PATIENCE_SECONDS)))
        for _ in range(60)
    ]
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await run_authentication(request, "sk-2", lambda: "checked") == "checked"
    finally:
        release.set()
    assert await asyncio.gather(*burst) == [True] * 60
