"""The capability probe of the local store, on keys of its own."""

import hashlib
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from modelyard.server.storage.blob_store import (
    BlobStore,
    Capabilities,
    ChecksumMismatch,
    KeyTaken,
    NamedPart,
    StoreError,
)
from modelyard.server.storage.local.multipart import PartWriter
from modelyard.server.storage.local.object_writer import WholeObjectWriter
from modelyard.server.storage.local.signing import Signer, WrongSignature

_BODY = bytes(range(256)) * 8
_PART = 1024


class ProbedStore(BlobStore, Protocol):
    """The methods that the probe calls in addition to those of every store."""

    signer: Signer
    now: Callable[[], float]

    def open_whole_writer(self, key: str, size: int, sha256: str | None) -> WholeObjectWriter: ...

    def open_part_writer(self, key: str, upload: str, number: int) -> PartWriter: ...


def probe(store: ProbedStore) -> Capabilities:
    """Test whether the store refuses wrong checksums, overwrites and tampered URLs, and reads ranges and parts right.

    Deletes its objects, also if a ``StoreError`` ends it; after a crash, the garbage collection deletes them, by their
    prefix ``probe/``.
    """
    # Always in the same team folder, so that a hundred starts do not leave a hundred empty folders.
    whole, parted = (f"probe/{uuid.UUID(int=0)}/{uuid.uuid4()}" for _ in range(2))
    try:
        return Capabilities(
            refuses_wrong_checksum=_refuses_wrong_checksum(store, whole),
            refuses_overwrite=_refuses_overwrite(store, whole),
            refuses_tampered_signature=_refuses_tampered_signature(store, whole),
            reads_ranges_right=b"".join(store.read(whole, 100, 1000)) == _BODY[100:1100],
            reads_multipart_right=_reads_multipart_right(store, parted),
        )
    finally:
        store.delete(whole)
        store.delete(parted)


def _put(store: ProbedStore, key: str, sha256: str) -> None:
    """Write the probe's object with this declared SHA-256."""
    writer = store.open_whole_writer(key, len(_BODY), sha256)
    writer.write([_BODY])
    writer.commit()


def _refuses_wrong_checksum(store: ProbedStore, key: str) -> bool:
    """Return whether an object with another SHA-256 than declared is refused and not stored."""
    try:
        _put(store, key, "0" * 64)
    except ChecksumMismatch:
        return store.stat(key) is None
    return False


def _refuses_overwrite(store: ProbedStore, key: str) -> bool:
    """Return whether the second of two writers of one key is refused; the first one's object stays, for later tests."""
    first, second = (store.open_whole_writer(key, len(_BODY), None) for _ in range(2))
    first.write([_BODY])
    second.write([b"x" * len(_BODY)])
    first.commit()
    try:
        second.commit()
    except KeyTaken:
        digest = store.wait_for_digest(key, 10)
        return digest is not None and digest.sha256 == hashlib.sha256(_BODY).hexdigest()
    return False


def _refuses_tampered_signature(store: ProbedStore, key: str) -> bool:
    """Return whether a signed URL with a changed size is refused."""
    query = store.presign_put(key, len(_BODY), None, timedelta(minutes=1)).url.partition("?")[2]
    try:
        store.signer.check("PUT", key, query.replace("size=2048", "size=2049").encode(), store.now())
    except WrongSignature:
        return True
    return False


def _reads_multipart_right(store: ProbedStore, key: str) -> bool:
    """Return whether parts that were written in reverse order are read as the original file."""
    upload = store.start_multipart(key, len(_BODY), _PART)
    try:
        parts = []
        for number in (2, 1):
            writer = store.open_part_writer(key, upload, number)
            writer.write([_BODY[(number - 1) * _PART : number * _PART]])
            parts.append(NamedPart(number, writer.commit()))
        store.finish_multipart(key, upload, parts[::-1])
    except StoreError:
        return False
    finally:
        store.abort_multipart(key, upload)
    return b"".join(store.read(key, 0, len(_BODY))) == _BODY
