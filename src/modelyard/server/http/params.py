"""Route parameters: ids in the path, the client's address, and the settings."""

import ipaddress
import re
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request

from modelyard.server.encryption import SecretCipher
from modelyard.server.settings import Settings
from modelyard.wire.problems import Problem

UUID_SHAPE = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

# A string for the framework, so that a malformed UUID is answered as a missing object and not as an invalid field.
PathId = Annotated[str, Path(json_schema_extra={"format": "uuid"}, examples=["0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10"])]


def parse_uuid(text: str, missing: Problem) -> UUID:
    """Return the UUID that the text is, with hyphens and in any case; raise ``missing`` if it is none."""
    if UUID_SHAPE.fullmatch(text) is None:
        raise missing
    return UUID(text)


async def _get_client_address(request: Request) -> str:
    """Return the client's address, see ``get_client_address``; async, so that no thread is needed for it."""
    return get_client_address(request)


def get_client_address(request: Request) -> str:
    """Return the client's IPv4 address or IPv6 /64 network; another host unchanged, and ``""`` if it is unknown."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    # One machine usually has a whole IPv6 /64, so its addresses count as one.
    return host if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))


# The address of the client, for rate limits.
ClientAddress = Annotated[str, Depends(_get_client_address)]


MAX_USER_AGENT = 255


async def _get_user_agent(request: Request) -> str | None:
    """Return the request's ``User-Agent``, cut to 255 characters; None without one."""
    return request.headers.get("user-agent", "").strip()[:MAX_USER_AGENT] or None


# The program that sends the request, as it names itself; not in the OpenAPI document, since every program sends it.
UserAgent = Annotated[str | None, Depends(_get_user_agent)]


def get_settings(request: Request) -> Settings:
    """Return the settings of the application that serves this request."""
    settings: Settings = request.app.state.settings
    return settings


async def _get_settings(request: Request) -> Settings:
    """Return the settings, as a dependency."""
    return get_settings(request)


CurrentSettings = Annotated[Settings, Depends(_get_settings)]


async def get_cipher(request: Request) -> SecretCipher | None:
    """Return the cipher for secrets that the registry has to use; None if the operator has set no key."""
    cipher: SecretCipher | None = request.app.state.resources.cipher
    return cipher


CurrentCipher = Annotated[SecretCipher | None, Depends(get_cipher)]
