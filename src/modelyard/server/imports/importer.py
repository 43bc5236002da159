"""The worker that runs imports, in any number of threads and processes."""

import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from modelyard.server.audit import operations as audit
from modelyard.server.audit.operations import SYSTEM
from modelyard.server.database.session import Database
from modelyard.server.encryption import SecretCipher
from modelyard.server.imports.callers import load_team_context
from modelyard.server.imports.conversions import convert_file, find_source
from modelyard.server.imports.download import Progress, download_file
from modelyard.server.imports.import_leases import (
    LeasedImport,
    count_conversion_workers,
    finish_cancelled_import,
    finish_import,
    lease_next_import,
    postpone_import,
    release_import,
    renew_import,
)
from modelyard.server.imports.imported_files import ImportedContent, find_registered_sha256, record_imported_file
from modelyard.server.imports.source_previews import ImportedVersion, add_source_preview
from modelyard.server.imports.sources.found import FoundFile
from modelyard.server.imports.sources.lookup import Sources, find_model
from modelyard.server.imports.tokens.operations import read_source_tokens
from modelyard.server.imports.unsized_download import (
    GrowingUpload,
    choose_first_size,
    count_kept_parts,
    download_unsized_file,
)
from modelyard.server.leases import LEASE_LIFE, Interruption, renew_periodically
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.models.registration.operations import register_model
from modelyard.server.previews.pictures import PictureStorage
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import StoreError, StoreFull
from modelyard.server.storage.digest import ObjectHasher, ReadStopped
from modelyard.server.teams.context import TeamContext
from modelyard.server.uploads import operations as uploads
from modelyard.server.uploads.multipart import begin_multipart, release_own_upload, restart_own_upload, touch_upload
from modelyard.server.uploads.tables import UploadRow
from modelyard.wire import problems
from modelyard.wire.imports.jobs import NewImport
from modelyard.wire.models import NewModel
from modelyard.wire.pickles.conversions import DerivedFrom
from modelyard.wire.uploads import MultipartRequest

# Tries in a row that do not continue a download, about half an hour in all.
MAX_TRIES = 12
PROGRESS_SECONDS = 1.0
# No request waits for it, and without the store's digest all bytes are read once more.
DIGEST_WAIT_SECONDS = 30.0
# These pass by themselves, or after a pause.
_PASSING = (
    problems.SourceUnavailable,
    problems.Unavailable,
    problems.VerificationQueueFull,
    problems.UploadIncomplete,
)
log = logging.getLogger("modelyard.imports")


