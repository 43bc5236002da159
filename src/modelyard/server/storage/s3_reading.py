"""Bytes out of a bucket for this process's own eyes: one range, in pieces, each byte counted."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict
from botocore.exceptions import ConnectionClosedError

from modelyard.server.storage.blob_store import OtherVersion, StoreUnavailable
from modelyard.server.storage.s3_bucket import Connections
from modelyard.server.storage.s3_errors import Refusal, refusal_in, store_errors

PIECE = 1 << 20
OTHER_STRETCH = "OtherStretch"
_LIFE = timedelta(minutes=5)
_OTHER = "Other bytes are stored under this key than before."


def read(connections: Connections, name: str, start: int, length: int, version: str | None) -> Iterator[bytes]:
    """See ``BlobStore.read``: the request is answered when this returns, and the pieces follow."""
    if length < 1:
        return iter(())
    headers = {"Range": f"bytes={start}-{start + length - 1}", "Accept-Encoding": "identity"}
    if version is not None:
        headers["If-Match"] = version
    try:
        with connections.asking():
            answer = _answered(connections, name, headers)
    except Refusal as refusal:
        if refusal.status == 416:
            return iter(())
        if refusal.status == 412:
            raise OtherVersion(_OTHER) from None
        raise refusal.as_error() from None
    if version is not None and answer.headers.get("ETag") != version:
        # Some stores do not look at the condition.
        answer.raw.close()
        raise OtherVersion(_OTHER)
    return _pieces(answer.raw, _promised(answer, start, length))


def _answered(connections: Connections, name: str, headers: dict[str, str]) -> AWSResponse:
    """The answer to a GET, its body not yet read.

    Raises:
        Refusal: the store said no.
    """
    url = connections.signer.sign("GET", name, _LIFE).url
    request = AWSPreparedRequest("GET", url, HeadersDict(headers), None, stream_output=True)
    try:
        answer = connections.http.send(request)
    except ConnectionClosedError:
        # A kept connection may have been closed at the other end in the very moment that it was used again.
        answer = connections.http.send(request)
    if answer.status_code in {200, 206}:
        return answer
    raise refusal_in(answer.status_code, answer.content)


def _promised(answer: AWSResponse, start: int, length: int) -> int:
    """How many bytes the answer holds, if it is an answer to what was asked.

    Raises:
        StoreUnavailable: it is another stretch.
    """
    size = int(answer.headers.get("Content-Length", -1))
    whole = answer.status_code == 200 and start == 0
    right = answer.headers.get("Content-Range", "").startswith(f"bytes {start}-{start + size - 1}/")
    if not 0 <= size <= length or not (whole or right):
        answer.raw.close()
        raise StoreUnavailable(
            "The bucket answered with another stretch of the file than was asked for.", code=OTHER_STRETCH
        )
    return size


def _pieces(raw: Any, size: int) -> Iterator[bytes]:
    left = size
    try:
        while left > 0:
            with store_errors():
                piece: bytes = raw.read(min(PIECE, left), decode_content=False)
            if not piece:
                raise StoreUnavailable(f"The bucket broke off {left} bytes before the end.")
            left -= len(piece)
            yield piece
    finally:
        with suppress(OSError):
            # A connection is used again only when nothing of this answer is left on it.
            raw.release_conn() if left == 0 else raw.close()
