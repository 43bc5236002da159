"""Operations that end when their client closes its connection."""

import asyncio

import pytest
from fastapi import Request
from starlette.types import Message

from modelyard.server.http.waiting.disconnect import run_while_connected


class Client:
    """A client that sends a request with a body in two pieces, and stays until it leaves."""

    def __init__(self) -> None:
        self.leaves = asyncio.Event()
        self._messages: list[Message] = [
            {"type": "http.request", "body": b"x", "more_body": True},
            {"type": "http.request", "body": b"y", "more_body": False},
        ]
        self.request = Request({"type": "http", "method": "GET", "headers": []}, self._receive)

    async def _receive(self) -> Message:
        if self._messages:
            return self._messages.pop(0)
        await self.leaves.wait()
        return {"type": "http.disconnect"}


class Operation:
    """An operation that waits until it may go on."""

    def __init__(self) -> None:
        self.has_begun, self.may_go_on, self.has_ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def run(self) -> str:
        self.has_begun.set()
        try:
            await self.may_go_on.wait()
        finally:
            self.has_ended.set()
        return "done"


async def test_operation_of_a_client_that_stays_returns_its_result() -> None:
    client, operation = Client(), Operation()
    running = asyncio.create_task(run_while_connected(client.request, operation.run()))
    await operation.has_begun.wait()
    operation.may_go_on.set()
    assert await running == "done"


async def test_operation_that_fails_raises_its_error() -> None:
    async def fail() -> None:
        raise KeyError("model")

    with pytest.raises(KeyError, match="model"):
        await run_while_connected(Client().request, fail())


async def test_operation_is_cancelled_when_its_client_leaves() -> None:
    client, operation = Client(), Operation()
    running = asyncio.create_task(run_while_connected(client.request, operation.run()))
    await operation.has_begun.wait()
    client.leaves.set()
    assert await running is None
    assert operation.has_ended.is_set()


async def test_operation_is_cancelled_with_its_request() -> None:
    client, operation = Client(), Operation()
    running = asyncio.create_task(run_while_connected(client.request, operation.run()))
    await operation.has_begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert operation.has_ended.is_set()
