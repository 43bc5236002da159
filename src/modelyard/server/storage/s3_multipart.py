"""Multipart uploads in a bucket: the store holds the parts, and this compares them with those that were named."""

import hashlib
import re
from collections.abc import Sequence
from enum import Enum
from typing import Any

from modelyard.server.storage.blob_store import (
    MOST_PARTS,
    KeyTaken,
    NamedPart,
    NoSuchUpload,
    PartsWrong,
    StoredPart,
)
from modelyard.server.storage.s3_bucket import Connections, head
from modelyard.server.storage.s3_errors import Refusal

_MOST_FACTS = 100
_MD5 = re.compile("[0-9a-f]{32}")
_WRONG_PARTS = frozenset({"InvalidPart", "InvalidPartOrder", "EntityTooSmall", "MalformedXML"})


class Published(Enum):
    """What is under a key, seen from one upload's parts."""

    NOT = "nothing is there"
    AS_NAMED = "it was made of these parts"
    SOMEHOW = "it may have been made of these parts"
    OTHERWISE = "it was made of something else"


def parts(connections: Connections, key: str, upload: str) -> list[StoredPart]:
    """See ``BlobStore.parts``."""
    newest = {part["PartNumber"]: part for part in _listed(connections, key, upload)}
    return [StoredPart(number, str(part["ETag"]), int(part["Size"])) for number, part in sorted(newest.items())]


def _listed(connections: Connections, key: str, upload: str) -> list[dict[str, Any]]:
    """The parts as the store lists them, by time: SeaweedFS lists a part that was sent again once more."""
    try:
        with connections.asking():
            pages = connections.client.get_paginator("list_parts").paginate(
                Bucket=connections.bucket.name, Key=connections.bucket.name_of(key), UploadId=upload
            )
            found = [part for page in pages for part in page.get("Parts", [])]
    except Refusal as refusal:
        raise refusal.as_error() from None
    return sorted(found, key=lambda part: part["LastModified"])


def abort(connections: Connections, key: str, upload: str) -> None:
    """See ``BlobStore.abort``."""
    try:
        with connections.asking():
            connections.client.abort_multipart_upload(
                Bucket=connections.bucket.name, Key=connections.bucket.name_of(key), UploadId=upload
            )
    except Refusal as refusal:
        if refusal.code not in {"NoSuchUpload", "NoSuchKey", "404"}:
            raise refusal.as_error() from None


def finish(connections: Connections, key: str, upload: str, named: Sequence[NamedPart]) -> None:
    """See ``BlobStore.finish``.

    Several stores do not honour a condition on completing, or not when two complete at once: the key is looked at
    first as well, and whoever counts on one winner has unique keys.
    """
    try:
        held = _listed(connections, key, upload)
    except NoSuchUpload:
        if published_as(connections, key, named) in {Published.AS_NAMED, Published.SOMEHOW}:
            return
        raise
    published = published_as(connections, key, named)
    if published is Published.AS_NAMED:
        return
    if published is not Published.NOT:
        raise KeyTaken("The key is written already.")
    _check_parts(held, named)
    try:
        _complete(connections, key, upload, named)
    except Refusal as refusal:
        _explain(refusal, published_as(connections, key, named))


def _check_parts(held: Sequence[dict[str, Any]], named: Sequence[NamedPart]) -> None:
    """Whether exactly the held parts are named, 1 to the last, in order.

    Raises:
        PartsWrong
    """
    etags = {(part["PartNumber"], part["ETag"].strip('"')) for part in held}
    known, numbers = {number for number, _ in etags}, [part.number for part in named]
    last = max([*known, *numbers], default=1)
    missing = sorted(set(range(1, min(last, MOST_PARTS) + 1)) - (known & set(numbers)))
    unexpected = sorted(set(numbers) - known)
    stale = sorted({n.number for n in named if n.number in known and (n.number, n.etag.strip('"')) not in etags})
    if missing or unexpected or stale or numbers != sorted(set(numbers)):
        raise PartsWrong(
            "The upload needs every part from the first to the last, each once and in this order, with its last etag.",
            missing=missing[:_MOST_FACTS],
            stale=stale[:_MOST_FACTS],
            unexpected=unexpected[:_MOST_FACTS],
        )


def _complete(connections: Connections, key: str, upload: str, named: Sequence[NamedPart]) -> None:
    """Ask the store to make the parts one object.

    Raises:
        Refusal, StoreUnavailable
    """
    asked = {
        "Bucket": connections.bucket.name,
        "Key": connections.bucket.name_of(key),
        "UploadId": upload,
        "MultipartUpload": {"Parts": [{"PartNumber": part.number, "ETag": part.etag} for part in named]},
    }
    try:
        with connections.asking():
            connections.patient_client.complete_multipart_upload(**asked, IfNoneMatch="*")
    except Refusal as refusal:
        if refusal.code != "NotImplemented":
            raise
        with connections.asking():
            connections.patient_client.complete_multipart_upload(**asked)


def _explain(refusal: Refusal, published: Published) -> None:
    """What a refused completion means; nothing, if the same completion was done by somebody else meanwhile.

    Raises:
        PartsWrong, NoSuchUpload, KeyTaken, StoreUnavailable
    """
    if published is Published.AS_NAMED or (published is Published.SOMEHOW and refusal.code == "NoSuchUpload"):
        return
    if published is not Published.NOT and refusal.status in {409, 412}:
        raise KeyTaken("The key is written already.") from None
    if refusal.code in _WRONG_PARTS:
        raise PartsWrong(
            f"The bucket does not take these parts ({refusal.code}).", missing=[], stale=[], unexpected=[]
        ) from None
    raise refusal.as_error() from None


def published_as(connections: Connections, key: str, named: Sequence[NamedPart]) -> Published:
    """Whether what is stored under the key was made of these parts.

    The ETag of such an object is the MD5 of its parts' MD5s, and their count. With encryption by a key of one's own
    it is something else and the count, and a few stores know no such ETags at all: there nobody can tell.
    """
    found = head(connections, connections.bucket.name_of(key))
    if found is None:
        return Published.NOT
    digest, _, count = str(found["ETag"]).strip('"').rpartition("-")
    if not digest:
        return Published.SOMEHOW
    etags = [part.etag.strip('"').lower() for part in named]
    if count != str(len(etags)):
        return Published.OTHERWISE
    if "kms" in found.get("ServerSideEncryption", "") or not all(_MD5.fullmatch(etag) for etag in etags):
        return Published.SOMEHOW
    joined = hashlib.md5(b"".join(bytes.fromhex(etag) for etag in etags), usedforsecurity=False).hexdigest()
    return Published.AS_NAMED if joined == digest else Published.OTHERWISE
