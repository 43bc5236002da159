"""The S3 store: a ``BlobStore`` in a bucket; clients transfer the bytes by URLs that are signed here."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from modelyard.server.storage.blob_store import (
    MAX_PARTS,
    Capabilities,
    Digest,
    KeyTaken,
    NamedPart,
    NoSuchKey,
    OpenUpload,
    SignedRequest,
    StoredKey,
    StoredObject,
    StoredPart,
    VersionChanged,
    split_into_parts,
    validate_key,
)
from modelyard.server.storage.disposition import build_content_disposition
from modelyard.server.storage.s3 import copies, multipart, range_reads
from modelyard.server.storage.s3.connections import Bucket, Connections, Limits, find_object_head
from modelyard.server.storage.s3.copies import MAX_COPY_BYTES
from modelyard.server.storage.s3.errors import BucketAccessError, S3Error
from modelyard.server.storage.s3.probe import probe
from modelyard.server.storage.s3.signing import build_put_headers

__all__ = ["Bucket", "BucketAccessError", "S3Store"]

LARGEST_PART = 5 << 30


class S3Store:
    """A ``BlobStore`` in a bucket. Any number of processes may use the same bucket."""

    def __init__(self, bucket: Bucket, *, limits: Limits | None = None, max_copy_bytes: int = MAX_COPY_BYTES) -> None:
        self.bucket = bucket
        self.connections = Connections(bucket, limits or Limits())
        self._most_copied_at_once = max_copy_bytes

    def check_access(self) -> None:
        """Check that the bucket exists and can be listed; other permissions are not tested.

        Raises:
            BucketAccessError: it does not; the message says what to change.
            StoreUnavailable: it does not answer, and may do so later.
        """
        try:
            with self.connections.limit_call():
                self.connections.client.list_objects_v2(Bucket=self.bucket.name, MaxKeys=1, Prefix=self._prefix(""))
        except S3Error as refusal:
            error = refusal.to_store_error()
            if refusal.needs_operator:
                raise BucketAccessError(f"Bucket '{self.bucket.name}': {error.detail}", code=refusal.code) from None
            raise error from None

    @property
    def public_origin(self) -> str:
        """Return the origin of upload URLs, as a browser names it: ``https://models.s3.studio.example``."""
        address = urlsplit(self.connections.public_signer.base_url)
        return f"{address.scheme}://{address.netloc}"

    # BlobStore: signed requests.

    def presign_put(self, key: str, size: int, sha256: str | None, expires: timedelta) -> SignedRequest:
        """See ``BlobStore.presign_put``; size, checksum and the condition are signed headers."""
        headers = build_put_headers(size, sha256)
        return self.connections.public_signer.sign("PUT", self.get_object_name(key), expires, headers)

    def presign_part(self, key: str, upload: str, number: int, size: int, expires: timedelta) -> SignedRequest:
        """Return a presigned PUT of one part; a closed upload is noticed by the client only, with a 404.

        Raises:
            ValueError: S3 has no part of this number and size.
        """
        if not 1 <= number <= MAX_PARTS or not 1 <= size <= LARGEST_PART:
            raise ValueError(f"There is no part {number} with {size} bytes.")
        query = {"partNumber": str(number), "uploadId": upload}
        return self.connections.public_signer.sign(
            "PUT", self.get_object_name(key), expires, {"Content-Length": str(size)}, query
        )

    def presign_download(self, key: str, file_name: str, sha256: str, expires: timedelta) -> SignedRequest:
        """See ``BlobStore.presign_download``; ``sha256`` is only checked for its form, S3 sends its own ETag.

        Raises:
            ValueError: ``sha256`` is not one.
        """
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise ValueError(f"{sha256!r} is not a SHA-256.")
        query = {
            "response-content-disposition": build_content_disposition(file_name),
            "response-content-type": "application/octet-stream",
        }
        return self.connections.public_signer.sign("GET", self.get_object_name(key), expires, {}, query)

    # BlobStore: multipart uploads.

    def start_multipart(self, key: str, size: int, part_size: int) -> str:
        """See ``BlobStore.start_multipart``; the bucket is not told the sizes."""
        split_into_parts(size, part_size)
        self._require_unused_key(key)
        with self._limit_call():
            answer = self.connections.client.create_multipart_upload(
                Bucket=self.bucket.name, Key=self.get_object_name(key), ContentType="application/octet-stream"
            )
        return str(answer["UploadId"])

    def resize_multipart(self, key: str, upload: str, size: int) -> None:
        """See ``BlobStore.resize_multipart``; the bucket knows no size before the upload is finished."""

    def put_part(self, key: str, upload: str, number: int, content: bytes) -> str:
        """See ``BlobStore.put_part``; the bucket checks the size of all parts but the last when they are finished."""
        with self._limit_call():
            answer = self.connections.client.upload_part(
                Bucket=self.bucket.name,
                Key=self.get_object_name(key),
                UploadId=upload,
                PartNumber=number,
                Body=content,
            )
        return str(answer["ETag"])

    def list_parts(self, key: str, upload: str) -> list[StoredPart]:
        """See ``BlobStore.list_parts``; of a part that was sent again, the newest."""
        return multipart.list_parts(self.connections, validate_key(key), upload)

    def finish_multipart(self, key: str, upload: str, parts: Sequence[NamedPart]) -> None:
        """See ``BlobStore.finish_multipart`` and ``multipart.finish``."""
        multipart.finish(self.connections, validate_key(key), upload, parts)

    def abort_multipart(self, key: str, upload: str) -> None:
        """See ``BlobStore.abort_multipart``; an unknown upload is ignored."""
        multipart.abort(self.connections, validate_key(key), upload)

    def list_open_uploads(self, before: datetime) -> Iterator[OpenUpload]:
        """See ``BlobStore.list_open_uploads``; uploads whose names are no storage keys are left out."""
        for found in self._iterate_entries("list_multipart_uploads", "Uploads", ""):
            key = self.bucket.parse_key(found["Key"])
            if found["Initiated"] < before and _is_own_key(key):
                yield OpenUpload(key, found["UploadId"], found["Initiated"])

    # BlobStore: objects.

    def stat(self, key: str) -> StoredObject | None:
        """See ``BlobStore.stat``; there is no digest, and the version is the ETag."""
        return _to_stored_object(find_object_head(self.connections, self.get_object_name(key)))

    def stat_quickly(self, key: str) -> StoredObject | None:
        """See ``BlobStore.stat_quickly``; one attempt with short timeouts."""
        return _to_stored_object(
            find_object_head(self.connections, self.get_object_name(key), self.connections.fast_client)
        )

    @property
    def hashes_uploads(self) -> bool:
        """False: a bucket computes no digests."""
        return False

    def wait_for_digest(self, key: str, timeout_seconds: float) -> Digest | None:  # noqa: ARG002 - a bucket computes no digests
        """Return None at once: a bucket computes no digests."""
        validate_key(key)
        return None

    def read(self, key: str, start: int, length: int, version: str | None = None) -> Iterator[bytes]:
        """See ``BlobStore.read`` and ``range_reads.read_range``."""
        return range_reads.read_range(self.connections, self.get_object_name(key), start, length, version)

    def copy(self, key: str, to: str, version: str | None = None) -> None:
        """See ``BlobStore.copy``; an object that appears under ``to`` meanwhile is replaced.

        Raises:
            NoSuchKey: there is no object under ``key``.
            VersionChanged: it is not the requested version.
            KeyTaken: ``to`` has an object already.
        """
        stored = self.stat(key)
        if stored is None:
            raise NoSuchKey("No object has this key.")
        if version not in {None, stored.version}:
            raise VersionChanged("The object under this key has changed.")
        self._require_unused_key(to)
        copies.copy(
            self.connections, self.get_object_name(key), self.get_object_name(to), stored, self._most_copied_at_once
        )

    def put(self, key: str, content: bytes) -> None:
        """See ``BlobStore.put``."""
        self._require_unused_key(key)
        name = self.get_object_name(key)
        with self._limit_call():
            self.connections.client.put_object(
                Bucket=self.bucket.name, Key=name, Body=content, ContentType="application/octet-stream"
            )

    def delete(self, key: str) -> None:
        """See ``BlobStore.delete``."""
        name = self.get_object_name(key)
        with self._limit_call():
            self.connections.client.delete_object(Bucket=self.bucket.name, Key=name)

    def list_keys(self, prefix: str) -> Iterator[StoredKey]:
        """See ``BlobStore.list_keys``; objects whose names are no storage keys are left out."""
        for found in self._iterate_entries("list_objects_v2", "Contents", prefix):
            key = self.bucket.parse_key(found["Key"])
            if _is_own_key(key):
                yield StoredKey(key, int(found["Size"]), found["LastModified"])

    def get_free_bytes(self) -> int | None:
        """Return None: a bucket has no known limit."""
        return None

    def get_total_bytes(self) -> int | None:
        """Return None: a bucket has no known size."""
        return None

    def probe(self) -> Capabilities:
        return probe(self)

    # BlobStore: how it is served.

    is_remote = True

    def get_url_server(self) -> None:
        return None

    def get_object_name(self, key: str) -> str:
        """Return the object's name in the bucket."""
        return self.bucket.get_object_name(validate_key(key))

    def _iterate_entries(self, operation: str, field: str, prefix: str) -> Iterator[dict[str, Any]]:
        """Yield the entries in ``field`` of all pages of a listing, below our prefix and then ``prefix``.

        A page is requested when it is needed, and no place of the call limit is held while its entries are used.

        Raises:
            StoreUnavailable: at any step of the iteration.
        """
        with self._limit_call():
            found = self.connections.client.get_paginator(operation)
            pages = iter(found.paginate(Bucket=self.bucket.name, Prefix=self._prefix(prefix)))
        while True:
            with self._limit_call():
                page = next(pages, None)
            if page is None:
                return
            yield from page.get(field, [])

    @contextmanager
    def _limit_call(self) -> Iterator[None]:
        """Hold a place of the call limit for the block, and translate refusals of the bucket to store errors.

        Raises:
            StoreError: the bucket refused a request.
        """
        try:
            with self.connections.limit_call():
                yield
        except S3Error as refusal:
            raise refusal.to_store_error() from None

    def _prefix(self, prefix: str) -> str:
        """Return the beginning of the names in the bucket for the beginning of keys."""
        return self.bucket.get_object_name(prefix)

    def _require_unused_key(self, key: str) -> None:
        """Check that the key has no object now.

        Raises:
            KeyTaken: it has one.
        """
        if self.stat(key) is not None:
            raise KeyTaken("The key has an object already.")


def _to_stored_object(found: dict[str, Any] | None) -> StoredObject | None:
    """Return the object that a HEAD response describes, with its ETag as version; None for None."""
    return None if found is None else StoredObject(int(found["ContentLength"]), None, str(found["ETag"]))


def _is_own_key(key: str) -> bool:
    """Return whether a name in the bucket is a storage key; other objects in the bucket are ignored."""
    try:
        validate_key(key)
    except ValueError:
        return False
    return True
