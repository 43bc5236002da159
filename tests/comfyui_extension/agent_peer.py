"""A peer on the agent's socket that records requests, and answers them as a test wants."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse, web

Post = Callable[..., Awaitable[ClientResponse]]


class AgentPeer:
    """Listens on a Unix socket, records requests, and answers each with ``response``."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.requests: list[tuple[str, str, Any]] = []
        self.response: Callable[[], web.StreamResponse] = lambda: web.json_response({"ok": True})
        self.arrived = asyncio.Semaphore(0)
        # Responses are sent while it is set.
        self.is_answering = asyncio.Event()
        self.is_answering.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append((request.method, request.path, _parse(body)))
        self.arrived.release()
        await self.is_answering.wait()
        return self.response()


def _parse(body: bytes) -> Any:
    """Return the value of a JSON body, None for an empty one, and others as they are."""
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return body
