"""A client of the agent's local API, as the extension is one."""

import asyncio
import http.client
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.agent.agent_machine import AgentMachine, wait_until
from tests.waiting import PATIENCE_SECONDS, wait_until_async


@dataclass(frozen=True)
class LocalAnswer:
    """A response of the local API."""

    status: int
    content_type: str
    body: bytes

    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document


class _UnixConnection(http.client.HTTPConnection):
    """An HTTP connection to a socket in the file system."""

    def __init__(self, path: Path) -> None:
        super().__init__("agent", timeout=PATIENCE_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE_SECONDS)
        self.sock.connect(str(self._path.resolve()))


def get_socket(machine: AgentMachine) -> Path:
    return machine.start_options.folder.local_socket


async def wait_for_answer(
    machine: AgentMachine, path: str, body: object, is_right: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Repeat a request until its answer is right, and return that.

    Raises:
        AssertionError: it did not become right in time; the message is the last one.
    """
    method = "GET" if body is None else "POST"
    answer: dict[str, Any] = {}

    async def is_answer_right() -> bool:
        nonlocal answer
        answer = (await call(machine, method, path, body)).json()
        return is_right(answer)

    await wait_until_async(is_answer_right, describe=lambda: answer)
    return answer


async def wait_for_socket(machine: AgentMachine) -> None:
    """Wait until the local API listens and the agent has reached its registry."""
    await wait_until(lambda: get_socket(machine).is_socket())
    await wait_for_answer(machine, "/v1/status", None, lambda status: bool(status["is_registry_reachable"]))


async def call(machine: AgentMachine, method: str, path: str, body: object = None) -> LocalAnswer:
    """Send a request to the machine's agent; bytes as they are, anything else as JSON."""
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    return await asyncio.to_thread(_send, get_socket(machine), method, path, content)


def _send(path: Path, method: str, url: str, content: bytes | None) -> LocalAnswer:
    connection = _UnixConnection(path)
    try:
        headers = {} if content is None else {"Content-Type": "application/json"}
        connection.request(method, url, content, headers)
        response = connection.getresponse()
        return LocalAnswer(response.status, response.headers.get_content_type(), response.read())
    finally:
        connection.close()


def send_raw(path: Path, request: bytes) -> bytes:
    """Send bytes, and return everything that is answered before the connection ends."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE_SECONDS)
        connection.connect(str(path))
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer
