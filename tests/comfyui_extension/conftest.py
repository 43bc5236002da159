"""The extension's routes in a web application like ComfyUI's, and a peer on the agent's socket."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from modelyard_bridge.agent_connection import SOCKET_SETTING
from modelyard_bridge.routes import add_routes
from tests.comfyui_extension.agent_peer import AgentPeer, Post


@pytest.fixture
async def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AgentPeer]:
    peer = AgentPeer(tmp_path / "agent.sock")
    monkeypatch.setenv(SOCKET_SETTING, str(peer.socket))
    app = web.Application(client_max_size=2**27)
    app.router.add_route("*", "/{path:.*}", peer.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(peer.socket)).start()
    yield peer
    await runner.cleanup()


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    """Return a function that sends a request of ComfyUI's page; headers that are None are left out."""
    table = web.RouteTableDef()
    add_routes(table)
    app = web.Application(client_max_size=2**27)
    app.add_routes(table)
    async with TestClient(TestServer(app)) as client:
        own = {"X-Modelyard": "1", "Content-Type": "application/json", "Origin": str(client.make_url("")).rstrip("/")}

        async def send(name: str, body: Any = None, **headers: str | None) -> ClientResponse:
            changed = own | {key.replace("_", "-"): value for key, value in headers.items()}
            sent = {key: value for key, value in changed.items() if value is not None}
            data = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
            return await client.post(f"/modelyard/{name}", data=data, headers=sent)

        yield send
