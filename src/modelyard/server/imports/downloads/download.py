"""Downloading a source's file into the parts of an upload, from where an interrupted run ended."""

import hashlib
import re
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from modelyard.server.imports.downloads.unfinished_parts import UnfinishedPart, UnfinishedParts
from modelyard.server.imports.sources.direct import read_size
from modelyard.server.imports.sources.found import FoundFile
from modelyard.server.imports.sources.requests import check_response, translate_outbound_errors
from modelyard.server.outbound.client import OutboundClient, OutboundResponse
from modelyard.server.storage.blob_store import BlobStore, NamedPart
from modelyard.server.storage.digest import ReadStopped
from modelyard.server.uploads.tables import UploadRow
from modelyard.wire import problems

_content_range = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True)
class Progress:
    """What a download reports: bytes that are stored durably, and the strong ETag of their content.

    ``bytes_kept`` are those after them that are kept in memory, or taken from there. ``relies_on_etag``: no hash is
    declared, and the download continues an earlier one.
    """

    bytes_done: int
    etag: str | None
    bytes_kept: int = 0
    relies_on_etag: bool = False


class Interruptible(Protocol):
    """What says whether a download has to end."""

    def is_interrupted(self) -> bool:
        """Return whether the download has to end; called for each piece, so it is quick."""
        ...


class Reporter(Interruptible, Protocol):
    """What a download reports to, and where it keeps the part that it could not complete."""

    @property
    def unfinished(self) -> UnfinishedParts:
        """The unfinished parts of this process."""
        ...

    def report(self, progress: Progress) -> bool:
        """Store the progress; return False if the download has to end."""
        ...

    def keep_unfinished(self, multipart_id: str, part: UnfinishedPart) -> None:
        """Keep a part that could not be completed, if it is the next one after those that were reported."""
        ...


