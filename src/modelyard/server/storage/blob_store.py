"""The ``BlobStore`` interface: its methods, its data types and its errors.

A store handles keys, sizes and digests. Models, teams and HTTP statuses are outside its scope.

    StoreError
    ├── KeyTaken           the key already has an object; a key is written once
    ├── NoSuchUpload       unknown, aborted or finished upload, or one of another key
    ├── NoSuchKey          no object has this key
    │   └── VersionChanged the object has another version than the requested one
    ├── PartsWrong         the named parts differ from the stored parts
    ├── PartBusy           another writer is writing this part
    ├── ChecksumMismatch   the bytes have another digest than the signed one
    ├── FolderInUse        another process has locked the folder
    ├── StoreFull          not enough disk space
    └── StoreUnavailable   the disk or the bucket failed or did not answer
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from modelyard.server.storage.url_server import UrlServer

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_KEY = re.compile(f"[a-z]{{1,16}}/{_UUID}/{_UUID}")
MAX_PARTS = 10_000


class StoreError(Exception):
    """A failure of a store, with a message for people (``detail``) and facts for programs."""

    def __init__(self, detail: str, **facts: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts


class KeyTaken(StoreError):
    """The key already has an object; a key is written once."""


class NoSuchUpload(StoreError):
    """The upload is unknown, aborted or finished, or belongs to another key."""


class NoSuchKey(StoreError):
    """No object has this key."""


class VersionChanged(NoSuchKey):
    """The object under the key has another version than the requested one."""


class PartsWrong(StoreError):
    """The named parts do not make the file.

    Facts: ``missing``, ``stale`` and ``unexpected`` part numbers, at most 100 each.
    """


class PartBusy(StoreError):
    """Another writer is writing this part; a part has one writer at a time."""


class ChecksumMismatch(StoreError):
    """The bytes have another SHA-256 than the signed one; none of them is kept. Facts: ``expected``, ``found``."""


class FolderInUse(StoreError):
    """Another process has locked the folder; fact: ``process``, its id, if it is known."""


class StoreFull(StoreError):
    """The store has not enough disk space; nothing of this write is kept."""


class StoreUnavailable(StoreError):
    """The disk or the bucket failed; the write in question did not happen."""


@dataclass(frozen=True)
class SignedRequest:
    """A request that a client may send before ``expires_at``, with every header exactly as given.

    The URL of the local store is relative (``/blobs/…?…``); ``build_absolute_url`` makes it absolute.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    expires_at: datetime


@dataclass(frozen=True)
class Digest:
    """Both digests of the same bytes, as lower-case hex."""

    sha256: str
    blake3: str


@dataclass(frozen=True)
class StoredObject:
    """The size and version of an object; the digest only if the store itself read the bytes.

    ``version`` identifies this very object: the ETag in a bucket; inode and modification time of a file in a folder,
    which differ after a restore. Another version means that the object was written again, not that its bytes differ.
    """

    size: int
    digest: Digest | None
    version: str | None = None


@dataclass(frozen=True)
class StoredPart:
    """A part that the store holds durably."""

    number: int
    etag: str
    size: int


@dataclass(frozen=True)
class NamedPart:
    """A part as the client names it; the etag with or without its quotes."""

    number: int
    etag: str


