"""Downloading a file whose source does not say its size: the upload grows part by part."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from modelyard.server.database.session import Database
from modelyard.server.imports.downloads.download import (
    Progress,
    Reporter,
    check_continued,
    check_is_whole,
    check_start,
    find_unfinished_part,
    kept_if_cut,
    list_first_parts,
    read_strong_etag,
    request_rest,
    stop_if_interrupted,
)
from modelyard.server.imports.downloads.unfinished_parts import UnfinishedPart
from modelyard.server.imports.sources.found import FoundFile
from modelyard.server.imports.sources.requests import translate_outbound_errors
from modelyard.server.outbound.client import OutboundClient, OutboundResponse
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import MAX_PARTS, BlobStore, NamedPart
from modelyard.server.teams.context import TeamContext
from modelyard.server.uploads.multipart import MIN_PART_SIZE, resize_own_upload
from modelyard.server.uploads.tables import UploadRow
from modelyard.wire import problems


def choose_first_size(settings: Settings) -> int:
    """Return the size in bytes that is reserved for a file of unknown size at first: that of one part."""
    return settings.part_size or MIN_PART_SIZE


def count_kept_parts(upload: UploadRow, before: Progress) -> int:
    """Return how many parts of earlier runs are continued, of those that ``before`` reports.

    If all of the file is stored, the last part is downloaded again, so that there are bytes to ask for.
    """
    if before.etag is None or not upload.part_size:
        return 0
    return max(min(before.bytes_done, upload.file_size - 1), 0) // upload.part_size


@dataclass
class GrowingUpload:
    """The open multipart upload of a file whose size is not known; ``row.file_size`` is what is reserved so far."""

    database: Database
    store: BlobStore
    team: TeamContext
    settings: Settings
    row: UploadRow

    @property
    def multipart_id(self) -> str:
        """The id of the multipart upload."""
        return self.row.multipart_id or ""

    @property
    def part_size(self) -> int:
        """The size of each part but the last."""
        return self.row.part_size or self.row.file_size

    def resize(self, size: int) -> None:
        """Set the size; raises ``QuotaExceeded`` or ``StorageFull`` if the file does not fit."""
        if size != self.row.file_size:
            self.row = resize_own_upload(self.database, self.store, self.team, self.settings, self.row, size)

    def _choose_next_size(self, end: int) -> int:
        """Return the size to reserve after ``end`` bytes: a quarter more, of whole parts, so that it is done seldom."""
        parts = max(-(-end // (4 * self.part_size)), 1)
        return min(end + parts * self.part_size, max(self.part_size * MAX_PARTS, end))

    def align_store(self) -> None:
        """Set the store's size to the reserved one: an earlier run may have ended between the two changes."""
        self.store.resize_multipart(self.row.storage_key, self.multipart_id, self.row.file_size)

    def put_part(self, number: int, part: bytes, *, is_last: bool) -> NamedPart:
        """Store a part; reserves more if that was the last reserved one, and what is left over is freed at the end."""
        end = (number - 1) * self.part_size + len(part)
        if is_last:
            self.resize(end)
        elif end >= self.row.file_size:
            try:
                self.resize(self._choose_next_size(end))
            except (problems.QuotaExceeded, problems.StorageFull):
                self.resize(end + self.part_size)
        return NamedPart(number, self.store.put_part(self.row.storage_key, self.multipart_id, number, part))


