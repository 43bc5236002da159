"""Signed URLs of a bucket (SigV4 in the query): who holds one may do exactly what it says, until it expires.

Botocore signs; its client does not build the request, since that takes longer than signing, and ``presign`` of one
upload signs up to a thousand parts. Every header that is handed in is signed as a header, and none moves to the query,
so a client that leaves one out or changes it is refused by the store.
"""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest

from modelyard.server.storage.blob_store import SignedRequest

CHECKSUM_HEADER = "x-amz-checksum-sha256"


def put_headers(size: int, sha256: str | None) -> dict[str, str]:
    """What whoever writes a whole object must send: so many bytes, of this digest, and only if nothing is there."""
    headers = {"Content-Length": str(size), "If-None-Match": "*"}
    if sha256 is not None:
        headers[CHECKSUM_HEADER] = base64.b64encode(bytes.fromhex(sha256)).decode("ascii")
    return headers


class S3Signer:
    """Signs for one endpoint; ``base_url`` is that of the bucket, without a slash at its end."""

    def __init__(self, base_url: str, region: str, credentials: Callable[[], Any]) -> None:
        self.base_url = base_url
        self._region = region
        # Credentials of a machine's role are renewed now and then, so they are asked for each time.
        self._credentials = credentials

    def sign(
        self,
        method: str,
        name: str,
        expires: timedelta,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> SignedRequest:
        """A request for the object of this name in the bucket."""
        url = f"{self.base_url}/{quote(name)}"
        if query:
            url = f"{url}?{urlencode(query, quote_via=quote)}"
        request = AWSRequest(method, url, dict(headers or {}))
        seconds = int(expires.total_seconds())
        S3SigV4QueryAuth(self._credentials(), "s3", self._region, expires=seconds).add_auth(request)
        return SignedRequest(
            method, str(request.url), dict(headers or {}), datetime.now(UTC) + timedelta(seconds=seconds)
        )