def download_file(
    client: OutboundClient, store: BlobStore, upload: UploadRow, file: FoundFile, before: Progress, reporter: Reporter
) -> str | None:
    """Download a file into the open multipart upload of ``upload``, and complete it.

    Parts that an earlier run stored are kept, up to those that it has reported (``before``), and so are the bytes of
    the part after them that it could not complete, if the source still has the content with the same ETag. If reading
    fails, the bytes of the unfinished part are kept for the next run. Returns the SHA-256 as hex if this run has hashed
    the whole file, else None; a store that hashes uploads does that itself.

    Raises:
        ReadStopped: the reporter says that the download has to end.
        SourceChanged: the source has another size than declared.
        SourceUnavailable, SourceNotFound, SourceRestricted, LinkRefused: see ``check_response``.
        StoreError: the store failed.
    """
    multipart_id, part_size = upload.multipart_id or "", upload.part_size or upload.file_size
    named = list_first_parts(store, upload, multipart_id) if before.etag else []
    del named[-(-before.bytes_done // part_size) :]
    start = min(len(named) * part_size, upload.file_size)
    # A store that hashes uploads reads them while they arrive: once is enough.
    hasher = None if store.hashes_uploads else hashlib.sha256()

    def put_part(number: int, part: bytes) -> NamedPart:
        """Hash a part if the store does not, and store it."""
        if hasher is not None:
            hasher.update(part)
        return NamedPart(number, store.put_part(upload.storage_key, multipart_id, number, part))

    if start < upload.file_size:
        part = find_unfinished_part(reporter, multipart_id, start, before.etag, upload.file_size)
        with translate_outbound_errors(), request_rest(client, file, part, before.etag) as response:
            part = _find_first_part(response, part, upload.file_size, before, reporter)
            start, begins = part.start, part.start + part.size
            del named[start // part_size :]
            progress = Progress(start, read_strong_etag(response), part.size, begins > 0 and file.sha256 is None)
            check_continued(reporter.report(progress))
            failed = threading.Event()
            body = stop_if_interrupted(response.iterate(upload.file_size - begins), reporter, failed)
            parts = enumerate(iterate_parts(body, part, upload.file_size, part_size), len(named) + 1)
            with closing(store_while_reading(parts, put_part, failed)) as stored, kept_if_cut(reporter, upload, part):
                for each, size in stored:
                    named.append(each)
                    progress = replace(progress, bytes_done=progress.bytes_done + size, bytes_kept=0)
                    check_continued(reporter.report(progress))
    store.finish_multipart(upload.storage_key, multipart_id, named)
    return None if start or hasher is None else hasher.hexdigest()


def _find_first_part(
    response: OutboundResponse, part: UnfinishedPart, size: int, before: Progress, reporter: Reporter
) -> UnfinishedPart:
    """Return the part that a body continues: ``part``, or the first one, empty, if all of the file is sent.

    Raises:
        SourceChanged, LinkRefused: see ``check_start``.
        SourceUnavailable: the range is not the requested one, or of other content; the next run starts anew.
    """
    asked = part.start + part.size
    begins, _ = check_start(response, asked, size)
    if begins and read_strong_etag(response) not in (None, before.etag):
        reporter.report(Progress(0, None))
        raise problems.SourceUnavailable("The source sent a range of other content.", retry_after=1)
    return part if begins == asked else UnfinishedPart(0)


def request_rest(
    client: OutboundClient, file: FoundFile, part: UnfinishedPart, etag: str | None
) -> AbstractContextManager[OutboundResponse]:
    """Request the file from the end of the unfinished part on, if its content still has this ETag; else all of it."""
    at = part.start + part.size
    headers = {"Range": f"bytes={at}-", "If-Range": etag or ""} if at else {}
    return client.request("GET", file.download_url, headers)


def find_unfinished_part(
    reporter: Reporter, multipart_id: str, start: int, etag: str | None, file_size: int | None
) -> UnfinishedPart:
    """Return the part at ``start`` with its bytes of an earlier run of this process; empty without any.

    At least one byte of the file is left to ask for: the last one is downloaded again.
    """
    kept = reporter.unfinished.find(multipart_id, start, etag)
    kept = kept[:-1] if file_size is None else kept[: file_size - 1 - start]
    return UnfinishedPart(start, [kept] if kept else [])


@contextmanager
def kept_if_cut(reporter: Reporter, upload: UploadRow, part: UnfinishedPart) -> Iterator[None]:
    """Keep the bytes of an unfinished part for the next run if the block ends because the source or the run does.

    What an earlier run has kept is dropped first: ``part`` continues it.
    """
    reporter.unfinished.drop(upload.multipart_id or "")
    try:
        yield
    except (problems.SourceUnavailable, ReadStopped):
        reporter.keep_unfinished(upload.multipart_id or "", part)
        raise


def store_while_reading(
    parts: Iterator[tuple[int, bytes]], put_part: Callable[[int, bytes], NamedPart], failed: threading.Event
) -> Generator[tuple[NamedPart, int]]:
    """Store each part in another thread while the next one is read; yield the stored ones in order, with their size.

    If reading fails, the part that is complete by then is stored and yielded first. ``failed`` is set once a part
    cannot be stored, so that reading can end at once; the error is raised after that.
    """

    def put(number: int, part: bytes) -> NamedPart:
        try:
            return put_part(number, part)
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(1, thread_name_prefix="import part") as thread:
        stored: Future[NamedPart] | None = None
        size, failure = 0, None
        while failure is None:
            try:
                number, part = next(parts)
            except Exception as error:  # noqa: BLE001 raised again below, unless it is the end
                failure = error
            if stored is not None:
                yield stored.result(), size
            if failure is None:
                stored, size = thread.submit(put, number, part), len(part)
        if not isinstance(failure, StopIteration):
            raise failure


def check_continued(is_continued: bool) -> None:
    """Raise ``ReadStopped`` if the download has to end."""
    if not is_continued:
        raise ReadStopped("The import was cancelled, or another worker has it.")


def list_first_parts(store: BlobStore, upload: UploadRow, multipart_id: str) -> list[NamedPart]:
    """Return the stored parts from the first on, up to the first one that is missing."""
    stored = {part.number: part for part in store.list_parts(upload.storage_key, multipart_id)}
    first: list[NamedPart] = []
    while (part := stored.get(len(first) + 1)) is not None:
        first.append(NamedPart(part.number, part.etag))
    return first


def check_start(response: OutboundResponse, start: int, size: int | None) -> tuple[int, int | None]:
    """Return where the body begins, at ``start`` for a part of the same content or at 0 for the whole, and its end.

    The end is the size of the whole file; None if the source does not say it.

    Raises:
        SourceChanged: the source has another size than the draft, unless that is None.
        SourceUnavailable: the range is not the requested one; the next try starts anew.
        LinkRefused: the body is not the file as it is.
    """
    name = f"'{response.url.host}'"
    if response.status == 416 and size is not None:
        raise problems.SourceChanged(f"{name} has fewer bytes than the {size} of the draft. Look the link up again.")
    check_response(response, name)
    _check_is_plain(response, name)
    if response.status == 206:
        found = _content_range.fullmatch(response.headers.get("content-range", ""))
        if found is None or int(found[1]) != start or found[3] not in ("*", str(int(found[2]) + 1)):
            raise problems.SourceUnavailable(f"{name} sent another range than requested.", retry_after=5)
        # Of a range of a file of unknown size, its own end is all that is known.
        total = None if found[3] == "*" and size is not None else int(found[2]) + 1
    else:
        start, total = 0, read_size(response.headers)
    if None not in (total, size) and total != size:
        raise problems.SourceChanged(
            f"The file has {total} bytes at {name}, not the {size} of the draft. Look the link up again."
        )
    return start, total


def _check_is_plain(response: OutboundResponse, name: str) -> None:
    """Check that the body is the file as it is, which is what was asked for; raises ``LinkRefused``."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise problems.LinkRefused(f"{name} sends the file only compressed ({encoding[:40]!r}). Upload it yourself.")


def read_strong_etag(response: OutboundResponse) -> str | None:
    """Return the ETag of a response if it is strong: only with it, a later run may ask for the rest."""
    etag = response.headers.get("etag", "")
    return etag if re.fullmatch(r'"[!#-~]{1,200}"', etag) else None


def stop_if_interrupted(
    pieces: Iterator[bytes], reporter: Interruptible, failed: threading.Event | None = None
) -> Iterator[bytes]:
    """Yield the pieces; raise ``ReadStopped`` once the download has to end, or ``failed`` is set."""
    for piece in pieces:
        check_continued(not reporter.is_interrupted())
        if failed is not None and failed.is_set():
            raise ReadStopped("A part cannot be stored.")
        yield piece


def check_is_whole(at: int, size: int) -> None:
    """Check that a body has ended at the end of the file; raises ``SourceUnavailable``."""
    if at != size:
        raise problems.SourceUnavailable(f"The source ended after {at} of {size} bytes.", retry_after=1)


def iterate_parts(body: Iterator[bytes], part: UnfinishedPart, size: int, part_size: int) -> Iterator[bytes]:
    """Yield the parts of a file of ``size`` bytes, whose body continues ``part``; this has the rest if reading fails.

    Raises:
        SourceUnavailable: the body ended early.
    """
    # The pause after failed tries in a row grows by itself.
    with translate_outbound_errors(retry_after=1):
        for piece in body:
            rest = piece
            while part.size + len(rest) >= part_size:
                missing = part_size - part.size
                part.add(rest[:missing])
                yield part.complete()
                rest = rest[missing:]
            part.add(rest)
    check_is_whole(part.start + part.size, size)
    if part.size:
        yield part.complete()
