"""Requests to the machine's modelyard agent, over a Unix socket that only the user can open."""

import asyncio
import json
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

SOCKET_SETTING = "MODELYARD_AGENT_SOCKET"
# Written into the package's folder by `modelyard agent install-extension`.
CONFIG_NAME = "agent.json"
MAX_RESPONSE_BYTES = 32 * 1024 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=90, sock_connect=5)
_HINT = "Start it with `modelyard agent run`, then `modelyard agent install-extension` tells ComfyUI where it is."


class AgentUnavailableError(Exception):
    """The agent cannot be reached; the text says why and what to do."""


@dataclass(frozen=True)
class AgentResponse:
    """A response of the agent, passed on to the page."""

    status: int
    content_type: str
    body: bytes


def find_socket(folder: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the agent's socket: from the setting, ``agent.json``, or the one in the user's state folder.

    Raises:
        AgentUnavailableError: none is named, and the state folder has none or several, or see ``_follow_link``.
    """
    if named := environment.get(SOCKET_SETTING) or _read_config(folder / CONFIG_NAME):
        return _follow_link(Path(named))
    state = Path(environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    sockets = sorted(state.glob("modelyard/agents/*/bridge/agent.sock"))
    if len(sockets) == 1:
        return _follow_link(sockets[0])
    several = "Several modelyard agents have run here" if sockets else "No modelyard agent has run here"
    raise AgentUnavailableError(f"{several}. {_HINT}")


def _follow_link(socket: Path) -> Path:
    """Return where a link leads; other paths unchanged. The agent makes a link if the path is too long for a socket.

    After a reboot, the folders that it leads to are gone until the agent runs, and others may create them.

    Raises:
        AgentUnavailableError: other users can open the folders there, so that one of them might listen.
    """
    if sys.platform == "win32" or not socket.is_symlink():
        return socket
    target = socket.parent / socket.readlink()
    try:
        for folder in (target.parent.parent, target.parent):
            _check_is_private(folder)
        if target.is_symlink():
            raise AgentUnavailableError(f'"{target}" is not a socket. {_HINT}')
    except OSError as error:
        raise AgentUnavailableError(f"This machine's modelyard agent cannot be reached. {_HINT}") from error
    return target


def _check_is_private(folder: Path) -> None:
    """Check that only this user has access to a folder.

    Raises:
        AgentUnavailableError: it is another user's, a link, or open to others.
        OSError: it cannot be read.
    """
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise AgentUnavailableError(f'"{folder}" is not a folder that only this user can open. {_HINT}')


def _read_config(file: Path) -> str | None:
    """Return the socket's path that the file names; None if there is no file.

    Raises:
        AgentUnavailableError: the file is not what `install-extension` writes.
    """
    try:
        socket = json.loads(file.read_text(encoding="utf-8"))["socket"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AgentUnavailableError(f"{CONFIG_NAME} of modelyard-bridge cannot be read. {_HINT}") from error
    if not isinstance(socket, str):
        raise AgentUnavailableError(f"{CONFIG_NAME} of modelyard-bridge names no socket. {_HINT}")
    return socket


async def call_agent(socket: Path, method: str, path: str, body: bytes | None = None) -> AgentResponse:
    """Send one request, with JSON as its body if there is one, and return the agent's response, whatever its status.

    Raises:
        AgentUnavailableError: nothing listens on the socket, it did not answer in time, or too much.
    """
    if not hasattr(asyncio.get_running_loop(), "create_unix_connection"):
        raise AgentUnavailableError("The modelyard extension is not available on Windows yet.")
    headers = {"Content-Type": "application/json"} if body is not None else {}
    try:
        connector = aiohttp.UnixConnector(str(socket))
        async with (
            aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as session,
            session.request(
                method, f"http://agent{path}", data=body, headers=headers, allow_redirects=False
            ) as response,
        ):
            content = await _read_bounded(response)
            return AgentResponse(response.status, response.content_type, content)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        reason = "did not answer in time" if isinstance(error, TimeoutError) else "cannot be reached"
        raise AgentUnavailableError(f"This machine's modelyard agent {reason}. {_HINT}") from error


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    """Read a response's body.

    Raises:
        AgentUnavailableError: it is longer than ``MAX_RESPONSE_BYTES``.
    """
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > MAX_RESPONSE_BYTES:
            raise AgentUnavailableError("The modelyard agent sent too long a response.")
        parts.append(part)
    return b"".join(parts)