@dataclass(frozen=True)
class StoredKey:
    """A key in a listing; ``modified`` is when the object was published, not when its first byte arrived."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class OpenUpload:
    """A multipart upload that is neither finished nor aborted."""

    key: str
    upload: str
    started: datetime


@dataclass(frozen=True)
class Capabilities:
    """What a store enforces; a field is true only if a probe observed it."""

    refuses_wrong_checksum: bool
    refuses_overwrite: bool
    refuses_tampered_signature: bool
    reads_ranges_right: bool
    reads_multipart_right: bool
    remarks: tuple[str, ...] = field(default=())

    @property
    def enforces_all(self) -> bool:
        """Return whether the probe observed every capability."""
        return all(
            (
                self.refuses_wrong_checksum,
                self.refuses_overwrite,
                self.refuses_tampered_signature,
                self.reads_ranges_right,
                self.reads_multipart_right,
            )
        )


# Called with a key and its object, or None if it is missing, before a download. It raises the problem to send instead.
DownloadCheck = Callable[[str, StoredObject | None], None]


def is_storage_key(text: str) -> bool:
    """Return whether the text has the form of a storage key; a text without it needs no lookup."""
    return _KEY.fullmatch(text) is not None


def validate_key(key: str) -> str:
    """Return the key if it is ``<purpose>/<uuid>/<uuid>`` in lower case, the only form of a storage key.

    Raises:
        ValueError: the key has another form. The server makes all keys, so this is a bug or an attack, never a typing
            error.
    """
    if not is_storage_key(key):
        raise ValueError(f"{key!r} is not a storage key.")
    return key


def split_into_parts(size: int, part_size: int) -> tuple[int, int]:
    """Return how many parts a file of ``size`` bytes has, and the size of the last part.

    Raises:
        ValueError: a size is not positive, or there would be more than 10,000 parts.
    """
    if size < 1 or part_size < 1:
        raise ValueError("A multipart upload has at least one byte in each part.")
    count = -(-size // part_size)
    if count > MAX_PARTS:
        raise ValueError(f"{count} parts are more than {MAX_PARTS}.")
    return count, size - (count - 1) * part_size


class BlobStore(Protocol):
    """An object store. Every method is synchronous and may be called from any thread."""

    def presign_put(self, key: str, size: int, sha256: str | None, expires: timedelta) -> SignedRequest:
        """Return a presigned PUT of a whole file of this size and, unless it is None, this SHA-256.

        The PUT is refused if the key has an object by then, as far as the store enforces this (``Capabilities``).
        """
        ...

    def put(self, key: str, content: bytes) -> None:
        """Store a small object that this server made. Durable when it returns.

        Raises:
            KeyTaken: the key has an object already, as far as the store notices.
            StoreFull, StoreUnavailable
        """
        ...

    def start_multipart(self, key: str, size: int, part_size: int) -> str:
        """Start a multipart upload and return its id.

        Raises:
            KeyTaken, StoreFull, StoreUnavailable
            ValueError: see ``split_into_parts``.
        """
        ...

    def resize_multipart(self, key: str, upload: str, size: int) -> None:
        """Set the size of an open upload's file, which was not known at its start. Durable when it returns.

        Stored parts keep their size: no part but the last may be shorter than the others when the upload is finished.

        Raises:
            NoSuchUpload, StoreFull, StoreUnavailable
            ValueError: see ``split_into_parts``; or a stored part is beyond the size. A bucket is not asked.
        """
        ...

    def presign_part(self, key: str, upload: str, number: int, size: int, expires: timedelta) -> SignedRequest:
        """Return a presigned PUT of one part; numbers begin at 1.

        Raises:
            NoSuchUpload: the upload is not open. A bucket is not asked: there the PUT itself fails with 404.
            ValueError: no upload has a part of this number and size, or this upload has not, as far as the store knows.
        """
        ...

    def put_part(self, key: str, upload: str, number: int, content: bytes) -> str:
        """Store one part that this process has, and return its etag. Durable when it returns; replaces an earlier one.

        Raises:
            NoSuchUpload, PartBusy, StoreFull, StoreUnavailable
            ValueError: the upload has no part of this number and size, as far as the store knows.
        """
        ...

    def list_parts(self, key: str, upload: str) -> list[StoredPart]:
        """Return the stored parts of an upload, by number.

        Raises:
            NoSuchUpload
        """
        ...

    def finish_multipart(self, key: str, upload: str, parts: Sequence[NamedPart]) -> None:
        """Publish the upload under its key, all or nothing. May be repeated after success.

        Raises:
            PartsWrong, NoSuchUpload, StoreUnavailable
            KeyTaken: another upload was published under the key; this one stays open until it is aborted.
        """
        ...

    def abort_multipart(self, key: str, upload: str) -> None:
        """Discard an open upload. Idempotent; does nothing after ``finish_multipart``."""
        ...

    def presign_download(self, key: str, file_name: str, sha256: str, expires: timedelta) -> SignedRequest:
        """Return a presigned GET of the object or ranges of it, as an attachment with this file name.

        Whether the key has an object is not checked. ``sha256`` is the ETag where this registry serves the URL.

        Raises:
            ValueError: ``sha256`` is not one, in lower-case hex.
        """
        ...

    def stat(self, key: str) -> StoredObject | None:
        """Return the object under the key, or None. A returned object is durable.

        Raises:
            StoreUnavailable
        """
        ...

    def stat_quickly(self, key: str) -> StoredObject | None:
        """Return the same as ``stat``, or fail within a few seconds, for a caller that can proceed without an answer.

        Raises:
            StoreUnavailable: no answer in time.
        """
        ...

    @property
    def hashes_uploads(self) -> bool:
        """Whether the store hashes the bytes that this process writes while they arrive; see ``wait_for_digest``."""
        ...

    def wait_for_digest(self, key: str, timeout_seconds: float) -> Digest | None:
        """Wait for the digest that the store computes during an upload.

        Returns None if the store computes none, did not see the bytes since its start, or is not ready within the
        timeout. The digest may be ready a moment after the last byte.
        """
        ...

    def read(self, key: str, start: int, length: int, version: str | None = None) -> Iterator[bytes]:
        """Iterate over up to ``length`` bytes from ``start``, in pieces of at most 1 MiB; fewer at the end of the file.

        Raises:
            NoSuchKey, VersionChanged: at the call, not at the first piece.
            StoreUnavailable: also between two pieces.
        """
        ...

    def copy(self, key: str, to: str, version: str | None = None) -> None:
        """Copy an object to a second key inside the store, without moving the bytes through this process.

        Raises:
            NoSuchKey, VersionChanged, KeyTaken, StoreUnavailable
        """
        ...

    def delete(self, key: str) -> None:
        """Delete the object of a key; reads in progress may finish. Idempotent."""
        ...

    def list_keys(self, prefix: str) -> Iterator[StoredKey]:
        """Iterate over the objects whose keys begin with ``prefix``; requests are sent during the iteration.

        Raises:
            StoreUnavailable: at any step of the iteration.
        """
        ...

    def list_open_uploads(self, before: datetime) -> Iterator[OpenUpload]:
        """Iterate over the open uploads that were started before ``before``; errors as of ``list_keys``."""
        ...

    def get_free_bytes(self) -> int | None:
        """Return how many more bytes uploads may use, or None where this is unknown."""
        ...

    def get_total_bytes(self) -> int | None:
        """Return the size of the store's file system, which may hold other data too; None where this is unknown."""
        ...

    def probe(self) -> Capabilities:
        """Test what this store enforces, with objects under keys of its own that it deletes, and return the result.

        Raises:
            StoreError: the probe could not be completed.
        """
        ...

    @property
    def is_remote(self) -> bool:
        """Return whether calls go over the network, so that callers limit their concurrency and cache results."""
        ...

    @property
    def public_origin(self) -> str | None:
        """Return the origin of signed URLs as a browser names it, or None if this registry serves them."""
        ...

    def get_url_server(self) -> UrlServer | None:
        """Return what serves the signed URLs in this process, or None if another server does."""
        ...
