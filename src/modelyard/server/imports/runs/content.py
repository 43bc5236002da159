"""The content of an import: downloaded or converted into the store, and compared with what was confirmed."""

from contextlib import suppress
from dataclasses import dataclass, replace

from modelyard.server.imports.conversions import convert_file, find_source
from modelyard.server.imports.downloads.download import Progress, download_file
from modelyard.server.imports.downloads.unsized_download import (
    GrowingUpload,
    choose_first_size,
    count_kept_parts,
    download_unsized_file,
)
from modelyard.server.imports.runs.import_run import ImportRun
from modelyard.server.imports.sources.found import FoundFile
from modelyard.server.imports.sources.lookup import find_model
from modelyard.server.storage.digest import ObjectHasher
from modelyard.server.uploads.multipart import begin_multipart, restart_own_upload, touch_upload
from modelyard.server.uploads.tables import UploadRow
from modelyard.wire import problems
from modelyard.wire.imports.jobs import NewImport
from modelyard.wire.pickles.conversions import DerivedFrom
from modelyard.wire.uploads import MultipartRequest

# No request waits for it, and without the store's digest all bytes are read once more.
DIGEST_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class StoredContent:
    """The content of an import: its SHA-256 as hex, empty if unknown, and the revision at which the source has it.

    ``preview_url`` is the address of a picture that the source has.
    """

    sha256: str
    revision: str | None = None
    preview_url: str | None = None


def store_content(run: ImportRun) -> StoredContent:
    """Download or convert the file if the store has not all of it, and return what the store has.

    Raises:
        SourceChanged: the source declares another size or hash than the draft, or the bytes have another hash.
    """
    source = run.converted_file
    if source is not None:
        _convert(run, source)
        return StoredContent(_hash_stored(run))
    found = find_model(run.sources, run.new.url)
    expected = _check_unchanged(found.file, run.new)
    computed = None
    if run.objects.store.stat(run.leased.row.storage_key) is None:
        computed = _download(run, replace(found.file, sha256=expected))
    actual = computed or _hash_stored(run)
    if expected is not None and actual != expected:
        raise problems.SourceChanged(
            f"The downloaded bytes have the hash sha256:{actual}, and the source declares sha256:{expected}."
        )
    # Bytes of an earlier run may be of another commit, unless the source declares their hash.
    return StoredContent(actual, found.revision if actual == found.file.sha256 else None, found.preview_url)


def _check_unchanged(found: FoundFile, new: NewImport) -> str | None:
    """Return the declared SHA-256, of the request or the source, or None without one; raises ``SourceChanged``."""
    declared = new.file_hash.removeprefix("sha256:") if new.file_hash else None
    if None not in (found.size, new.file_size) and found.size != new.file_size:
        raise problems.SourceChanged(
            f"The source has a file of {found.size} bytes, not {new.file_size} as the draft. Look the link up again."
        )
    if declared and found.sha256 and declared != found.sha256:
        raise problems.SourceChanged("The source declares another hash than the draft. Look the link up again.")
    return declared or found.sha256


def _download(run: ImportRun, found: FoundFile) -> str | None:
    """Download into the upload's parts; see ``download_file`` and ``download_unsized_file``."""
    row, database, store = run.leased.row, run.objects.database, run.objects.store
    stored = Progress(row.bytes_done, row.etag)
    upload = _begin_upload(run, stored)
    try:
        if run.new.file_size is not None:
            return download_file(run.sources.client, store, upload, found, stored, run.reporter)
        growing = GrowingUpload(database, store, run.team, run.settings, upload)
        return download_unsized_file(run.sources.client, growing, found, stored, run.reporter)
    finally:
        row.tries = 0 if run.reporter.has_continued else row.tries
        with suppress(problems.Unavailable):
            run.reporter.flush()
            touch_upload(database, upload)


def _begin_upload(run: ImportRun, stored: Progress) -> UploadRow:
    """Return the open upload of an import; anew if the size is not known, and nothing stored can be continued."""
    database, store = run.objects.database, run.objects.store
    upload = run.read_upload()
    has_unfinished = run.reporter.unfinished.find(upload.multipart_id or "", 0, stored.etag)
    if run.new.file_size is None and not count_kept_parts(upload, stored) and not has_unfinished:
        # What an earlier run stored is of no use, and may be longer than the file is now.
        first_size = choose_first_size(run.settings)
        return restart_own_upload(database, store, run.team, run.settings, upload, first_size)
    return _begin_multipart(run, upload.file_size)


def _convert(run: ImportRun, source: DerivedFrom) -> None:
    """Convert the source's file into the upload, if the store has not all of it; see ``convert_file``."""
    row, store = run.leased.row, run.objects.store
    if store.stat(row.storage_key) is not None:
        return
    stored = find_source(run.objects.database, store, run.team.team_id, source)
    convert_file(run.objects, _begin_multipart(run, row.file_size), stored, run.reporter)


def _begin_multipart(run: ImportRun, file_size: int) -> UploadRow:
    """Begin or continue the multipart upload of an import; see ``begin_multipart``."""
    request = MultipartRequest(storage_key=run.leased.row.storage_key, file_size=file_size)
    return begin_multipart(run.objects.database, run.objects.store, run.team.caller, run.settings, request)


def _hash_stored(run: ImportRun) -> str:
    """Return the SHA-256 of the complete file in the store: the store's own, or by reading it.

    A store that hashes uploads as they arrive has it soon after the last byte.
    """
    store, key = run.objects.store, run.leased.row.storage_key
    stored = store.stat(key)
    if stored is None:
        raise problems.UploadIncomplete("The downloaded file is not in the store.")
    digest = stored.digest or store.wait_for_digest(key, DIGEST_WAIT_SECONDS)
    if digest is not None:
        return digest.sha256
    return ObjectHasher(store, key, stored.size, stored.version).compute_digest().sha256
