"""Which requests the routes accept: those of ComfyUI's own page, and no others. Pure.

ComfyUI itself accepts requests without ``Origin``, and those of a foreign name that resolves to this machine (DNS
rebinding). The routes do not.
"""

import ipaddress
import os
import socket
from collections.abc import Mapping, Set
from urllib.parse import urlsplit

HEADER = "X-Modelyard"
# Further names of this ComfyUI, for example behind a reverse proxy; separated by commas.
HOSTS_SETTING = "MODELYARD_COMFYUI_HOSTS"


def find_refusal(headers: Mapping[str, str], own_names: Set[str]) -> str | None:
    """Return why a request is refused, or None if it is accepted.

    Args:
        headers: the request's headers, with names in any case.
        own_names: names of this ComfyUI in lower case; IP addresses need not be in it.
    """
    if headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        return "The request's content type is not application/json."
    if headers.get(HEADER) != "1":
        return f"The request lacks the header {HEADER}."
    if headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return "The request comes from another site."
    host = headers.get("Host", "").lower()
    if not is_own_host(host, own_names):
        return f"ComfyUI's address is not known to be its own; {HOSTS_SETTING} adds names."
    if not is_same_origin(headers.get("Origin", ""), host):
        return "The request comes from another origin, or does not name its origin."
    return None


def is_own_host(host: str, own_names: Set[str]) -> bool:
    """Return whether a Host header names an IP address or one of these names.

    An address cannot be rebound: a browser sends it only to pages that were loaded from it.
    """
    try:
        parsed = urlsplit(f"//{host}")
        name, _ = parsed.hostname, parsed.port
    except ValueError:
        return False
    if not name or parsed.netloc != host or "@" in host:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.rstrip(".") in own_names
    return True


def is_same_origin(origin: str, host: str) -> bool:
    """Return whether an Origin header has exactly this host and port. Browsers omit default ports in both."""
    scheme, separator, authority = origin.lower().partition("://")
    return bool(separator) and scheme in ("http", "https") and authority == host


def list_own_names(environment: Mapping[str, str] = os.environ) -> frozenset[str]:
    """Return the names of this machine and those of the setting, in lower case."""
    machine = socket.gethostname().lower()
    added = environment.get(HOSTS_SETTING, "").lower().split(",")
    return frozenset(
        {"localhost", machine, f"{machine.partition('.')[0]}.local"} | {name.strip() for name in added} - {""}
    )
