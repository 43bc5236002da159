"""Redirects, which neither transfers nor calls of the registry follow: who sent one, and where it leads.

Only origins are named, since the query of a signed URL, or of a sign-in page, is a secret.
"""

from urllib.parse import SplitResult, urljoin, urlsplit

from modelyard.transfer.errors import Redirected

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_SHOWN_LENGTH = 100


def build_transfer_redirected(what: str, url: str, location: str | None) -> Redirected:
    """Build the error for a redirected transfer; ``what`` is ``download`` or ``upload``, ``url`` its address."""
    origin, target = _show_origin(urlsplit(url)), _show_target(url, location)
    return Redirected(
        f"The {what} was redirected from {origin} to {target}. If that is a sign-in page or a proxy, let this machine"
        f" reach {origin} without it. If it is the address of the files, the operator sets it: MODELYARD_PUBLIC_URL, or"
        " MODELYARD_STORAGE_PUBLIC_ENDPOINT for a bucket."
    )


def build_registry_redirected(url: str, location: str | None) -> Redirected:
    """Build the error for a call of the registry at ``url`` that was redirected."""
    origin, target = _show_origin(urlsplit(url)), _show_target(url, location)
    return Redirected(
        f"The registry's address {origin} redirects to {target}. If that is the registry, use that address. If it is a"
        f" sign-in page or a proxy, let this machine reach {origin} without it."
    )


def _show_target(url: str, location: str | None) -> str:
    """Return the origin that a ``Location`` leads to, with its path if the origin is the same as that of ``url``."""
    try:
        parts = urlsplit(urljoin(url, location or ""))
        origin = _show_origin(parts)
    except ValueError:
        return "another address"
    if not location or parts.hostname is None:
        return "another address"
    path = parts.path if origin == _show_origin(urlsplit(url)) else ""
    return _sanitize(f"{origin}{path}")


def _show_origin(parts: SplitResult) -> str:
    """Return scheme, host and port of an address, without credentials."""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _sanitize(text: str) -> str:
    """Return text from a server with printable characters only, at most 100."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:_MAX_SHOWN_LENGTH]
