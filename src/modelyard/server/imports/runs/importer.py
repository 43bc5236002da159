"""The worker that runs imports, in any number of threads and processes."""

import threading
from contextlib import suppress
from datetime import timedelta
from functools import partial
from uuid import UUID

from modelyard.server.database.session import Database
from modelyard.server.encryption import SecretCipher
from modelyard.server.fairness.usage import UNLIMITED, Usage, count_all_but_one, fits_last_worker
from modelyard.server.imports.callers import load_team_context
from modelyard.server.imports.downloads.unfinished_parts import UnfinishedParts
from modelyard.server.imports.import_leases import (
    LeasedImport,
    lease_next_import,
    release_abandoned_imports,
    release_import,
)
from modelyard.server.imports.imported_files import ImportedContent
from modelyard.server.imports.runs.content import StoredContent, store_content
from modelyard.server.imports.runs.failures import PASSING, record_failure, record_full_disk, try_later
from modelyard.server.imports.runs.import_run import ImportRun
from modelyard.server.imports.runs.progress import ProgressReporter
from modelyard.server.imports.runs.registration import record_success, register_content
from modelyard.server.imports.source_previews import ImportedVersion, add_source_preview
from modelyard.server.imports.sources.lookup import Sources
from modelyard.server.imports.tokens.operations import read_source_tokens
from modelyard.server.leases import LEASE_LIFE, Interruption, renew_periodically
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.previews.pictures import PictureStorage
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import StoreError, StoreFull
from modelyard.server.storage.digest import ReadStopped
from modelyard.wire import problems
from modelyard.wire.imports.jobs import NewImport


class Importer:
    """Runs imports, one at a time in each thread that calls ``import_next``.

    One that ``is_alone`` is the only importer of its registry: before its first import, it releases those that a killed
    process was running.
    """

    def __init__(
        self,
        objects: ObjectChecks,
        settings: Settings,
        sources: Sources,
        cipher: SecretCipher | None = None,
        life: timedelta = LEASE_LIFE,
        *,
        is_alone: bool = False,
    ) -> None:
        self._objects, self._settings, self._sources, self._life = objects, settings, sources, life
        self._cipher, self._unfinished = cipher, UnfinishedParts()
        self._database: Database = objects.database
        self._has_abandoned = is_alone
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
            record_full_disk(self._objects, leased, problem.detail)
        except PASSING as problem:
            try_later(self._objects, leased, problem)
        except StoreError as error:
            try_later(self._objects, leased, problems.Unavailable(f"The store failed: {error.detail}"))
        except problems.Problem as problem:
            record_failure(self._objects, leased, problem)
        except Exception:  # raised again: a bug must not be repeated at once
            try_later(self._objects, leased, problems.InternalError("An unexpected error."))
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
        """Lease the next import, one thread at a time, so that each sees what all workers of the process run."""
        workers = self._settings.import_workers
        occupied, converting = Usage(UNLIMITED), 0
        with self._leasing:
            if self._has_abandoned:
                release_abandoned_imports(self._database)
                self._has_abandoned = False
            with self._lock:
                for running in self._running.values():
                    occupied.add(running.account)
                    converting += running.row.derived_from is not None
            may_convert = converting < count_all_but_one(workers)
            fits = partial(fits_last_worker, occupied, workers=workers)
            leased = lease_next_import(self._database, self._life, fits, may_convert=may_convert)
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
        stopping, unfinished = self._stopping, self._unfinished
        reporter = ProgressReporter(self._database, leased, self._life, interruption, stopping, unfinished)
        with renew_periodically(reporter.flush, self._life, interruption.interrupt):
            run = self._load_run(leased, reporter)
            content = StoredContent((run.new.file_hash or "").removeprefix("sha256:"))
            upload = run.read_upload()
            model_id = upload.model_id if upload.registered_at is not None else None
            if model_id is None:
                content = store_content(run) if upload.blob_id is None else content
                model_id = register_content(run, content.sha256)
            record_success(run, ImportedContent(model_id, content.sha256 or None, content.revision))
        if content.preview_url is not None:
            self._add_preview(run, ImportedVersion(model_id, f"sha256:{content.sha256}"), content.preview_url)

    def _load_run(self, leased: LeasedImport, reporter: ProgressReporter) -> ImportRun:
        """Load what a run needs; raises as ``load_team_context``."""
        with self._database.reading() as session:
            team = load_team_context(session, leased.row)
            tokens = read_source_tokens(session, team.team_id, self._cipher)
        new = NewImport.model_validate(leased.row.request)
        sources = self._sources.with_tokens(tokens)
        return ImportRun(self._objects, self._settings, leased, team, new, sources, reporter)

    def _add_preview(self, run: ImportRun, version: ImportedVersion, url: str) -> None:
        """Make the picture of the source the preview of an imported version; see ``add_source_preview``."""
        storage = PictureStorage(self._database, self._objects.store, self._settings)
        add_source_preview(storage, run.sources.client, run.team, version, url, self._stopping.is_set)
