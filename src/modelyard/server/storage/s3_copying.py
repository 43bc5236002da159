"""Copies inside a bucket: whole, or in parallel ranges where S3 does not copy so much at once."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from modelyard.server.storage.blob_store import OtherVersion, Stored, StoreUnavailable
from modelyard.server.storage.s3_bucket import Connections, head
from modelyard.server.storage.s3_errors import Refusal, s3_errors

# What S3 copies in one call.
MOST_COPIED_AT_ONCE = 5 << 30
# Stores that really copy answer when they are done, and the wait has an end: ranges are smaller than they could be.
_RANGE = 1 << 30
_AT_ONCE = 8


def copy(connections: Connections, source: str, to: str, stored: Stored, most_at_once: int) -> None:
    """The bytes of this version under another name.

    Raises:
        NoSuchKey, OtherVersion, StoreUnavailable
    """
    asked = {
        "Bucket": connections.bucket.name,
        "Key": to,
        "CopySource": {"Bucket": connections.bucket.name, "Key": source},
        "CopySourceIfMatch": stored.version,
    }
    try:
        with s3_errors():
            if stored.size <= most_at_once:
                connections.patient_client.copy_object(**asked)
            else:
                _copy_ranges(connections, asked, stored.size, min(most_at_once, _RANGE))
    except Refusal as refusal:
        if refusal.status == 412:
            raise OtherVersion("Other bytes are stored under this key than before.") from None
        raise refusal.as_error() from None
    _check_copied(connections, to, stored.size)


def _copy_ranges(connections: Connections, asked: dict[str, Any], size: int, range_size: int) -> None:
    names = {name: asked[name] for name in ("Bucket", "Key")}
    upload = connections.client.create_multipart_upload(**names, ContentType="application/octet-stream")["UploadId"]

    def copied(number: int, start: int) -> dict[str, Any]:
        stretch = f"bytes={start}-{min(start + range_size, size) - 1}"
        part = connections.patient_client.upload_part_copy(
            **asked, UploadId=upload, PartNumber=number, CopySourceRange=stretch
        )
        etag = part.get("CopyPartResult", {}).get("ETag")
        if etag is None:
            raise StoreUnavailable("The bucket does not copy ranges of a file, which a file of this size needs.")
        return {"PartNumber": number, "ETag": etag}

    try:
        with ThreadPoolExecutor(_AT_ONCE, "s3-copy") as threads:
            starts = range(0, size, range_size)
            parts = list(threads.map(copied, range(1, len(starts) + 1), starts))
        connections.patient_client.complete_multipart_upload(**names, UploadId=upload, MultipartUpload={"Parts": parts})
    except BaseException:
        # The first failure is the one to tell; what stays open is found with other old uploads.
        with suppress(BotoCoreError, ClientError):
            connections.client.abort_multipart_upload(**names, UploadId=upload)
        raise


def _check_copied(connections: Connections, to: str, size: int) -> None:
    """Some stores take a copy for an upload without a body.

    Raises:
        StoreUnavailable: what is there has another size; it is there no longer.
    """
    found = head(connections, to)
    if found is None or int(found["ContentLength"]) != size:
        with s3_errors():
            connections.client.delete_object(Bucket=connections.bucket.name, Key=to)
        raise StoreUnavailable("The bucket did not copy all of the file.")
