"""Check and normalize the addresses of registries and of downloads."""

from urllib.parse import quote
from uuid import UUID

from modelyard.transfer.errors import BadResponse
from modelyard.transfer.http import proxy
from modelyard.wire import problems
from modelyard.wire.texts.web_addresses import AddressInvalid, parse_address

API_PREFIX = "/api/v1"


class AddressRefused(ValueError):
    """A text is not a usable address of a registry or of a ComfyUI."""


def normalize_url(url: str) -> str:
    """Return the address without surrounding blanks, trailing slashes and a final API prefix; otherwise unchanged.

    Raises:
        AddressRefused: it is not an http or https address, or has a user name, password, query or fragment.
    """
    text = url.strip().rstrip("/").removesuffix(API_PREFIX).rstrip("/")
    try:
        parts = parse_address(text)
    except AddressInvalid as invalid:
        raise AddressRefused(f"{invalid} Write an address like http://models.example:8400.") from None
    if parts.username is not None or parts.query or parts.fragment:
        raise AddressRefused("Write the address without a user name, password, query or fragment.")
    return text


def build_path(*segments: str | int | UUID) -> str:
    """Return the path of an API call from its segments, each percent-encoded.

    Raises:
        InvalidRequest: a segment is empty, "." or "..": the path would be that of another call.
    """
    texts = [str(segment) for segment in segments]
    for text in texts:
        if text in {"", ".", ".."}:
            raise problems.InvalidRequest(f"'{text}' cannot be used as a name or id in a request to the registry.")
    return "/" + "/".join(quote(text, safe=":") for text in texts)


def is_unencrypted_remote(url: str) -> bool:
    """Return whether a valid address is plain http to another computer, so that others on the network can read."""
    return parse_address(url).scheme == "http" and not is_loopback(url)


def is_loopback(url: str) -> bool:
    """Return whether a valid address is reached from this computer only."""
    host = parse_address(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def check_download_url(url: str, registry: str) -> str:
    """Return the download URL of a registry unchanged, if it is usable and not less secure than the registry.

    Raises:
        BadAddress: it is not a usable URL.
        BadResponse: it is plain http although the registry's address is https.
    """
    if proxy.parse_transfer_url(url).scheme != "https" and registry.startswith("https:"):
        raise BadResponse(
            f"{registry} offers its files by plain http although its own address is https. Nothing was downloaded."
            " Its operator has to make the storage available by https."
        )
    return url
