"""The end of a request whose client has gone."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

Result = TypeVar("Result")


async def run_while_connected(request: Request, operation: Coroutine[Any, Any, Result]) -> Result | None:
    """Return the result of an operation; cancel it and return None if the client closes its connection before.

    The server itself tells an operation nothing of that. A body of the request is read and dropped.
    """
    result, disconnected = asyncio.create_task(operation), asyncio.create_task(_wait_for_disconnect(request))
    tasks = {result, disconnected}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return result.result() if result.done() else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _wait_for_disconnect(request: Request) -> None:
    """Return when the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
