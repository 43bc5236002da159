"""Tries out, on keys of its own, what the local store enforces on this folder and this file system."""

import hashlib
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

from modelyard.server.storage.blob_store import Honesty, KeyTaken, NamedPart, StoreError, WrongChecksum
from modelyard.server.storage.signing import WrongSignature

if TYPE_CHECKING:
    from modelyard.server.storage.local import LocalStore

_BODY = bytes(range(256)) * 8
_PART = 1024


def probe(store: "LocalStore") -> Honesty:
    """What was seen. Leaves nothing behind; after a crash in the middle, what a sweep of ``probe/`` finds."""
    # Always under the same folder, so that a hundred starts do not leave a hundred empty ones.
    whole, parted = (f"probe/{uuid.UUID(int=0)}/{uuid.uuid4()}" for _ in range(2))
    try:
        return Honesty(
            refuses_wrong_checksum=_refuses_wrong_checksum(store, whole),
            refuses_overwrite=_refuses_overwrite(store, whole),
            refuses_tampered_signature=_refuses_tampered_signature(store, whole),
            reads_ranges_right=b"".join(store.read(whole, 100, 1000)) == _BODY[100:1100],
            reads_multipart_right=_reads_multipart_right(store, parted),
        )
    finally:
        store.delete(whole)
        store.delete(parted)


def _put(store: "LocalStore", key: str, sha256: str) -> None:
    writing = store.write_whole(key, len(_BODY), sha256)
    writing.write([_BODY])
    writing.commit()


def _refuses_wrong_checksum(store: "LocalStore", key: str) -> bool:
    try:
        _put(store, key, "0" * 64)
    except WrongChecksum:
        return store.stored(key) is None
    return False


def _refuses_overwrite(store: "LocalStore", key: str) -> bool:
    first, second = (store.write_whole(key, len(_BODY), None) for _ in range(2))
    first.write([_BODY])
    second.write([b"x" * len(_BODY)])
    first.commit()
    try:
        second.commit()
    except KeyTaken:
        digest = store.wait_digest(key, 10)
        return digest is not None and digest.sha256 == hashlib.sha256(_BODY).hexdigest()
    return False


def _refuses_tampered_signature(store: "LocalStore", key: str) -> bool:
    query = store.put_request(key, len(_BODY), None, timedelta(minutes=1)).url.partition("?")[2]
    try:
        store.signer.check("PUT", key, query.replace("size=2048", "size=2049").encode(), store.now())
    except WrongSignature:
        return True
    return False


def _reads_multipart_right(store: "LocalStore", key: str) -> bool:
    upload = store.start(key, len(_BODY), _PART)
    try:
        named = []
        for number in (2, 1):
            writing = store.write_part(key, upload, number)
            writing.write([_BODY[(number - 1) * _PART : number * _PART]])
            named.append(NamedPart(number, writing.commit()))
        store.finish(key, upload, named[::-1])
    except StoreError:
        return False
    finally:
        store.abort(key, upload)
    return b"".join(store.read(key, 0, len(_BODY))) == _BODY
