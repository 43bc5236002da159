"""The local store: a folder that keeps the promise of ``blob_store``. ``folder`` draws what is in it."""

import base64
import io
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from modelyard.server.storage.blob_store import (
    Digest,
    Honesty,
    KeyTaken,
    NamedPart,
    NoSuchKey,
    NoSuchUpload,
    OpenUpload,
    SignedRequest,
    Stored,
    StoredKey,
    StoredPart,
    StoreUnavailable,
    check_key,
    part_sizes,
)
from modelyard.server.storage.durable import disk_errors, fsync_folder, move_folder, write_file
from modelyard.server.storage.folder import About, Folder, FolderLock, read_about
from modelyard.server.storage.following import Hashers
from modelyard.server.storage.journal import JOURNAL
from modelyard.server.storage.local_probe import probe
from modelyard.server.storage.multipart import LocalUpload, PartWriting
from modelyard.server.storage.signing import Signer
from modelyard.server.storage.writing import WholeWriting

CHECKSUM_HEADER = "x-amz-checksum-sha256"
_PIECE = 1 << 20


class LocalStore:
    """A ``BlobStore`` in a folder. Beside the promise it has what its own routes need, and a beginning and an end."""

    def __init__(
        self,
        root: Path,
        secret: bytes,
        *,
        url_prefix: str = "/blobs/",
        now: Callable[[], float] = time.time,
        hash_threads: int = 2,
    ) -> None:
        self.folder = Folder(root)
        self.signer = Signer(secret)
        self.now = now
        self._url_prefix = url_prefix
        self._hashers = Hashers(hash_threads)
        self._lock = threading.Lock()
        self._uploads: dict[str, LocalUpload] = {}

    def recover(self, held: FolderLock) -> int:
        """Sweep what a dead process left half-written, and count it. Call once, before the first request."""
        with disk_errors():
            return self.folder.recover(held)

    def close(self) -> None:
        """Stop the hashing threads. May be called twice."""
        self._hashers.close()

    # The promise: requests.

    def put_request(self, key: str, size: int, sha256: str | None, expires: timedelta) -> SignedRequest:
        headers = {"Content-Length": str(size), "If-None-Match": "*"}
        signed = {"size": str(size)}
        if sha256 is not None:
            headers[CHECKSUM_HEADER] = base64.b64encode(bytes.fromhex(sha256)).decode("ascii")
            signed["sha256"] = sha256
        return self._signed("PUT", key, headers, signed, expires)

    def part_request(self, key: str, upload: str, number: int, size: int, expires: timedelta) -> SignedRequest:
        if self._upload(key, upload).part_size(number) != size:
            raise ValueError(f"Part {number} does not have {size} bytes.")
        signed = {"part": str(number), "size": str(size), "upload": upload}
        return self._signed("PUT", key, {"Content-Length": str(size)}, signed, expires)

    def download_request(self, key: str, file_name: str, sha256: str, expires: timedelta) -> SignedRequest:
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise ValueError(f"{sha256!r} is not a SHA-256.")
        return self._signed("GET", key, {}, {"name": file_name, "sha256": sha256}, expires)

    # The promise: multipart uploads.

    def start(self, key: str, size: int, part_size: int) -> str:
        part_sizes(size, part_size)
        self._check_is_free(key)
        about = About(key, secrets.token_hex(16), size, part_size, self.now())
        private = self.folder.new_private(about)
        try:
            with disk_errors():
                write_file(private / JOURNAL, b"")
                fsync_folder(private)
                move_folder(private, self.folder.uploads / about.upload)
                fsync_folder(self.folder.uploads)
        except BaseException:
            self.folder.throw_away(private)
            raise
        return about.upload

    def parts(self, key: str, upload: str) -> list[StoredPart]:
        return self._upload(key, upload).parts()

    def finish(self, key: str, upload: str, parts: Sequence[NamedPart]) -> None:
        try:
            self._upload(key, upload).finish(parts)
        except NoSuchUpload:
            about = read_about(self.folder.object(key))
            if about is None or about.upload != upload:
                raise
            self.folder.make_sure(key)
        with self._lock:
            self._uploads.pop(upload, None)

    def abort(self, key: str, upload: str) -> None:
        with suppress(NoSuchUpload):
            self._upload(key, upload).abort()
        with self._lock:
            self._uploads.pop(upload, None)

    def open_uploads(self, before: datetime) -> Iterator[OpenUpload]:
        for folder in sorted(self.folder.uploads.iterdir()):
            about = read_about(folder)
            if about is not None and about.started_at < before:
                yield OpenUpload(about.key, about.upload, about.started_at)

    # The promise: bytes.

    def stored(self, key: str) -> Stored | None:
        if not self.folder.is_published(key):
            return None
        with suppress(FileNotFoundError):
            size = (self.folder.object(key) / "bytes").stat().st_size
            following = self._hashers.of(key)
            return Stored(size, following.digest if following else None)
        return None

    def wait_digest(self, key: str, timeout_seconds: float) -> Digest | None:
        following = self._hashers.of(check_key(key))
        return following.wait(timeout_seconds) if following else None

    def read(self, key: str, start: int, length: int, version: str | None = None) -> Iterator[bytes]:  # noqa: ARG002 - here a key has one version
        return _pieces(self.open_object(key), start, length)

    def copy(self, key: str, to: str, version: str | None = None) -> None:  # noqa: ARG002 - here a key has one version
        with self.open_object(key) as source:
            about = About(to, "", source.seek(0, io.SEEK_END), 1, self.now())
        self._check_is_free(to)
        # Bytes under a key never change, so a second name for them is a copy.
        private = self.folder.new_private(about, link=self.folder.object(key) / "bytes")
        if not self.folder.publish(private, to, None):
            self.folder.throw_away(private)
            raise KeyTaken("The key is written already.")
        self._hashers.remember(to, self._hashers.of(key))

    def delete(self, key: str) -> None:
        self.folder.throw_away(self.folder.object(key))
        self._hashers.remember(key, None)

    def keys(self, prefix: str) -> Iterator[StoredKey]:
        if not self.folder.objects.is_dir():
            raise StoreUnavailable("The folder of the models is gone.")
        purpose = prefix.split("/", maxsplit=1)[0] if "/" in prefix else "*"
        for bytes_file in sorted(self.folder.objects.glob(f"{purpose}/*/*/bytes")):
            key = str(bytes_file.parent.relative_to(self.folder.objects))
            if key.startswith(prefix):
                with suppress(FileNotFoundError):
                    published = datetime.fromtimestamp(bytes_file.parent.stat().st_mtime, UTC)
                    yield StoredKey(key, bytes_file.stat().st_size, published)

    def free_bytes(self) -> int:
        return self.folder.free_bytes()

    def whole_bytes(self) -> int:
        return self.folder.whole_bytes()

    def probe(self) -> Honesty:
        return probe(self)

    # What the routes need.

    def write_whole(self, key: str, size: int, sha256: str | None) -> WholeWriting:
        """Begin to receive a whole file.

        Raises:
            KeyTaken: it is there already.
            StoreFull, StoreUnavailable
        """
        self._check_is_free(key)
        return WholeWriting(self.folder, About(key, "", size, max(size, 1), self.now()), sha256, self._hashers)

    def write_part(self, key: str, upload: str, number: int) -> PartWriting:
        """Begin to receive one part; see ``LocalUpload.write_part``."""
        return self._upload(key, upload).write_part(number)

    def open_object(self, key: str) -> io.FileIO:
        """Published bytes, for reading; the caller closes them.

        Raises:
            NoSuchKey
        """
        if self.folder.is_published(key):
            with disk_errors(), suppress(FileNotFoundError):
                return io.FileIO(self.folder.object(key) / "bytes")
        raise NoSuchKey("There are no bytes under this key.")

    def _check_is_free(self, key: str) -> None:
        if self.folder.is_published(key):
            raise KeyTaken("The key is written already.")

    def _upload(self, key: str, upload: str) -> LocalUpload:
        check_key(key)
        with self._lock:
            found = self._uploads.get(upload)
            if found is None and re.fullmatch("[0-9a-f]{32}", upload):
                about = read_about(self.folder.uploads / upload)
                if about is not None:
                    found = self._uploads[upload] = LocalUpload(self.folder, about, self._hashers)
        if found is None or found.about.key != key:
            raise NoSuchUpload("There is no such open upload of this key.")
        return found

    def _signed(
        self, method: str, key: str, headers: Mapping[str, str], signed: Mapping[str, str], expires: timedelta
    ) -> SignedRequest:
        until = int(self.now() + expires.total_seconds())
        query = self.signer.sign(method, check_key(key), {**signed, "expires": str(until)})
        return SignedRequest(method, f"{self._url_prefix}{key}?{query}", headers, datetime.fromtimestamp(until, UTC))


def _pieces(file: io.FileIO, start: int, length: int) -> Iterator[bytes]:
    """Up to ``length`` bytes in pieces of at most 1 MiB; closes the file."""
    with file:
        file.seek(start)
        while length > 0:
            with disk_errors():
                piece = file.read(min(_PIECE, length))
            if not piece:
                return
            length -= len(piece)
            yield piece