class Importer:
    """Runs imports, one at a time in each thread that calls ``import_next``."""

    def __init__(
        self,
        objects: ObjectChecks,
        settings: Settings,
        sources: Sources,
        cipher: SecretCipher | None = None,
        life: timedelta = LEASE_LIFE,
    ) -> None:
        self._objects, self._settings, self._sources, self._life = objects, settings, sources, life
        self._cipher = cipher
        self._database: Database = objects.database
        self._stopping = threading.Event()
        self._lock, self._leasing = threading.Lock(), threading.Lock()
        self._running = dict[UUID, LeasedImport]()

    def import_next(self) -> bool:
        """Lease and run one import; return False if none can be run, or the importer is stopping.

        A failure is recorded with the import: it is tried again if it may pass. A run that another process interrupts
        continues with the parts that are stored.
        """
        leased = None if self._stopping.is_set() else self._lease()
        if leased is None:
            return False
        try:
            self._run(leased)
        except ReadStopped:
            release_import(self._database, leased)
        except (problems.StorageFull, StoreFull) as problem:
            full = problems.StorageFull(f"The registry's disk is full: {problem.detail}")
            # Another try of a file of unknown size would fill the disk again.
            (self._fail if _is_of_unknown_size(leased) else self._try_later)(leased, full)
        except _PASSING as problem:
            self._try_later(leased, problem)
        except StoreError as error:
            self._try_later(leased, problems.Unavailable(f"The store failed: {error.detail}"))
        except problems.Problem as problem:
            self._fail(leased, problem)
        except Exception:  # raised again: a bug must not be repeated at once
            self._try_later(leased, problems.InternalError("An unexpected error."))
            raise
        finally:
            with self._lock:
                self._running.pop(leased.lease, None)
            if leased.row.derived_from is not None:
                # Of a conversion that was cancelled meanwhile.
                with suppress(problems.Problem):
                    release_import(self._database, leased)
        return True

    def _lease(self) -> LeasedImport | None:
        """Lease the next import, one thread at a time, so that each sees how many of the workers convert."""
        with self._leasing:
            with self._lock:
                converting = sum(leased.row.derived_from is not None for leased in self._running.values())
            may_convert = converting < count_conversion_workers(self._settings.import_workers)
            leased = lease_next_import(self._database, self._life, may_convert=may_convert)
            if leased is not None:
                with self._lock:
                    self._running[leased.lease] = leased
            return leased

    def stop(self) -> None:
        """Stop for good: running downloads end at their next part, and other processes can take their imports at once.

        A download that waits for its source cannot be interrupted, but its result is not recorded any more.
        """
        self._stopping.set()
        with self._lock:
            running = list(self._running.values())
        for leased in running:
            with suppress(problems.Problem):
                release_import(self._database, leased)

    def _run(self, leased: LeasedImport) -> None:
        """Run an import, renewing its lease meanwhile: download the file if it is not stored, and register it.

        The picture of the source comes after the end of the import, so that only the registration decides whether it
        can be cancelled.
        """
        interruption = Interruption()
        reporter = _Reporter(self._database, leased, self._life, interruption, self._stopping)
        with renew_periodically(reporter.flush, self._life, interruption.interrupt):
            run = self._load_run(leased, reporter)
            content = _Content((run.new.file_hash or "").removeprefix("sha256:"))
            with self._database.reading() as session:
                upload = uploads.get_upload(session, run.team.team_id, leased.row.storage_key)
            model_id = upload.model_id if upload.registered_at is not None else None
            if model_id is None:
                content = self._bring_bytes(run) if upload.blob_id is None else content
                model_id = self._register(run, content.sha256)
            self._finish(run, ImportedContent(model_id, content.sha256 or None, content.revision))
        if content.preview_url is not None:
            storage = PictureStorage(self._database, self._objects.store, self._settings)
            version = ImportedVersion(model_id, f"sha256:{content.sha256}")
            is_stopped = self._stopping.is_set
            add_source_preview(storage, run.sources.client, run.team, version, content.preview_url, is_stopped)

    def _load_run(self, leased: LeasedImport, reporter: "_Reporter") -> "_Run":
        """Load what a run needs; raises as ``load_team_context``."""
        with self._database.reading() as session:
            team = load_team_context(session, leased.row)
            tokens = read_source_tokens(session, team.team_id, self._cipher)
        new = NewImport.model_validate(leased.row.request)
        return _Run(leased, team, new, self._sources.with_tokens(tokens), reporter)

    def _register(self, run: "_Run", sha256: str) -> UUID:
        """Register the complete file as a model, and return the model's id; raises as ``register_model``."""
        size = run.new.file_size or self._read_size(run.leased)
        registration = _build_new_model(run.leased, run.new, sha256, size)
        source = _read_source(run.leased)
        keeps_record = run.leased.row.keeps_record
        return register_model(
            self._objects, run.team, self._settings, registration, source, keeps_record=keeps_record
        ).id

    def _finish(self, run: "_Run", imported: ImportedContent) -> None:
        """Record that an import is done, also if it was cancelled while its file was being registered."""
        leased, size = run.leased, run.new.file_size or self._read_size(run.leased)
        done: dict[str, Any] = {"model_id": imported.model_id, "bytes_done": size, "file_size": size}
        done |= {"error": None, "error_code": None}
        with self._database.writing(leased.lease) as session:
            sha256 = imported.sha256 or find_registered_sha256(session, leased.row.storage_key)
            done |= {"file_hash": f"sha256:{sha256}"} if sha256 else {}
            is_done = finish_import(session, leased, "done", **done) or finish_cancelled_import(session, leased, **done)
            if is_done and leased.row.derived_from is None:
                record_imported_file(session, leased.row, imported, self._sources.endpoints)

    def _bring_bytes(self, run: "_Run") -> "_Content":
        """Download the file if the store has not all of it, and return what the store has.

        Raises:
            SourceChanged: the source declares another size or hash than the draft, or the bytes have another hash.
        """
        source = _read_source(run.leased)
        if source is not None:
            self._convert(run, source)
            return _Content(self._hash_stored(run.leased))
        found = find_model(run.sources, run.new.url)
        expected = _check_unchanged(found.file, run.new)
        computed = None
        if self._objects.store.stat(run.leased.row.storage_key) is None:
            computed = self._download(run, replace(found.file, sha256=expected))
        actual = computed or self._hash_stored(run.leased)
        if expected is not None and actual != expected:
            raise problems.SourceChanged(
                f"The downloaded bytes have the hash sha256:{actual}, and the source declares sha256:{expected}."
            )
        # Bytes of an earlier run may be of another commit, unless the source declares their hash.
        return _Content(actual, found.revision if actual == found.file.sha256 else None, found.preview_url)

    def _download(self, run: "_Run", found: FoundFile) -> str | None:
        """Download into the upload's parts; see ``download_file`` and ``download_unsized_file``."""
        row, store = run.leased.row, self._objects.store
        stored = Progress(row.bytes_done, row.etag)
        upload = self._begin(run, stored)
        try:
            if run.new.file_size is not None:
                return download_file(run.sources.client, store, upload, found, stored, run.reporter)
            growing = GrowingUpload(self._database, store, run.team, self._settings, upload)
            return download_unsized_file(run.sources.client, growing, found, stored, run.reporter)
        finally:
            row.tries = 0 if run.reporter.has_continued else row.tries
            with suppress(problems.Unavailable):
                run.reporter.flush()
                touch_upload(self._database, upload)

    def _begin(self, run: "_Run", stored: Progress) -> UploadRow:
        """Return the open upload of an import; anew if the size is not known, and nothing stored can be continued."""
        row, store = run.leased.row, self._objects.store
        with self._database.reading() as session:
            upload = uploads.get_upload(session, row.team_id, row.storage_key)
        if run.new.file_size is None and not count_kept_parts(upload, stored):
            # What an earlier run stored is of no use, and may be longer than the file is now.
            first_size = choose_first_size(self._settings)
            return restart_own_upload(self._database, store, run.team, self._settings, upload, first_size)
        request = MultipartRequest(storage_key=row.storage_key, file_size=upload.file_size)
        return begin_multipart(self._database, store, run.team.caller, self._settings, request)

    def _read_size(self, leased: LeasedImport) -> int:
        """Return the size of an import's upload, which changes while a file of unknown size is downloaded."""
        with self._database.reading() as session:
            return uploads.get_upload(session, leased.row.team_id, leased.row.storage_key).file_size

    def _convert(self, run: "_Run", source: DerivedFrom) -> None:
        """Convert the source's file into the upload, if the store has not all of it; see ``convert_file``."""
        row, store = run.leased.row, self._objects.store
        if store.stat(row.storage_key) is not None:
            return
        stored = find_source(self._database, store, run.team.team_id, source)
        request = MultipartRequest(storage_key=row.storage_key, file_size=row.file_size)
        upload = begin_multipart(self._database, store, run.team.caller, self._settings, request)
        convert_file(self._objects, upload, stored, run.reporter)

    def _hash_stored(self, leased: LeasedImport) -> str:
        """Return the SHA-256 of the complete file in the store: the store's own, or by reading it.

        A store that hashes uploads as they arrive has it soon after the last byte.
        """
        store, key = self._objects.store, leased.row.storage_key
        stored = store.stat(key)
        if stored is None:
            raise problems.UploadIncomplete("The downloaded file is not in the store.")
        digest = stored.digest or store.wait_for_digest(key, DIGEST_WAIT_SECONDS)
        if digest is not None:
            return digest.sha256
        return ObjectHasher(store, key, stored.size, stored.version).compute_digest().sha256

    def _try_later(self, leased: LeasedImport, problem: problems.Problem) -> None:
        """Postpone an import after a failure that may pass; it fails for good after ``MAX_TRIES`` without progress."""
        tries = leased.row.tries + 1
        if tries >= MAX_TRIES:
            self._fail(leased, problem)
            return
        pause = problem.facts.get("retry_after", 0)
        code = problem.slug.replace("-", "_")
        postpone_import(
            self._database, leased, tries, error=problem.detail, code=code, pause_seconds=min(float(pause), 3600.0)
        )

    def _fail(self, leased: LeasedImport, problem: problems.Problem) -> None:
        """Record that an import has failed for good, and free the quota that it reserves."""
        code, key = problem.slug.replace("-", "_"), leased.row.storage_key
        with self._database.writing(leased.row.team_id) as session:
            if not finish_import(session, leased, "failed", error=problem.detail, error_code=code):
                return
            facts = {"model_path": leased.row.request["model_path"], "error": problem.detail}
            audit.record(session, SYSTEM, leased.row.team_id, "import.failed", leased.row.id, **facts)
            multipart_id = release_own_upload(session, leased.row.team_id, key)
        with suppress(StoreError):
            if multipart_id is not None:
                self._objects.store.abort_multipart(key, multipart_id)
        log.info("an import failed", extra={"import": str(leased.row.id), "why": problem.detail})


