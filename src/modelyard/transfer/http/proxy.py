"""Connections to the host of a URL: directly or through a proxy, with or without TLS.

``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY`` are honored as in urllib, but loopback addresses are never reached
through a proxy. Proxy credentials are sent for https only.
"""

from base64 import b64encode
from http.client import HTTPConnection, HTTPSConnection
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote
from urllib.request import getproxies, proxy_bypass

from modelyard.transfer.errors import BadAddress
from modelyard.transfer.options import TransferOptions, get_system_tls_context
from modelyard.wire.texts.web_addresses import AddressInvalid, parse_address


def parse_transfer_url(url: str) -> SplitResult:
    """Split and validate a presigned URL; a user name and password in it are removed.

    Raises:
        BadAddress: the URL is unusable.
    """
    try:
        parts = parse_address(url)
    except AddressInvalid as invalid:
        raise BadAddress(f"{invalid} The registry returned it as the download or upload address of the file.") from None
    if not (parts.path + parts.query).isascii():
        raise BadAddress(f"The address at '{parts.hostname}' contains characters that must be percent-encoded.")
    # Credentials would be sent in the Host header; a presigned URL has none.
    return parts._replace(netloc=parts.netloc.rpartition("@")[2])


def create_connection(url: SplitResult, options: TransferOptions) -> HTTPConnection:
    """Create a connection to the host of ``url``, or to its proxy, without opening it.

    Raises:
        BadAddress: the address of the proxy is invalid.
    """
    proxy = _find_proxy(url)
    peer = proxy or url
    timeout_seconds = options.connect_timeout_seconds
    if url.scheme == "http":
        return HTTPConnection(peer.hostname or "", peer.port or 80, timeout=timeout_seconds)
    tls = options.tls or get_system_tls_context()
    connection = HTTPSConnection(peer.hostname or "", peer.port or 443, timeout=timeout_seconds, context=tls)
    if proxy is not None:
        connection.set_tunnel(url.hostname or "", url.port or 443, headers=_build_login_header(proxy))
    return connection


def build_request_target(opened: HTTPConnection, url: SplitResult) -> str:
    """Return the target for the request line: the path, or the whole URL if an http proxy is used."""
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    if url.scheme == "http" and opened.host != url.hostname:
        return f"http://{url.netloc}{path}"
    return path


def _find_proxy(url: SplitResult) -> SplitResult | None:
    """Return the address of the proxy for ``url`` from the environment; None for a direct connection.

    Raises:
        BadAddress: the proxy in the environment is not a valid address.
    """
    host = url.hostname or ""
    setting = getproxies().get(url.scheme)
    if not setting or _is_loopback(host) or proxy_bypass(host):
        return None
    try:
        return parse_address(setting if "://" in setting else f"http://{setting}")
    except AddressInvalid as invalid:
        name = f"{url.scheme.upper()}_PROXY"
        raise BadAddress(f"{invalid} It is the proxy in {name}. Correct or unset {name}.") from None


def _is_loopback(host: str) -> bool:
    """Return whether a host is ``localhost`` or a loopback IP address; names are not resolved."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _build_login_header(proxy: SplitResult) -> dict[str, str]:
    """Return the header with the user name and password in the proxy's address; empty if there are none."""
    if proxy.username is None:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(login.encode()).decode()}"}
