"""Signed URLs of the local store: a holder may do exactly what the URL says, until it expires.

    /blobs/<key>?expires=<unix seconds>[&name=…][&part=…][&sha256=…][&size=…][&upload=…]&signature=<base64url>

The signature is HMAC-SHA256 over the method, the key and the query as it is spelled, before anything is decoded. So
exactly one spelling of a URL is valid, the one that ``sign`` writes: parameters cannot be reordered, repeated, added
or encoded differently.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode

CHECKSUM_HEADER = "x-amz-checksum-sha256"
LEEWAY_SECONDS = 60
_PURPOSE = b"modelyard blob url 1\n"
_NAMES = frozenset({"expires", "name", "part", "sha256", "size", "upload"})


class WrongSignature(Exception):
    """The URL was not signed by this registry, or was changed."""


class Expired(Exception):
    """The URL was signed by this registry and has expired."""


class Signer:
    """Signs and checks URLs with one secret. A URL stays valid for 60 s beyond its expiry, since clocks differ."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 32:
            raise ValueError("A signing secret must have at least 32 bytes.")
        self._secret = secret

    def sign(self, method: str, key: str, signed: Mapping[str, str]) -> str:
        """Return the query of the only valid URL for this method, key and parameters.

        Raises:
            ValueError: a parameter has an unknown name, or ``expires`` (seconds since 1970) is missing.
        """
        query = _canonical(signed)
        return f"{query}&signature={self._signature(method, key, query)}"

    def check(self, method: str, key: str, raw_query: bytes, now: float) -> dict[str, str]:
        """Return the parameters of a URL that was signed here, decoded once.

        Raises:
            WrongSignature: any byte differs from what ``sign`` wrote, or it was for another method or key.
            Expired: it expired longer ago than the leeway.
        """
        try:
            query, _, signature = raw_query.decode("ascii").rpartition("&signature=")
            signed = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict"))
        except ValueError:
            raise WrongSignature from None
        expected = self._signature(method, key, query)
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise WrongSignature
        if now > int(signed["expires"]) + LEEWAY_SECONDS:
            raise Expired
        return signed

    def _signature(self, method: str, key: str, query: str) -> str:
        """Return the signature of a method, key and query."""
        # No field contains a line break (the query is percent-encoded), so two requests never have the same text.
        text = f"{method}\n{key}\n{query}".encode()
        mac = hmac.digest(self._secret, _PURPOSE + text, hashlib.sha256)
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode("ascii")


def _canonical(signed: Mapping[str, str]) -> str:
    """Return the parameters sorted by name and percent-encoded in one way.

    Raises:
        ValueError: an unknown name, or no expiry.
    """
    if not signed.keys() <= _NAMES or not re.fullmatch("[0-9]{1,12}", signed.get("expires", "")):
        raise ValueError("These parameters cannot be signed.")
    return urlencode(sorted(signed.items()), quote_via=quote, safe="")
