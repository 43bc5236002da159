"""Copies inside a bucket: in one call, or in parallel ranges for objects beyond the limit of one call."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from modelyard.server.storage.blob_store import StoredObject, StoreUnavailable, VersionChanged
from modelyard.server.storage.s3.connections import Connections, find_object_head
from modelyard.server.storage.s3.errors import S3Error, translate_s3_errors

# The limit of S3 for one copy call.
MAX_COPY_BYTES = 5 << 30
# Stores that copy the bytes respond when they are done, within a timeout: so ranges are smaller than they could be.
_COPY_RANGE_BYTES = 1 << 30
_COPY_THREADS = 8


def copy(connections: Connections, source: str, to: str, stored: StoredObject, max_copy_bytes: int) -> None:
    """Copy this version of an object to another name, replacing an object there; then compare the sizes.

    Objects above ``max_copy_bytes`` are copied in ranges.

    Raises:
        NoSuchKey, VersionChanged
        StoreUnavailable: also if the copy had another size; it was deleted.
    """
    request = {
        "Bucket": connections.bucket.name,
        "Key": to,
        "CopySource": {"Bucket": connections.bucket.name, "Key": source},
        "CopySourceIfMatch": stored.version,
    }
    try:
        with translate_s3_errors():
            if stored.size <= max_copy_bytes:
                connections.slow_client.copy_object(**request)
            else:
                _copy_ranges(connections, request, stored.size, min(max_copy_bytes, _COPY_RANGE_BYTES))
    except S3Error as refusal:
        if refusal.status == 412:
            raise VersionChanged("The object under this key has changed.") from None
        raise refusal.to_store_error() from None
    _verify_copy(connections, to, stored.size)


def _copy_ranges(connections: Connections, request: dict[str, Any], size: int, range_size: int) -> None:
    """Copy in parallel ranges as a multipart upload, which is aborted after an error.

    Raises:
        ClientError, BotoCoreError: not translated.
        StoreUnavailable: the bucket does not copy ranges.
    """
    names = {name: request[name] for name in ("Bucket", "Key")}
    upload = connections.client.create_multipart_upload(**names, ContentType="application/octet-stream")["UploadId"]

    def copy_range(number: int, start: int) -> dict[str, Any]:
        """Copy one range as a part, and return the part as S3 completes it.

        Raises:
            StoreUnavailable: the bucket does not copy ranges.
        """
        copy_source_range = f"bytes={start}-{min(start + range_size, size) - 1}"
        part = connections.slow_client.upload_part_copy(
            **request, UploadId=upload, PartNumber=number, CopySourceRange=copy_source_range
        )
        etag = part.get("CopyPartResult", {}).get("ETag")
        if etag is None:
            raise StoreUnavailable("The bucket does not copy ranges of a file, which a file of this size needs.")
        return {"PartNumber": number, "ETag": etag}

    try:
        with ThreadPoolExecutor(_COPY_THREADS, "s3-copy") as threads:
            starts = range(0, size, range_size)
            parts = list(threads.map(copy_range, range(1, len(starts) + 1), starts))
        connections.slow_client.complete_multipart_upload(**names, UploadId=upload, MultipartUpload={"Parts": parts})
    except BaseException:
        # The first error is the one to report; an upload that stays open is deleted with other old uploads.
        with suppress(BotoCoreError, ClientError):
            connections.client.abort_multipart_upload(**names, UploadId=upload)
        raise


def _verify_copy(connections: Connections, to: str, size: int) -> None:
    """Check the size of a copy: some stores take a copy for an upload without a body.

    Raises:
        StoreUnavailable: the copy has another size; it was deleted.
    """
    found = find_object_head(connections, to)
    if found is None or int(found["ContentLength"]) != size:
        with translate_s3_errors():
            connections.client.delete_object(Bucket=connections.bucket.name, Key=to)
        raise StoreUnavailable("The bucket did not copy all of the file.")
