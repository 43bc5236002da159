"""Which hosts and ports outbound requests may reach. Pure."""

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address

import httpx2

from modelyard.server.outbound.addresses import IpAddress, is_allowed
from modelyard.server.outbound.errors import AddressRefused

HTTPS_PORT = 443
_DEFAULT_PORTS = {"http": 80, "https": HTTPS_PORT}
MAX_URL_LENGTH = 2000
MAX_HOST_LENGTH, MAX_LABEL_LENGTH = 253, 63
_number_like = re.compile(r"[0-9][0-9a-fA-FxX.]*")
# By RFC 6761 and RFC 8375, and by custom.
_INTERNAL_DOMAINS = (
    *(".localhost", ".local", ".internal", ".home.arpa", ".test", ".invalid"),
    *(".svc", ".lan", ".intranet", ".corp", ".home", ".localdomain"),
)
_proxied_name = re.compile(r"[a-z0-9._-]+")
_entry = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True)
class Target:
    """A host and port that may be reached, and whether the operator lists them."""

    host: str
    port: int
    is_listed: bool


@dataclass(frozen=True)
class OutboundPolicy:
    """The hosts that may be reached: ``listed`` ones with http or https, all others with https on ``public_port``."""

    listed: frozenset[tuple[str, int]] = field(default_factory=frozenset)
    public_port: int = HTTPS_PORT

    def check(self, url: httpx2.URL) -> Target:
        """Return the target of a URL.

        Raises:
            AddressRefused: the scheme or port is not allowed for the host, or the URL has a password.
        """
        if url.scheme not in _DEFAULT_PORTS or not url.host:
            raise AddressRefused(f"'{show_url(url)}' is no https address.")
        if url.userinfo:
            raise AddressRefused("Addresses with a user name or password are not used.")
        host, port = get_host_and_port(url)
        is_listed = (host, port) in self.listed
        if not is_listed and url.scheme != "https":
            raise AddressRefused(f"'{show_url(url)}' is not encrypted. Use an https address.")
        if not is_listed and port != self.public_port:
            raise AddressRefused(
                f"Port {port} of '{host}' is not used, only {self.public_port}, unless the operator lists the host."
            )
        return Target(host, port, is_listed)


def check_proxied(target: Target) -> None:
    """Check a host that a proxy resolves, and not this registry: an address as such, a name by its domain.

    Names of one label, and of domains that are inside networks (by RFC 6761, RFC 8375 or custom), have to be listed.
    Where other names lead is for the proxy to check. Names with other characters than hosts have are refused, since the
    proxy may decode them.

    Raises:
        AddressRefused: the host is none of these.
    """
    address = _find_address(target.host)
    if not _proxied_name.fullmatch(target.host) and not _is_ipv6_address(target.host):
        raise AddressRefused(f"'{target.host}' has characters that no host has.")
    is_public = _is_public_name(target.host) if address is None else is_allowed(address, is_listed=target.is_listed)
    if not is_public and not (address is None and target.is_listed):
        raise AddressRefused(f"'{target.host}' is not public, and is not requested unless the operator lists it.")


def _find_address(host: str) -> IpAddress | None:
    """Return the address that a host is, in any spelling that a resolver takes; None for a name."""
    text = host.strip("[]").partition("%")[0]
    try:
        return ip_address(text)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(text)) if _number_like.fullmatch(text) else None
    except OSError:
        return None


def _is_ipv6_address(host: str) -> bool:
    """Return whether a host is an IPv6 address, without a scope."""
    try:
        IPv6Address(host.strip("[]"))
    except AddressValueError:
        return False
    return "%" not in host


def _is_public_name(host: str) -> bool:
    """Return whether a name may be of a public host: its last label is no number, and no domain of a network."""
    labels = host.split(".")
    return len(labels) > 1 and not _number_like.fullmatch(labels[-1]) and not host.endswith(_INTERNAL_DOMAINS)


def parse_url(text: str) -> httpx2.URL:
    """Parse a URL, with the parser that also sends the request, so that what is checked is what is requested.

    Raises:
        AddressRefused: it is too long, has control characters, backslashes or spaces, or is no URL.
    """
    if len(text) > MAX_URL_LENGTH or "\\" in text or any(not letter.isprintable() or letter == " " for letter in text):
        raise AddressRefused("The address is too long, or has characters that no address has.")
    try:
        return httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError):
        raise AddressRefused("This is not a valid address.") from None


def get_host_and_port(url: httpx2.URL) -> tuple[str, int]:
    """Return the host of an http or https URL, as it is compared, and the port."""
    return _normalize_host(url.raw_host.decode("ascii")), url.port or _DEFAULT_PORTS[url.scheme]


def find_host_and_port(url: httpx2.URL) -> tuple[str, int] | None:
    """Return the host and port of a URL; None if it is no http or https URL."""
    return get_host_and_port(url) if url.scheme in _DEFAULT_PORTS and url.host else None


def parse_listed_hosts(entries: Iterable[str]) -> frozenset[tuple[str, int]]:
    """Parse the operator's list: ``host`` (port 443), ``host:port`` or ``[IPv6]:port``.

    Raises:
        ValueError: an entry is neither.
    """
    return frozenset(_parse_entry(entry) for entry in entries)


def _parse_entry(entry: str) -> tuple[str, int]:
    """Parse an entry of the operator's list; raises as ``parse_listed_hosts``."""
    found = _entry.fullmatch(entry)
    port = int(found["port"] or HTTPS_PORT) if found else 0
    if found is None or port not in range(1, 65536) or not _is_host(found):
        raise ValueError(f"'{entry}' is not a host with an optional port.")
    return _normalize_host(found["address"] or found["name"]), port


def _is_host(found: re.Match[str]) -> bool:
    """Return whether the host of an entry is an IPv6 address, or a name with labels as DNS has them (RFC 1035)."""
    if found["address"] is None:
        name = found["name"].removesuffix(".")
        return len(name) <= MAX_HOST_LENGTH and all(1 <= len(label) <= MAX_LABEL_LENGTH for label in name.split("."))
    try:
        IPv6Address(found["address"])
    except AddressValueError:
        return False
    return True


def _normalize_host(host: str) -> str:
    """Return a host in lower case, without the dot of the root zone."""
    return host.lower().rstrip(".")


def show_host(url: httpx2.URL) -> str:
    """Return the host of an http or https URL as people list it."""
    return format_host(*get_host_and_port(url))


def format_host(host: str, port: int) -> str:
    """Return a host as people list it: with its port unless that is 443."""
    name = f"[{host}]" if ":" in host else host
    return name if port == HTTPS_PORT else f"{name}:{port}"


def show_url(url: httpx2.URL) -> str:
    """Return a URL for messages, without user, query and fragment, which may have secrets; cut to 100 characters."""
    shown = str(url.copy_with(userinfo=b"", query=None, fragment=None))
    return shown if len(shown) <= 100 else f"{shown[:99]}…"
