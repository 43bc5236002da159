"""The base URL of links, as a route parameter."""

import ipaddress
import re
import socket
from functools import cache
from typing import Annotated

from fastapi import Depends, Request

from modelyard.server.http.params import get_settings
from modelyard.server.settings import Settings
from modelyard.wire.problems import HostNotAllowed

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")


async def get_public_url(request: Request) -> str:
    """Return the base URL for links, without a trailing slash.

    Without ``public_url`` in the settings it is the request's Host, if that is an IP address or a name of this machine.

    Raises:
        HostNotAllowed: no public URL is set, and the Host is another name; a client can send any Host.
    """
    settings = get_settings(request)
    if settings.public_url:
        return settings.public_url
    host = request.headers.get("host", "")
    match = _HOST.fullmatch(host)
    if match is None or not _is_this_machine(match["name"].strip("[]").lower()):
        raise HostNotAllowed(
            "The registry cannot build links for this Host. Ask the operator to set MODELYARD_PUBLIC_URL to the "
            "address that you use."
        )
    return f"{request.url.scheme}://{host}"


def find_own_url(settings: Settings, port: int) -> str:
    """Return the base URL for a person at this machine: the public one if it is set, or that of this port."""
    if settings.public_url:
        return settings.public_url
    every_address = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing listens here
    host = bracket_host(every_address.get(settings.host, settings.host))
    return f"{'https' if settings.tls_cert else 'http'}://{host}:{port}"


def bracket_host(host: str) -> str:
    """Return the host as URLs have it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


@cache
def _get_machine_names() -> frozenset[str]:
    """Return ``localhost`` and the names of this machine, in lower case; looked up once."""
    return frozenset({"localhost", socket.gethostname().lower(), socket.getfqdn().lower()})


def _is_this_machine(name: str) -> bool:
    """Return whether the name is any IP address or one of this machine's names; names are in lower case."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in _get_machine_names()
    return True


PublicUrl = Annotated[str, Depends(get_public_url)]