@dataclass(frozen=True)
class _Run:
    """One run of an import: on whose behalf, what was confirmed, and the sources with the tokens of the team."""

    leased: LeasedImport
    team: TeamContext
    new: NewImport
    sources: Sources
    reporter: "_Reporter"


@dataclass(frozen=True)
class _Content:
    """The content of an import: its SHA-256 as hex, empty if unknown, and the revision at which the source has it.

    ``preview_url`` is the address of a picture that the source has.
    """

    sha256: str
    revision: str | None = None
    preview_url: str | None = None


class _Reporter:
    """Records the progress of a download at most once a second, and says whether it goes on."""

    def __init__(
        self,
        database: Database,
        leased: LeasedImport,
        life: timedelta,
        interruption: Interruption,
        stopping: threading.Event,
    ) -> None:
        self._database, self._leased, self._life = database, leased, life
        self._interruption, self._stopping = interruption, stopping
        self._next_at = 0.0
        self._first: int | None = None
        self._last: Progress | None = None
        self.has_continued = False

    def report(self, progress: Progress) -> bool:
        """Record progress if it is due; return False if the import was cancelled, or the process stops."""
        if self._first is None:
            self._first = progress.bytes_done
        self._last = progress
        # A run from the start repeats what earlier ones did: it may end at the same byte each time.
        self.has_continued = self.has_continued or progress.bytes_done > self._first > 0
        if self.is_interrupted():
            return False
        return True if time.monotonic() < self._next_at else self.flush()

    def is_interrupted(self) -> bool:
        """Return whether the import was cancelled, another worker has it, or the process stops."""
        return self._stopping.is_set() or self._interruption.is_set()

    def flush(self) -> bool:
        """Extend the lease, and record the last progress, from which a later run continues.

        Returns False if the lease is lost, or the process stops. Called by the download's thread and by another one.
        """
        if self._stopping.is_set():
            return False
        self._next_at = time.monotonic() + PROGRESS_SECONDS
        last = self._last
        values = {} if last is None else {"bytes_done": last.bytes_done, "etag": last.etag}
        return renew_import(self._database, self._leased, self._life, **values)


def _is_of_unknown_size(leased: LeasedImport) -> bool:
    """Return whether the source has not said the size of an import's file."""
    return leased.row.derived_from is None and leased.row.request.get("file_size") is None


def _read_source(leased: LeasedImport) -> DerivedFrom | None:
    """Return the file that an import converts; None for the import of a link."""
    source = leased.row.derived_from
    return None if source is None else DerivedFrom.model_validate(source)


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


def _build_new_model(leased: LeasedImport, new: NewImport, sha256: str, size: int) -> NewModel:
    """Return the registration of an import's file."""
    fields = new.model_dump(exclude={"url", "file_hash", "file_size"}, exclude_unset=True)
    return NewModel(**fields, storage_key=leased.row.storage_key, file_hash=f"sha256:{sha256}", file_size=size)
