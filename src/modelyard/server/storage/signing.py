"""Signed URLs of the local store: who holds one may do exactly what it says, until it expires.

    /blobs/<key>?expires=<unix seconds>[&name=…][&part=…][&sha256=…][&size=…][&upload=…]&signature=<base64url>

The signature is HMAC-SHA256 over the method, the key and the query as it is spelled, before anything is decoded. So
one spelling of a URL is valid, the one that ``sign`` writes: no parameter reordered, repeated, added or encoded anew.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode

LEEWAY_SECONDS = 60
_PURPOSE = b"modelyard blob url 1\n"
_NAMES = frozenset({"expires", "name", "part", "sha256", "size", "upload"})


class WrongSignature(Exception):
    """The URL was not made by us, or not like this."""


class Expired(Exception):
    """The URL was made by us, and is too old."""


class Signer:
    """Signs and checks with one secret. A URL stays valid for 60 s longer than it says, since clocks differ."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 32:
            raise ValueError("A signing secret has at least 32 bytes.")
        self._secret = secret

    def sign(self, method: str, key: str, signed: Mapping[str, str]) -> str:
        """The query of the one valid URL for this method, key and parameters; ``expires`` must be among them."""
        query = _canonical(signed)
        return f"{query}&signature={self._signature(method, key, query)}"

    def check(self, method: str, key: str, raw_query: bytes, now: float) -> dict[str, str]:
        """The parameters of a URL that we signed, decoded once.

        Raises:
            WrongSignature: any byte differs from what ``sign`` wrote, or it was for another method or key.
            Expired: its time is over by more than the leeway.
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
        # No field holds a line break (the query is percent-encoded), so two different requests never share one text.
        text = f"{method}\n{key}\n{query}".encode()
        mac = hmac.digest(self._secret, _PURPOSE + text, hashlib.sha256)
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode("ascii")


def _canonical(signed: Mapping[str, str]) -> str:
    """The parameters by name, percent-encoded in one way.

    Raises:
        ValueError: an unknown name, or no expiry.
    """
    if not signed.keys() <= _NAMES or not re.fullmatch("[0-9]{1,12}", signed.get("expires", "")):
        raise ValueError("These parameters cannot be signed.")
    return urlencode(sorted(signed.items()), quote_via=quote, safe="")
