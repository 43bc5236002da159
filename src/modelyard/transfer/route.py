"""How to get to the host of a URL: straight or through a proxy, with TLS or without.

``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY`` are honoured as urllib does, but this machine itself is never reached
through a proxy. A proxy that wants a password is given it for https only.
"""

from base64 import b64encode
from http.client import HTTPConnection, HTTPSConnection
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from modelyard.transfer.failures import TransferFailed
from modelyard.transfer.network import Network, system_tls


def link(url: SplitResult, network: Network) -> HTTPConnection:
    """A connection, not yet opened, that leads to the host of ``url``.

    Raises:
        TransferFailed: ``url`` is not an http or https URL.
    """
    if url.scheme not in {"http", "https"} or url.hostname is None:
        raise TransferFailed("Files are moved over http and https only.")
    proxy = _proxy(url)
    near = proxy or url
    patience = network.connect_seconds
    if url.scheme == "http":
        return HTTPConnection(near.hostname or "", near.port or 80, timeout=patience)
    tls = network.tls or system_tls()
    through = HTTPSConnection(near.hostname or "", near.port or 443, timeout=patience, context=tls)
    if proxy is not None:
        through.set_tunnel(url.hostname, url.port or 443, headers=_proxy_login(proxy))
    return through


def target(opened: HTTPConnection, url: SplitResult) -> str:
    """What stands in the request line: the path, or the whole URL where a proxy has to find the host."""
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    if url.scheme == "http" and opened.host != url.hostname:
        return f"http://{url.netloc}{path}"
    return path


def _proxy(url: SplitResult) -> SplitResult | None:
    host = url.hostname or ""
    setting = getproxies().get(url.scheme)
    if not setting or _is_this_machine(host) or proxy_bypass(host):
        return None
    return urlsplit(setting if "://" in setting else f"http://{setting}")


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _proxy_login(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(login.encode()).decode()}"}
