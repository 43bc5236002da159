"""The local store: a ``BlobStore`` in one folder. Module ``folder`` describes the layout."""

import base64
import io
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from modelyard.server.storage.blob_store import (
    Capabilities,
    Digest,
    KeyTaken,
    NamedPart,
    NoSuchKey,
    NoSuchUpload,
    OpenUpload,
    SignedRequest,
    StoredKey,
    StoredObject,
    StoredPart,
    StoreUnavailable,
    VersionChanged,
    split_into_parts,
    validate_key,
)
from modelyard.server.storage.local.folder import (
    FolderLock,
    ObjectMetadata,
    StorageFolder,
    find_metadata,
    get_file_version,
)
from modelyard.server.storage.local.fsync import fsync_folder, rename_folder, translate_disk_errors, write_file
from modelyard.server.storage.local.incremental_hash import HashThreads
from modelyard.server.storage.local.multipart import LocalUpload, PartWriter
from modelyard.server.storage.local.object_writer import WholeObjectWriter
from modelyard.server.storage.local.parts_journal import JOURNAL
from modelyard.server.storage.local.probe import probe
from modelyard.server.storage.local.signing import CHECKSUM_HEADER, Signer
from modelyard.server.storage.url_server import UrlServer

_PIECE = 1 << 20


class LocalStore:
    """A ``BlobStore`` in a folder, with the additional methods that its own routes need."""

    def __init__(
        self,
        root: Path,
        secret: bytes,
        *,
        url_prefix: str = "/blobs/",
        now: Callable[[], float] = time.time,
        hash_threads: int = 2,
    ) -> None:
        self.folder = StorageFolder(root)
        self.signer = Signer(secret)
        self.now = now
        self._url_prefix = url_prefix
        self._hash_threads = HashThreads(hash_threads)
        self._lock = threading.Lock()
        self._uploads: dict[str, LocalUpload] = {}

    def delete_leftovers(self, folder_lock: FolderLock) -> int:
        """Delete what a dead process left half-written, and return the number. Call it before the first request."""
        with translate_disk_errors():
            return self.folder.delete_leftovers(folder_lock)

    def close(self) -> None:
        """Stop the hashing threads and wait for them. Idempotent."""
        self._hash_threads.close()

    # BlobStore: signed requests.

    def presign_put(self, key: str, size: int, sha256: str | None, expires: timedelta) -> SignedRequest:
        """See ``BlobStore.presign_put``; the SHA-256 is compared with the bytes before they are published."""
        headers = {"Content-Length": str(size), "If-None-Match": "*"}
        signed = {"size": str(size)}
        if sha256 is not None:
            headers[CHECKSUM_HEADER] = base64.b64encode(bytes.fromhex(sha256)).decode("ascii")
            signed["sha256"] = sha256
        return self._build_signed_request("PUT", key, headers, signed, expires)

    def presign_part(self, key: str, upload: str, number: int, size: int, expires: timedelta) -> SignedRequest:
        """See ``BlobStore.presign_part``; raises ``NoSuchUpload`` unless the upload is open.

        Raises:
            ValueError: the part has another size.
        """
        if self._find_open_upload(key, upload).part_size(number) != size:
            raise ValueError(f"Part {number} does not have {size} bytes.")
        signed = {"part": str(number), "size": str(size), "upload": upload}
        return self._build_signed_request("PUT", key, {"Content-Length": str(size)}, signed, expires)

    def presign_download(self, key: str, file_name: str, sha256: str, expires: timedelta) -> SignedRequest:
        """See ``BlobStore.presign_download``; ``sha256`` is sent as the ETag and not compared with the bytes.

        Raises:
            ValueError: ``sha256`` is not one.
        """
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise ValueError(f"{sha256!r} is not a SHA-256.")
        return self._build_signed_request("GET", key, {}, {"name": file_name, "sha256": sha256}, expires)

    # BlobStore: multipart uploads.

    def start_multipart(self, key: str, size: int, part_size: int) -> str:
        """See ``BlobStore.start_multipart``; the upload survives a restart."""
        split_into_parts(size, part_size)
        self._require_unused_key(key)
        metadata = ObjectMetadata(key, secrets.token_hex(16), size, part_size, self.now())
        staging = self.folder.create_staging_folder(metadata)
        try:
            with translate_disk_errors():
                write_file(staging / JOURNAL, b"")
                fsync_folder(staging)
                rename_folder(staging, self.folder.uploads / metadata.upload)
                fsync_folder(self.folder.uploads)
        except BaseException:
            self.folder.delete_folder(staging)
            raise
        return metadata.upload

    def resize_multipart(self, key: str, upload: str, size: int) -> None:
        """See ``BlobStore.resize_multipart``; the incremental hash continues."""
        self._find_open_upload(key, upload).resize(size)

    def put_part(self, key: str, upload: str, number: int, content: bytes) -> str:
        """See ``BlobStore.put_part``; the file is hashed as its parts arrive in order.

        Raises:
            ValueError: the part has another size.
        """
        if self._find_open_upload(key, upload).part_size(number) != len(content):
            raise ValueError(f"Part {number} does not have {len(content)} bytes.")
        writer = self.open_part_writer(key, upload, number)
        try:
            writer.write([content])
            return writer.commit()
        finally:
            writer.discard()

    def list_parts(self, key: str, upload: str) -> list[StoredPart]:
        """See ``BlobStore.list_parts``; a part that is being written again is not listed."""
        return self._find_open_upload(key, upload).list_parts()

    def finish_multipart(self, key: str, upload: str, parts: Sequence[NamedPart]) -> None:
        """See ``BlobStore.finish_multipart``; a repetition makes the name of the object durable again."""
        try:
            self._find_open_upload(key, upload).finish(parts)
        except NoSuchUpload:
            metadata = find_metadata(self.folder.get_object_folder(key))
            if metadata is None or metadata.upload != upload:
                raise
            self.folder.fsync_key(key)
        with self._lock:
            self._uploads.pop(upload, None)

    def abort_multipart(self, key: str, upload: str) -> None:
        """See ``BlobStore.abort_multipart``; an unknown upload is ignored."""
        with suppress(NoSuchUpload):
            self._find_open_upload(key, upload).abort()
        with self._lock:
            self._uploads.pop(upload, None)

    def list_open_uploads(self, before: datetime) -> Iterator[OpenUpload]:
        """See ``BlobStore.list_open_uploads``; uploads that end during the iteration may be left out."""
        for folder in sorted(self.folder.uploads.iterdir()):
            metadata = find_metadata(folder)
            if metadata is not None and metadata.started_at < before:
                yield OpenUpload(metadata.key, metadata.upload, metadata.started_at)

    # BlobStore: objects.

    def stat(self, key: str) -> StoredObject | None:
        """See ``BlobStore.stat``; the digest is given if this process hashed the bytes while they were written."""
        if not self.folder.is_published(key):
            return None
        with suppress(FileNotFoundError):
            status = (self.folder.get_object_folder(key) / "bytes").stat()
            incremental_hash = self._hash_threads.find_hash(key)
            return StoredObject(
                status.st_size, incremental_hash.digest if incremental_hash else None, get_file_version(status)
            )
        return None

    def stat_quickly(self, key: str) -> StoredObject | None:
        """Return the same as ``stat``, which needs no network."""
        return self.stat(key)

    @property
    def hashes_uploads(self) -> bool:
        """See ``BlobStore.hashes_uploads``."""
        return True

    def wait_for_digest(self, key: str, timeout_seconds: float) -> Digest | None:
        """See ``BlobStore.wait_for_digest``; returns None at once for a key that this process did not hash."""
        incremental_hash = self._hash_threads.find_hash(validate_key(key))
        return incremental_hash.wait_for_digest(timeout_seconds) if incremental_hash else None

    def read(self, key: str, start: int, length: int, version: str | None = None) -> Iterator[bytes]:
        """See ``BlobStore.read``; the file stays open until the iterator ends or is closed."""
        return _read_pieces(self._open_version(key, version), start, length)

    def copy(self, key: str, to: str, version: str | None = None) -> None:
        """See ``BlobStore.copy``; the copy is a hard link to the same bytes, with their digest.

        Raises:
            KeyTaken: ``to`` has an object already.
        """
        with self._open_version(key, version) as source:
            metadata = ObjectMetadata(to, "", source.seek(0, io.SEEK_END), 1, self.now())
        self._require_unused_key(to)
        # Bytes under a key never change, so a hard link is a copy.
        staging = self.folder.create_staging_folder(metadata, link=self.folder.get_object_folder(key) / "bytes")
        if not self.folder.publish(staging, to, None):
            self.folder.delete_folder(staging)
            raise KeyTaken("The key has an object already.")
        self._hash_threads.set_hash(to, self._hash_threads.find_hash(key))

    def put(self, key: str, content: bytes) -> None:
        """See ``BlobStore.put``; the bytes are published like those of an uploaded file, but not hashed.

        Raises:
            KeyTaken: the key has an object already.
        """
        self._require_unused_key(key)
        metadata = ObjectMetadata(key, "", len(content), max(len(content), 1), self.now())
        staging = self.folder.create_staging_folder(metadata, content=content)
        if not self.folder.publish(staging, key, None):
            self.folder.delete_folder(staging)
            raise KeyTaken("The key has an object already.")

    def delete(self, key: str) -> None:
        """See ``BlobStore.delete``; bytes with another link, as of a copy, stay under that key."""
        self.folder.delete_folder(self.folder.get_object_folder(key))
        self._hash_threads.set_hash(key, None)

    def list_keys(self, prefix: str) -> Iterator[StoredKey]:
        """See ``BlobStore.list_keys``; sorted by key, objects that are deleted meanwhile may be left out.

        Raises:
            StoreUnavailable: the folder of the models is missing.
        """
        if not self.folder.objects.is_dir():
            raise StoreUnavailable("The folder of the models is missing.")
        purpose = prefix.split("/", maxsplit=1)[0] if "/" in prefix else "*"
        for bytes_file in sorted(self.folder.objects.glob(f"{purpose}/*/*/bytes")):
            key = str(bytes_file.parent.relative_to(self.folder.objects))
            if key.startswith(prefix):
                with suppress(FileNotFoundError):
                    published = datetime.fromtimestamp(bytes_file.parent.stat().st_mtime, UTC)
                    yield StoredKey(key, bytes_file.stat().st_size, published)

    def get_free_bytes(self) -> int:
        return self.folder.get_free_bytes()

    def get_total_bytes(self) -> int:
        return self.folder.get_total_bytes()

    def probe(self) -> Capabilities:
        return probe(self)

    # BlobStore: how it is served.

    is_remote = False
    public_origin = None

    def get_url_server(self) -> UrlServer:
        return self

    # Used by the routes.

    def open_whole_writer(self, key: str, size: int, sha256: str | None) -> WholeObjectWriter:
        """Return a writer that receives a whole file.

        Raises:
            KeyTaken: the key has an object already.
            StoreFull, StoreUnavailable
        """
        self._require_unused_key(key)
        return WholeObjectWriter(
            self.folder, ObjectMetadata(key, "", size, max(size, 1), self.now()), sha256, self._hash_threads
        )

    def open_part_writer(self, key: str, upload: str, number: int) -> PartWriter:
        """Return a writer that receives one part; see ``LocalUpload.open_part_writer`` for what else it raises.

        Raises:
            StoreFull: also where this part fits, but not the rest of the file; see ``_require_space_for_rest``.
        """
        open_upload = self._find_open_upload(key, upload)
        self._require_space_for_rest(open_upload)
        return open_upload.open_part_writer(number)

    def _require_space_for_rest(self, upload: LocalUpload) -> None:
        """Require space for the rest of a file and for the rest of the receiving upload that needs least.

        So an upload that cannot finish is rejected before it fills the disk, and of several uploads that compete for
        the last space, one always finishes. Receiving are this process's uploads with a writer within the last minute.

        Raises:
            StoreFull
        """
        with self._lock:
            received = [
                candidate for candidate in self._uploads.values() if candidate.is_receiving or candidate is upload
            ]
        missing_bytes = {candidate.metadata.upload: candidate.count_missing_bytes() for candidate in received}
        own_missing = missing_bytes[upload.metadata.upload]
        first = min(missing_bytes, key=lambda name: (missing_bytes[name], name))
        self.folder.require_free_space(
            own_missing if first == upload.metadata.upload else own_missing + missing_bytes[first]
        )

    def open_object(self, key: str) -> io.FileIO:
        """Open the bytes of a published key for reading; the caller closes the file.

        Raises:
            NoSuchKey
        """
        if self.folder.is_published(key):
            with translate_disk_errors(), suppress(FileNotFoundError):
                return io.FileIO(self.folder.get_object_folder(key) / "bytes")
        raise NoSuchKey("No object has this key.")

    def _open_version(self, key: str, version: str | None) -> io.FileIO:
        """Open an object for the caller to close; its version must be the given one unless that is None.

        Raises:
            NoSuchKey, VersionChanged
        """
        file = self.open_object(key)
        if version not in {None, get_file_version(os.fstat(file.fileno()))}:
            file.close()
            raise VersionChanged("The object under this key has changed.")
        return file

    def _require_unused_key(self, key: str) -> None:
        """Check that the key has no object.

        Raises:
            KeyTaken: it has one.
        """
        if self.folder.is_published(key):
            raise KeyTaken("The key has an object already.")

    def _find_open_upload(self, key: str, upload: str) -> LocalUpload:
        """Return the open upload of a key; one that this process has not used yet is loaded from its folder.

        Raises:
            NoSuchUpload: it is not open, or belongs to another key.
        """
        validate_key(key)
        with self._lock:
            open_upload = self._uploads.get(upload)
            if open_upload is None and re.fullmatch("[0-9a-f]{32}", upload):
                metadata = find_metadata(self.folder.uploads / upload)
                if metadata is not None:
                    open_upload = self._uploads[upload] = LocalUpload(self.folder, metadata, self._hash_threads)
        if open_upload is None or open_upload.metadata.key != key:
            raise NoSuchUpload("This key has no such open upload.")
        return open_upload

    def _build_signed_request(
        self, method: str, key: str, headers: Mapping[str, str], signed: Mapping[str, str], expires: timedelta
    ) -> SignedRequest:
        """Sign a relative URL that expires after ``expires``; ``signed`` becomes part of it, ``headers`` do not."""
        until = int(self.now() + expires.total_seconds())
        query = self.signer.sign(method, validate_key(key), {**signed, "expires": str(until)})
        return SignedRequest(method, f"{self._url_prefix}{key}?{query}", headers, datetime.fromtimestamp(until, UTC))


def _read_pieces(file: io.FileIO, start: int, length: int) -> Iterator[bytes]:
    """Yield up to ``length`` bytes in pieces of at most 1 MiB; close the file then, or when the iterator is closed."""
    with file:
        file.seek(start)
        while length > 0:
            with translate_disk_errors():
                piece = file.read(min(_PIECE, length))
            if not piece:
                return
            length -= len(piece)
            yield piece