def download_unsized_file(
    client: OutboundClient, upload: GrowingUpload, file: FoundFile, before: Progress, reporter: Reporter
) -> str | None:
    """Download a file into an upload that grows, and complete it; see ``download_file``.

    ``file.sha256`` is the expected hash, if there is one.

    Raises:
        QuotaExceeded, StorageFull: the file does not fit.
        SourceChanged: the file is empty.
        LinkRefused: it has more bytes than ``MAX_PARTS`` parts; or neither it nor a hash says where it ends.
        ReadStopped, SourceUnavailable, SourceNotFound, SourceRestricted, StoreError: see ``download_file``.
    """
    kept = count_kept_parts(upload.row, before)
    named = list_first_parts(upload.store, upload.row, upload.multipart_id)[:kept]
    start = len(named) * upload.part_size
    upload.align_store()
    hasher = hashlib.sha256()
    part = find_unfinished_part(reporter, upload.multipart_id, start, before.etag, None)
    with translate_outbound_errors(), request_rest(client, file, part, before.etag) as response:
        begins = part.start + part.size
        end = _check_end(response, begins, before, reporter)
        end = file.size if end is None else end
        _check_can_end(response, end, file)
        _check_part_count(end or 0, upload.part_size)
        if end is not None:
            upload.resize(end)
        progress = Progress(start, read_strong_etag(response), part.size, begins > 0 and file.sha256 is None)
        check_continued(reporter.report(progress))
        limit = upload.part_size * MAX_PARTS - begins
        body = stop_if_interrupted(response.iterate(limit if end is None else end - begins), reporter)
        with kept_if_cut(reporter, upload.row, part):
            for content, is_last in _iterate_parts(body, part, end, upload.part_size):
                hasher.update(content)
                named.append(upload.put_part(len(named) + 1, content, is_last=is_last))
                progress = replace(progress, bytes_done=progress.bytes_done + len(content), bytes_kept=0)
                check_continued(reporter.report(progress))
    if progress.bytes_done == start:
        raise problems.SourceChanged(f"'{response.url.host}' sent a file without bytes.")
    upload.store.finish_multipart(upload.row.storage_key, upload.multipart_id, named)
    return None if start else hasher.hexdigest()


def _check_end(response: OutboundResponse, start: int, before: Progress, reporter: Reporter) -> int | None:
    """Return where the file ends, None if the source does not say it.

    Raises:
        SourceUnavailable: it has other content than before; the next run starts anew.
    """
    begins, end = (None, None) if response.status == 416 else check_start(response, start, None)
    is_other = begins != start or (end is not None and end <= start)
    if is_other or (start and read_strong_etag(response) not in (None, before.etag)):
        reporter.report(Progress(0, None))
        raise problems.SourceUnavailable("The source has other content than before.", retry_after=1)
    return end


def _check_can_end(response: OutboundResponse, end: int | None, file: FoundFile) -> None:
    """Check that the end of the file can be distinguished from an interruption; raises ``LinkRefused``."""
    is_chunked = "chunked" in response.headers.get("transfer-encoding", "").lower()
    if end is None and not is_chunked and file.sha256 is None:
        raise problems.LinkRefused(
            f"'{response.url.host}' says neither how long the file is nor where it ends, so an interrupted download "
            "would look complete. Download it yourself, and upload it."
        )


def _check_part_count(size: int, part_size: int) -> None:
    """Check that a file has at most ``MAX_PARTS`` parts; raises ``LinkRefused``."""
    if size > part_size * MAX_PARTS:
        raise problems.LinkRefused(
            f"The file has {size} bytes, more than {MAX_PARTS} parts of {part_size}. Download it yourself, and "
            "upload it."
        )


def _iterate_parts(
    body: Iterator[bytes], part: UnfinishedPart, end: int | None, part_size: int
) -> Iterator[tuple[bytes, bool]]:
    """Yield the parts of a body that continues ``part``, and whether each is the last; nothing for an empty body.

    ``part`` has the rest if reading fails.

    Raises:
        SourceUnavailable: the body ended before ``end``, unless that is None; the last part is not yielded then.
    """
    with translate_outbound_errors(retry_after=1):
        for piece in body:
            rest = piece
            while part.size + len(rest) > part_size:
                missing = part_size - part.size
                part.add(rest[:missing])
                yield part.complete(), False
                rest = rest[missing:]
            part.add(rest)
    if end is not None:
        check_is_whole(part.start + part.size, end)
    if part.size:
        yield part.complete(), True
