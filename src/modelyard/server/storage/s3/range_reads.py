"""Reads of a bucket's objects by this process: one range, in pieces, with a check of every length."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict
from botocore.exceptions import ConnectionClosedError

from modelyard.server.storage.blob_store import StoreUnavailable, VersionChanged
from modelyard.server.storage.s3.connections import Connections
from modelyard.server.storage.s3.errors import S3Error, parse_error_response, translate_store_errors

PIECE = 1 << 20
WRONG_RANGE = "WrongRange"
_LIFETIME = timedelta(minutes=5)
_OTHER = "The object under this key has changed."


def read_range(connections: Connections, name: str, start: int, length: int, version: str | None) -> Iterator[bytes]:
    """Request a range, and return an iterator over its bytes; see ``BlobStore.read``.

    The head of the response has arrived when this returns. The connection is released when the iterator ends or is
    closed; no place of the call limit is held for the body.

    Raises:
        VersionChanged: the object has another ETag than ``version``.
        StoreError: the bucket refused the request.
    """
    if length < 1:
        return iter(())
    headers = {"Range": f"bytes={start}-{start + length - 1}", "Accept-Encoding": "identity"}
    if version is not None:
        headers["If-Match"] = version
    try:
        with connections.limit_call():
            answer = _request_object(connections, name, headers)
    except S3Error as error:
        if error.status == 416:
            return iter(())
        if error.status == 412:
            raise VersionChanged(_OTHER) from None
        raise error.to_store_error() from None
    if version is not None and answer.headers.get("ETag") != version:
        # Some stores ignore the condition.
        answer.raw.close()
        raise VersionChanged(_OTHER)
    return _read_pieces(answer.raw, _validate_length(answer, start, length))


def _request_object(connections: Connections, name: str, headers: dict[str, str]) -> AWSResponse:
    """Return the response to a GET, with its body unread; after a closed connection, send it once more.

    Raises:
        S3Error: the store refused the request. Other errors of botocore pass through.
    """
    url = connections.signer.sign("GET", name, _LIFETIME).url
    request = AWSPreparedRequest("GET", url, HeadersDict(headers), None, stream_output=True)
    try:
        answer = connections.http.send(request)
    except ConnectionClosedError:
        # The bucket may have closed a kept-alive connection at the moment of its reuse.
        answer = connections.http.send(request)
    if answer.status_code in {200, 206}:
        return answer
    raise parse_error_response(answer.status_code, answer.content)


def _validate_length(answer: AWSResponse, start: int, length: int) -> int:
    """Return the number of bytes of the response, at most ``length``, if it begins at ``start``; else close it.

    Raises:
        StoreUnavailable: it is another range, with the code ``WRONG_RANGE``.
    """
    size = int(answer.headers.get("Content-Length", -1))
    whole = answer.status_code == 200 and start == 0
    right = answer.headers.get("Content-Range", "").startswith(f"bytes {start}-{start + size - 1}/")
    if not 0 <= size <= length or not (whole or right):
        answer.raw.close()
        raise StoreUnavailable("The bucket returned another range of the file than requested.", code=WRONG_RANGE)
    return size


def _read_pieces(raw: Any, size: int) -> Iterator[bytes]:
    """Yield the ``size`` bytes of a body in pieces of at most 1 MiB, then release or close the connection.

    Raises:
        StoreUnavailable: the body ended early or failed.
    """
    left = size
    try:
        while left > 0:
            with translate_store_errors():
                piece: bytes = raw.read(min(PIECE, left), decode_content=False)
            if not piece:
                raise StoreUnavailable(f"The bucket broke off {left} bytes before the end.")
            left -= len(piece)
            yield piece
    finally:
        with suppress(OSError):
            # A connection is reused only when the whole response was read from it.
            raw.release_conn() if left == 0 else raw.close()
