"""The promise of a store: what may be asked of it, and the errors that it answers with.

A store knows keys, sizes and digests; it knows no model, no team and no HTTP status.

    StoreError
    ├── KeyTaken           the key is written already; a key is written once
    ├── NoSuchUpload       unknown, aborted, finished, or of another key
    ├── NoSuchKey          nothing is stored there
    │   └── OtherVersion   other bytes are stored there than those that were asked for
    ├── PartsWrong         the named parts are not the parts that are held
    ├── PartBusy           another writer has this part
    ├── WrongChecksum      the bytes have another digest than was signed
    ├── FolderInUse        another process owns the folder
    ├── StoreFull          no room
    └── StoreUnavailable   the disk or the bucket does not answer as it should
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_KEY = re.compile(f"[a-z]{{1,16}}/{_UUID}/{_UUID}")
MOST_PARTS = 10_000


class StoreError(Exception):
    """A failure of a store: a sentence, and facts that a program can read."""

    def __init__(self, detail: str, **facts: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts


class KeyTaken(StoreError):
    """The key is written already, and a key is written once."""


class NoSuchUpload(StoreError):
    """The upload is unknown, aborted, finished, or belongs to another key."""


class NoSuchKey(StoreError):
    """Nothing is stored under the key."""


class OtherVersion(NoSuchKey):
    """Other bytes are stored there than those that were asked for by their version."""


class PartsWrong(StoreError):
    """The named parts do not make the file; facts: ``missing``, ``stale``, ``unexpected`` part numbers, 100 at most."""


class PartBusy(StoreError):
    """Another writer has this part; a part has one writer at a time."""


class WrongChecksum(StoreError):
    """The bytes have another SHA-256 than was signed; nothing of them is kept. Facts: ``expected``, ``found``."""


class FolderInUse(StoreError):
    """Another process owns the folder; fact: ``process``, its id, if it can be told."""


class StoreFull(StoreError):
    """The store has no room; nothing of this write is kept."""


class StoreUnavailable(StoreError):
    """The disk or the bucket failed; the write in question did not happen."""


@dataclass(frozen=True)
class SignedRequest:
    """What a client must send: every header exactly, before ``expires_at``.

    The URL of the local store is relative (``/blobs/…?…``); routes make it absolute.
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
class Stored:
    """What is stored under a key; the digest only if the store itself read these bytes.

    ``version`` names these very bytes where a key could be written again; None where it cannot.
    """

    size: int
    digest: Digest | None
    version: str | None = None


@dataclass(frozen=True)
class StoredPart:
    """A part that the store holds, durably."""

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
    """A key in a listing; ``modified`` is when it was published, not when its first byte came."""

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
class Honesty:
    """What a store was seen to enforce. A name is true only if the probe saw it."""

    refuses_wrong_checksum: bool
    refuses_overwrite: bool
    refuses_tampered_signature: bool
    reads_ranges_right: bool
    reads_multipart_right: bool
    remarks: tuple[str, ...] = field(default=())

    @property
    def is_honest(self) -> bool:
        """Whether presigned keys may be served as they are."""
        return all(
            (
                self.refuses_wrong_checksum,
                self.refuses_overwrite,
                self.refuses_tampered_signature,
                self.reads_ranges_right,
                self.reads_multipart_right,
            )
        )


def is_key(text: str) -> bool:
    """Whether this could be a key: nothing else needs to be looked for."""
    return _KEY.fullmatch(text) is not None


def check_key(key: str) -> str:
    """The key itself, if it is ``<purpose>/<uuid>/<uuid>`` in lower case. The only rule of keys.

    Raises:
        ValueError: it is anything else. Keys are made by us, so this is a bug or an attack, never a typing error.
    """
    if not is_key(key):
        raise ValueError(f"{key!r} is not a storage key.")
    return key


def part_sizes(size: int, part_size: int) -> tuple[int, int]:
    """How many parts a file of ``size`` bytes has, and how long the last one is.

    Raises:
        ValueError: a size is not positive, or there would be more than 10,000 parts.
    """
    if size < 1 or part_size < 1:
        raise ValueError("A multipart upload has at least one byte in each part.")
    count = -(-size // part_size)
    if count > MOST_PARTS:
        raise ValueError(f"{count} parts are more than {MOST_PARTS}.")
    return count, size - (count - 1) * part_size


class BlobStore(Protocol):
    """A place for bytes. Every method is synchronous, and may be called from any thread."""

    def put_request(self, key: str, size: int, sha256: str | None, expires: timedelta) -> SignedRequest:
        """How to PUT a whole file; the PUT is refused if the key is written by then."""
        ...

    def start(self, key: str, size: int, part_size: int) -> str:
        """Open a multipart upload, and give its id.

        Raises:
            KeyTaken, StoreFull, StoreUnavailable
        """
        ...

    def part_request(self, key: str, upload: str, number: int, size: int, expires: timedelta) -> SignedRequest:
        """How to PUT one part; numbers begin at 1.

        Raises:
            NoSuchUpload: also later, from the URL: a bucket is not asked.
            ValueError: no upload has a part of this number and size, or this one has not, as far as the store knows.
        """
        ...

    def parts(self, key: str, upload: str) -> list[StoredPart]:
        """The parts that are held, by number.

        Raises:
            NoSuchUpload
        """
        ...

    def finish(self, key: str, upload: str, parts: Sequence[NamedPart]) -> None:
        """Publish the upload under its key: all or nothing. May be repeated after success.

        Raises:
            PartsWrong, NoSuchUpload, StoreUnavailable
            KeyTaken: another upload was published there first; this one stays open until it is aborted.
        """
        ...

    def abort(self, key: str, upload: str) -> None:
        """Throw an open upload away. May be repeated; does nothing after finish."""
        ...

    def download_request(self, key: str, file_name: str, sha256: str, expires: timedelta) -> SignedRequest:
        """A URL that serves the bytes and ranges of them, as an attachment of this name."""
        ...

    def stored(self, key: str) -> Stored | None:
        """What is there, or None. What it answers is durable."""
        ...

    def wait_digest(self, key: str, timeout_seconds: float) -> Digest | None:
        """The digest that the store made while the bytes came in, which may be a moment behind the last byte."""
        ...

    def read(self, key: str, start: int, length: int, version: str | None = None) -> Iterator[bytes]:
        """Bytes for verification, in pieces of at most 1 MiB; fewer than ``length`` at the end of the file.

        Raises:
            NoSuchKey, OtherVersion: at the call, not at the first piece.
            StoreUnavailable: also in the middle.
        """
        ...

    def copy(self, key: str, to: str, version: str | None = None) -> None:
        """The same bytes under a second key, without moving them through this process.

        Raises:
            NoSuchKey, OtherVersion, KeyTaken, StoreUnavailable
        """
        ...

    def delete(self, key: str) -> None:
        """Forget the key; running reads may finish. May be called twice."""
        ...

    def keys(self, prefix: str) -> Iterator[StoredKey]:
        """Every key that begins with ``prefix``."""
        ...

    def open_uploads(self, before: datetime) -> Iterator[OpenUpload]:
        """Uploads that were started before then and are still open."""
        ...

    def free_bytes(self) -> int | None:
        """How many bytes still fit, or None where nobody can tell."""
        ...

    def whole_bytes(self) -> int | None:
        """How many would fit if nothing were there, or None where nobody can tell."""
        ...

    def probe(self) -> Honesty:
        """What this store really enforces, tried out on keys of its own."""
        ...
