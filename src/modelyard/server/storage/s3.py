"""The S3 store: a bucket that keeps the promise of ``blob_store``; clients move the bytes by URLs signed here."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from modelyard.server.storage import s3_copying, s3_multipart, s3_reading
from modelyard.server.storage.blob_store import (
    MOST_PARTS,
    Digest,
    Honesty,
    KeyTaken,
    NamedPart,
    NoSuchKey,
    OpenUpload,
    OtherVersion,
    SignedRequest,
    Stored,
    StoredKey,
    StoredPart,
    check_key,
    part_sizes,
)
from modelyard.server.storage.disposition import content_disposition
from modelyard.server.storage.s3_bucket import Bucket, Connections, Limits, head
from modelyard.server.storage.s3_copying import MOST_COPIED_AT_ONCE
from modelyard.server.storage.s3_errors import BucketRefused, Refusal
from modelyard.server.storage.s3_probe import probe
from modelyard.server.storage.s3_signing import put_headers

__all__ = ["Bucket", "BucketRefused", "S3Store"]

LARGEST_PART = 5 << 30


class S3Store:
    """A ``BlobStore`` in a bucket. Any number of processes may have the same bucket."""

    def __init__(
        self, bucket: Bucket, *, limits: Limits | None = None, most_copied_at_once: int = MOST_COPIED_AT_ONCE
    ) -> None:
        self.bucket = bucket
        self.connections = Connections(bucket, limits or Limits())
        self._most_copied_at_once = most_copied_at_once

    def check(self) -> None:
        """Whether the bucket is there and lets us in.

        Raises:
            BucketRefused: it does not; its words say what to change.
            StoreUnavailable: it does not answer, and may do so later.
        """
        try:
            with self.connections.asking():
                self.connections.client.list_objects_v2(Bucket=self.bucket.name, MaxKeys=1, Prefix=self._prefix(""))
        except Refusal as refusal:
            error = refusal.as_error()
            if refusal.needs_a_hand:
                raise BucketRefused(f"Bucket '{self.bucket.name}': {error.detail}", code=refusal.code) from None
            raise error from None

    @property
    def public_origin(self) -> str:
        """Where clients send bytes, as a browser names it: ``https://models.s3.studio.example``."""
        address = urlsplit(self.connections.public_signer.base_url)
        return f"{address.scheme}://{address.netloc}"

    # The promise: requests.

    def put_request(self, key: str, size: int, sha256: str | None, expires: timedelta) -> SignedRequest:
        return self.connections.public_signer.sign("PUT", self.name_of(key), expires, put_headers(size, sha256))

    def part_request(self, key: str, upload: str, number: int, size: int, expires: timedelta) -> SignedRequest:
        """See the promise; whether the upload is still open is found out by whoever sends, with a 404."""
        if not 1 <= number <= MOST_PARTS or not 1 <= size <= LARGEST_PART:
            raise ValueError(f"There is no part {number} with {size} bytes.")
        query = {"partNumber": str(number), "uploadId": upload}
        return self.connections.public_signer.sign(
            "PUT", self.name_of(key), expires, {"Content-Length": str(size)}, query
        )

    def download_request(self, key: str, file_name: str, sha256: str, expires: timedelta) -> SignedRequest:
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise ValueError(f"{sha256!r} is not a SHA-256.")
        query = {
            "response-content-disposition": content_disposition(file_name),
            "response-content-type": "application/octet-stream",
        }
        return self.connections.public_signer.sign("GET", self.name_of(key), expires, {}, query)

    # The promise: multipart uploads.

    def start(self, key: str, size: int, part_size: int) -> str:
        part_sizes(size, part_size)
        self._check_is_free(key)
        with self._asking():
            answer = self.connections.client.create_multipart_upload(
                Bucket=self.bucket.name, Key=self.name_of(key), ContentType="application/octet-stream"
            )
        return str(answer["UploadId"])

    def parts(self, key: str, upload: str) -> list[StoredPart]:
        return s3_multipart.parts(self.connections, check_key(key), upload)

    def finish(self, key: str, upload: str, parts: Sequence[NamedPart]) -> None:
        s3_multipart.finish(self.connections, check_key(key), upload, parts)

    def abort(self, key: str, upload: str) -> None:
        s3_multipart.abort(self.connections, check_key(key), upload)

    def open_uploads(self, before: datetime) -> Iterator[OpenUpload]:
        for found in self._listed("list_multipart_uploads", "Uploads", ""):
            key = self.bucket.key_of(found["Key"])
            if found["Initiated"] < before and _is_ours(key):
                yield OpenUpload(key, found["UploadId"], found["Initiated"])

    # The promise: bytes.

    def stored(self, key: str) -> Stored | None:
        found = head(self.connections, self.name_of(key))
        return None if found is None else Stored(int(found["ContentLength"]), None, str(found["ETag"]))

    def wait_digest(self, key: str, timeout_seconds: float) -> Digest | None:  # noqa: ARG002 - a bucket reads nothing for us
        check_key(key)
        return None

    def read(self, key: str, start: int, length: int, version: str | None = None) -> Iterator[bytes]:
        return s3_reading.read(self.connections, self.name_of(key), start, length, version)

    def copy(self, key: str, to: str, version: str | None = None) -> None:
        stored = self.stored(key)
        if stored is None:
            raise NoSuchKey("There are no bytes under this key.")
        if version not in {None, stored.version}:
            raise OtherVersion("Other bytes are stored under this key than before.")
        self._check_is_free(to)
        s3_copying.copy(self.connections, self.name_of(key), self.name_of(to), stored, self._most_copied_at_once)

    def delete(self, key: str) -> None:
        name = self.name_of(key)
        with self._asking():
            self.connections.client.delete_object(Bucket=self.bucket.name, Key=name)

    def keys(self, prefix: str) -> Iterator[StoredKey]:
        for found in self._listed("list_objects_v2", "Contents", prefix):
            key = self.bucket.key_of(found["Key"])
            if _is_ours(key):
                yield StoredKey(key, int(found["Size"]), found["LastModified"])

    def free_bytes(self) -> int | None:
        return None

    def whole_bytes(self) -> int | None:
        return None

    def probe(self) -> Honesty:
        return probe(self)

    def name_of(self, key: str) -> str:
        """The object's name in the bucket."""
        return self.bucket.name_of(check_key(key))

    def _listed(self, operation: str, field: str, prefix: str) -> Iterator[dict[str, Any]]:
        """What a listing finds below our prefix, page by page; whoever walks it holds no place at the gate."""
        with self._asking():
            found = self.connections.client.get_paginator(operation)
            pages = iter(found.paginate(Bucket=self.bucket.name, Prefix=self._prefix(prefix)))
        while True:
            with self._asking():
                page = next(pages, None)
            if page is None:
                return
            yield from page.get(field, [])

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            with self.connections.asking():
                yield
        except Refusal as refusal:
            raise refusal.as_error() from None

    def _prefix(self, prefix: str) -> str:
        return self.bucket.name_of(prefix)

    def _check_is_free(self, key: str) -> None:
        if self.stored(key) is not None:
            raise KeyTaken("The key is written already.")


def _is_ours(key: str) -> bool:
    """Whether a name in the bucket is a key of ours; what others keep there is none of our business."""
    try:
        check_key(key)
    except ValueError:
        return False
    return True
