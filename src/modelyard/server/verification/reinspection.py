"""Inspection of stored files once more, after a release that finds more in them."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.inspection.inspector import inspect_file
from modelyard.server.inspection.sandbox import SandboxFailed, log_failure
from modelyard.server.leases import Interruption
from modelyard.server.models.objects.verification_state import set_metadata
from modelyard.server.storage.blob_store import BlobStore, NoSuchKey, StoreError, VersionChanged
from modelyard.server.storage.byte_ranges import ObjectRangeReader, check_store_answers
from modelyard.server.storage.digest import ReadStopped
from modelyard.server.uploads.tables import INSPECTION, UNINSPECTED, BlobRow
from modelyard.server.verification.record_result import get_model_paths
from modelyard.wire.formats import find_format
from modelyard.wire.problems import NotAModelFile

RETRY_PAUSE = timedelta(hours=1)
# One write and one revision of a team for so many files: each makes its lists and manifests be built anew.
BATCH = 50
PAUSE_SECONDS = 0.02
log = logging.getLogger("modelyard.verification")


@dataclass
class _Results:
    """The results of a batch: metadata by blob and extension, and the blobs that have to be tried again."""

    metadata: dict[UUID, Mapping[str, dict[str, Any]]] = field(default_factory=dict)
    postponed: list[UUID] = field(default_factory=list)


class Reinspector:
    """Inspects verified files whose metadata is of an older release, newest first, some dozens a second at most.

    Only headers are read. What an inspection refuses now keeps its metadata: it was verified before.
    """

    def __init__(self, database: Database, store: BlobStore) -> None:
        self._database, self._store = database, store
        self.interruption = Interruption()

    def stop(self) -> None:
        """Stop for good before the next file; what was inspected of its batch is repeated later."""
        self.interruption.stop()

    def is_due(self) -> bool:
        """Return whether a file waits for ``inspect_next``."""
        with self._database.reading() as session:
            return bool(self._load_batch(session))

    def inspect_next(self) -> bool:
        """Inspect one batch of a team's files and store their metadata; return False if none is due.

        Marks the files as inspected, and increments the team's revision. A file that is refused now is logged, and
        keeps its metadata. One that cannot be read, or whose sandbox failed, is logged, and marked to be tried again
        after ``RETRY_PAUSE``.

        Raises:
            StoreUnavailable: the store does not answer at all.
            ReadStopped: ``stop`` was called, or this run was interrupted.
        """
        with self._database.reading() as session:
            blobs = self._load_batch(session)
            paths = {blob.id: get_model_paths(session, blob.id) for blob in blobs}
        if not blobs:
            return False
        results = _Results()
        for blob in blobs:
            if self.interruption.wait(PAUSE_SECONDS):
                raise ReadStopped("The inspection of stored files was stopped.")
            self._inspect(blob, {PurePosixPath(path).suffix for path in paths[blob.id].values()}, results)
        self._record(blobs[0].team_id, results)
        return True

    def _load_batch(self, session: Session) -> list[BlobRow]:
        """Return the newest files that are due of the team that has the newest one."""
        may_try = or_(BlobRow.inspect_retry_at.is_(None), BlobRow.inspect_retry_at <= now())
        newest = (
            select(BlobRow).where(UNINSPECTED, may_try).order_by(BlobRow.inspected_as.desc(), BlobRow.created_at.desc())
        )
        blobs = session.scalars(newest.limit(BATCH)).all()
        return [blob for blob in blobs if blob.team_id == blobs[0].team_id]

    def _inspect(self, blob: BlobRow, extensions: set[str], results: _Results) -> None:
        """Inspect a file as each of the formats that its models' paths declare, and add the metadata to the results.

        A refusal is logged, and adds no metadata. Other failures are logged, and postpone the file.

        Raises:
            StoreUnavailable: the store does not answer at all.
            ReadStopped: see ``inspect_next``.
        """
        # Of a pickle no more is known than before, and its inspection is expensive.
        names = {extension: f"model{extension}" for extension in extensions if find_format(f"x{extension}") != "pickle"}
        try:
            stored = self._store.stat(blob.store_key)
            if stored is None or stored.size != blob.size:
                raise NoSuchKey("The object is missing or has another size.")
            reader = ObjectRangeReader(self._store, blob.store_key, stored.size, stored.version)
            results.metadata[blob.id] = {
                extension: _inspect_as(reader, name, self._raise_if_stopped) for extension, name in names.items()
            }
        except NotAModelFile as refusal:
            log.warning("a stored file is refused now", extra={"blob": str(blob.id), "why": refusal.detail})
            results.metadata[blob.id] = {}
        except SandboxFailed as failed:
            log_failure(failed, blob=str(blob.id))
            results.postponed.append(blob.id)
        except (NoSuchKey, VersionChanged, StoreError) as error:
            check_store_answers(self._store)
            log.warning("a stored file could not be inspected", extra={"blob": str(blob.id), "why": str(error)})
            results.postponed.append(blob.id)

    def _raise_if_stopped(self) -> None:
        if self.interruption.is_set():
            raise ReadStopped("The inspection of stored files was stopped.")

    def _record(self, team_id: UUID, results: _Results) -> None:
        """Store the results of a batch: the metadata with all versions, and with the blobs when they are due again.

        Increments the team's revision.
        """
        with self._database.writing(team_id) as session:
            for blob_id, metadata in results.metadata.items():
                set_metadata(session, blob_id, metadata)
            _set_blobs(session, list(results.metadata), inspected_as=INSPECTION, inspect_retry_at=None)
            _set_blobs(session, results.postponed, inspect_retry_at=now() + RETRY_PAUSE)
            revisions.increment_revision(session, team_id)


def _inspect_as(reader: ObjectRangeReader, name: str, raise_if_stopped: Callable[[], None]) -> dict[str, Any]:
    """Return the metadata of a file as one format; see ``inspect_file``."""
    return asdict(inspect_file(reader, name, "scan", raise_if_stopped))


def _set_blobs(session: Session, ids: list[UUID], **values: Any) -> None:
    """Set columns of some blobs."""
    if ids:
        session.execute(update(BlobRow).where(BlobRow.id.in_(ids)).values(**values))
