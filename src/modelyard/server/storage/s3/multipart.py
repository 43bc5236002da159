"""Multipart uploads in a bucket: the bucket stores the parts, and this module compares them with the named ones."""

import hashlib
import re
from collections.abc import Sequence
from enum import Enum
from typing import Any

from modelyard.server.storage.blob_store import (
    MAX_PARTS,
    KeyTaken,
    NamedPart,
    NoSuchUpload,
    PartsWrong,
    StoredPart,
)
from modelyard.server.storage.s3.connections import Connections, find_object_head
from modelyard.server.storage.s3.errors import S3Error

_MAX_FACTS = 100
_MD5 = re.compile("[0-9a-f]{32}")
_WRONG_PARTS = frozenset({"InvalidPart", "InvalidPartOrder", "EntityTooSmall", "MalformedXML"})


class Published(Enum):
    """How the object under a key relates to one upload's parts."""

    NOTHING = "no object"
    SAME_PARTS = "made of these parts"
    UNKNOWN = "possibly made of these parts"
    OTHER_CONTENT = "made of other content"


def list_parts(connections: Connections, key: str, upload: str) -> list[StoredPart]:
    """Return the stored parts; see ``BlobStore.list_parts``."""
    newest = {part["PartNumber"]: part for part in _load_parts(connections, key, upload)}
    return [StoredPart(number, str(part["ETag"]), int(part["Size"])) for number, part in sorted(newest.items())]


def _load_parts(connections: Connections, key: str, upload: str) -> list[dict[str, Any]]:
    """Return the parts as the store lists them, by time: SeaweedFS lists a part that was sent again a second time.

    Raises:
        NoSuchUpload, StoreUnavailable
    """
    try:
        with connections.limit_call():
            pages = connections.client.get_paginator("list_parts").paginate(
                Bucket=connections.bucket.name, Key=connections.bucket.get_object_name(key), UploadId=upload
            )
            found = [part for page in pages for part in page.get("Parts", [])]
    except S3Error as refusal:
        raise refusal.to_store_error() from None
    return sorted(found, key=lambda part: part["LastModified"])


def abort(connections: Connections, key: str, upload: str) -> None:
    """Abort an upload, of which nothing may be left; see ``BlobStore.abort_multipart``.

    Raises:
        StoreError: the bucket refused it.
    """
    try:
        with connections.limit_call():
            connections.client.abort_multipart_upload(
                Bucket=connections.bucket.name, Key=connections.bucket.get_object_name(key), UploadId=upload
            )
    except S3Error as refusal:
        if refusal.code not in {"NoSuchUpload", "NoSuchKey", "404"}:
            raise refusal.to_store_error() from None


def finish(connections: Connections, key: str, upload: str, named: Sequence[NamedPart]) -> None:
    """Complete an upload; see ``BlobStore.finish_multipart``.

    Several stores ignore a condition on completing, or ignore it when two uploads complete at once. So the key is also
    looked up first, and a caller that relies on a single winner must use unique keys.

    Raises:
        KeyTaken: the key has another object already.
        PartsWrong, NoSuchUpload: see ``BlobStore.finish_multipart``.
    """
    try:
        held = _load_parts(connections, key, upload)
    except NoSuchUpload:
        if compare_published(connections, key, named) in {Published.SAME_PARTS, Published.UNKNOWN}:
            return
        raise
    published = compare_published(connections, key, named)
    if published is Published.SAME_PARTS:
        return
    if published is not Published.NOTHING:
        raise KeyTaken("The key has an object already.")
    _check_parts(held, named)
    try:
        _complete(connections, key, upload, named)
    except S3Error as refusal:
        _raise_unless_published(refusal, compare_published(connections, key, named))


def _check_parts(held: Sequence[dict[str, Any]], named: Sequence[NamedPart]) -> None:
    """Check that exactly the stored parts are named, from 1 to the last, in order.

    Raises:
        PartsWrong
    """
    etags = {(part["PartNumber"], part["ETag"].strip('"')) for part in held}
    known, numbers = {number for number, _ in etags}, [part.number for part in named]
    last = max([*known, *numbers], default=1)
    missing = sorted(set(range(1, min(last, MAX_PARTS) + 1)) - (known & set(numbers)))
    unexpected = sorted(set(numbers) - known)
    stale = sorted({n.number for n in named if n.number in known and (n.number, n.etag.strip('"')) not in etags})
    if missing or unexpected or stale or numbers != sorted(set(numbers)):
        raise PartsWrong(
            "The upload needs every part from first to last, each once and in this order, with its latest etag.",
            missing=missing[:_MAX_FACTS],
            stale=stale[:_MAX_FACTS],
            unexpected=unexpected[:_MAX_FACTS],
        )


def _complete(connections: Connections, key: str, upload: str, named: Sequence[NamedPart]) -> None:
    """Complete the upload in the bucket if the key is unused; without this condition where the bucket has none.

    Raises:
        S3Error, StoreUnavailable
    """
    request = {
        "Bucket": connections.bucket.name,
        "Key": connections.bucket.get_object_name(key),
        "UploadId": upload,
        "MultipartUpload": {"Parts": [{"PartNumber": part.number, "ETag": part.etag} for part in named]},
    }
    try:
        with connections.limit_call():
            connections.slow_client.complete_multipart_upload(**request, IfNoneMatch="*")
    except S3Error as refusal:
        if refusal.code != "NotImplemented":
            raise
        with connections.limit_call():
            connections.slow_client.complete_multipart_upload(**request)


def _raise_unless_published(refusal: S3Error, published: Published) -> None:
    """Raise the store error for a refused completion; return if the same completion has succeeded meanwhile.

    Raises:
        PartsWrong, NoSuchUpload, KeyTaken, StoreUnavailable
    """
    if published is Published.SAME_PARTS or (published is Published.UNKNOWN and refusal.code == "NoSuchUpload"):
        return
    if published is not Published.NOTHING and refusal.status in {409, 412}:
        raise KeyTaken("The key has an object already.") from None
    if refusal.code in _WRONG_PARTS:
        raise PartsWrong(
            f"The bucket does not accept these parts ({refusal.code}).", missing=[], stale=[], unexpected=[]
        ) from None
    raise refusal.to_store_error() from None


def compare_published(connections: Connections, key: str, named: Sequence[NamedPart]) -> Published:
    """Return how the object under the key relates to these parts.

    The ETag of such an object is the MD5 of its parts' MD5s, and their count. With encryption by a customer's key it is
    another value and the count, and a few stores have no such ETags: then the result is unknown.
    """
    found = find_object_head(connections, connections.bucket.get_object_name(key))
    if found is None:
        return Published.NOTHING
    digest, _, count = str(found["ETag"]).strip('"').rpartition("-")
    if not digest:
        return Published.UNKNOWN
    etags = [part.etag.strip('"').lower() for part in named]
    if count != str(len(etags)):
        return Published.OTHER_CONTENT
    if "kms" in found.get("ServerSideEncryption", "") or not all(_MD5.fullmatch(etag) for etag in etags):
        return Published.UNKNOWN
    joined = hashlib.md5(b"".join(bytes.fromhex(etag) for etag in etags), usedforsecurity=False).hexdigest()
    return Published.SAME_PARTS if joined == digest else Published.OTHER_CONTENT
