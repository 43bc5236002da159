"""Validation of http addresses from users, environment variables and registries."""

import re
from urllib.parse import SplitResult, urlsplit

_SCHEMES = frozenset({"http", "https"})
_MAX_SHOWN_LENGTH = 100
# `urlsplit` removes newlines and tabs inside an address, so the checked address would differ from the used one.
_blank_pattern = re.compile(r"[\x00-\x20\x7f\u0080-\u00a0\u2028\u2029]")


class AddressInvalid(ValueError):
    """An address is unusable. The message names only its host, since the query may contain a secret."""


def parse_address(url: str) -> SplitResult:
    """Split and validate an http or https address; a non-ASCII host is returned in its DNS form (IDNA).

    User name, password, path and query are kept and not checked, except for blanks.

    Raises:
        AddressInvalid: it has another scheme, no host, blanks, or an invalid host or port.
    """
    if _blank_pattern.search(url):
        raise AddressInvalid(f"The address of {_quote_host(url)} contains blanks or control characters.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        # As the resolver does: raises for labels that are empty or longer than 63 bytes.
        spelled = host.encode("idna").decode("ascii")
    except ValueError:
        raise AddressInvalid(f"{_quote_host(url)} is not a host name or IP address with an optional port.") from None
    if parts.scheme not in _SCHEMES:
        raise AddressInvalid(f"The address of {_quote_host(url)} does not begin with http:// or https://.")
    if not host or port == 0 or _blank_pattern.search(spelled):
        raise AddressInvalid(f"The address of {_quote_host(url)} has no host and port that can be connected to.")
    return parts if host.isascii() else parts._replace(netloc=_replace_host(parts, spelled))


def _replace_host(parts: SplitResult, host: str) -> str:
    """Return the network location of ``parts`` with another host; user name, password and port stay."""
    login, at, _ = parts.netloc.rpartition("@")
    port = "" if parts.port is None else f":{parts.port}"
    return f"{login}{at}{host}{port}"


def _quote_host(url: str) -> str:
    """Return the host and port of an address for messages, quoted, without credentials, path and query.

    The address may be invalid. Unprintable characters are replaced, and only 100 characters are shown.
    """
    rest = url.partition("://")[2] or url
    host = re.split(r"[/?#\\]", rest, maxsplit=1)[0].rpartition("@")[2]
    clean = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in host)
    return f"'{clean[:_MAX_SHOWN_LENGTH]}{'…' if len(clean) > _MAX_SHOWN_LENGTH else ''}'"
