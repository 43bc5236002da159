"""The address of a registry, as people type it."""

from urllib.parse import urlsplit

from modelyard.transfer.failures import BadAnswer

API_PREFIX = "/api/v1"


class AddressRefused(ValueError):
    """This is no address of a registry."""


def checked_url(url: str) -> str:
    """The address without what people paste along: a trailing slash, the API prefix, blanks.

    Raises:
        AddressRefused: no http or https address, or one with a password, query or fragment in it.
    """
    text = url.strip().rstrip("/").removesuffix(API_PREFIX).rstrip("/")
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise AddressRefused(f"'{url}' is no address of a registry. Write it like http://models.example:8400.")
    if parts.username is not None or parts.query or parts.fragment:
        raise AddressRefused("Write the registry's address without a name, password, query or fragment.")
    return text


def is_open_to_listeners(url: str) -> bool:
    """Whether what goes there crosses a network that others can listen to."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "http" and host not in {"localhost", "::1"} and not host.startswith("127.")


def checked_download(url: str, registry: str) -> str:
    """The address of bytes as a registry named it: what was asked for by https is not fetched in the open.

    Raises:
        BadAnswer: it is plain http, and the registry is not.
    """
    if registry.startswith("https:") and urlsplit(url).scheme != "https":
        raise BadAnswer(f"{registry} sends its bytes by plain http, though it is asked by https. Nothing is fetched.")
    return url
