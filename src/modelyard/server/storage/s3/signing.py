"""Presigned URLs of a bucket (SigV4 in the query): a holder may do exactly what the URL says, until it expires.

Botocore signs, but its client does not build the request: that takes longer than signing, and one presign request
signs up to a thousand parts. Every given header is signed as a header and none moves to the query, so the store
refuses a client that omits or changes one.
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


def build_put_headers(size: int, sha256: str | None) -> dict[str, str]:
    """Return the headers of a PUT of a whole object: length, digest, and the condition that the key is unused."""
    headers = {"Content-Length": str(size), "If-None-Match": "*"}
    if sha256 is not None:
        headers[CHECKSUM_HEADER] = base64.b64encode(bytes.fromhex(sha256)).decode("ascii")
    return headers


class S3Signer:
    """A signer for one endpoint; ``base_url`` is the URL of the bucket, without a trailing slash."""

    def __init__(self, base_url: str, region: str, credentials: Callable[[], Any]) -> None:
        self.base_url = base_url
        self._region = region
        # Credentials of an instance role are renewed from time to time, so they are looked up each time.
        self._credentials = credentials

    def sign(
        self,
        method: str,
        name: str,
        expires: timedelta,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> SignedRequest:
        """Return a presigned request for the object of this name in the bucket; nothing is sent.

        Raises:
            StoreUnavailable: there are no credentials.
        """
        url = f"{self.base_url}/{quote(name)}"
        if query:
            url = f"{url}?{urlencode(query, quote_via=quote)}"
        request = AWSRequest(method, url, dict(headers or {}))
        seconds = int(expires.total_seconds())
        S3SigV4QueryAuth(self._credentials(), "s3", self._region, expires=seconds).add_auth(request)
        return SignedRequest(
            method, str(request.url), dict(headers or {}), datetime.now(UTC) + timedelta(seconds=seconds)
        )
