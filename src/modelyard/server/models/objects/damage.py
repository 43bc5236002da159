"""Damaged blobs: marks verified blobs as failed if their object is missing or corrupt, and verified once repaired."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select

from modelyard.comfyui.quoting import counted, in_bytes
from modelyard.server import revisions
from modelyard.server.audit import operations as audit
from modelyard.server.database.session import Database
from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.models.objects.verification_state import set_verification_state
from modelyard.server.models.repair import repair_damaged_versions
from modelyard.server.storage.blob_store import BlobStore, StoredObject, StoreUnavailable
from modelyard.server.storage.byte_ranges import check_store_answers
from modelyard.server.uploads.content_states import Failed, Verified
from modelyard.server.uploads.operations import find_verified_blob
from modelyard.server.uploads.tables import BlobRow

# After so many missing objects in a row, other objects are checked first: the whole store may be missing.
MAX_MISSING_IN_A_ROW = 2
_OTHER_BLOBS_TO_CHECK = 3
log = logging.getLogger("modelyard.verification")


@dataclass(frozen=True)
class Damage:
    """What is wrong with a stored object; ``description`` completes a sentence that begins with a date."""

    description: str
    is_missing: bool = False


def find_damage(blob: BlobRow, stored: StoredObject | None) -> Damage | None:
    """Return the damage of a verified blob whose object is missing or has another size; None if it is as expected.

    The content is not read.
    """
    if stored is None:
        return Damage("the verified file was missing from the store.", is_missing=True)
    if stored.size != blob.size:
        return Damage(_describe_sizes(stored.size, blob.size))
    return None


def _describe_sizes(stored: int, verified: int) -> str:
    """Return both sizes in a clause; as numbers of bytes if they look equal otherwise."""
    sizes = [counted(size, "byte") if size < 1000 else in_bytes(size) for size in (stored, verified)]
    if sizes[0] == sizes[1]:
        sizes = [counted(size, "byte") for size in (stored, verified)]
    return f"the stored file had {sizes[0]}; the verified file has {sizes[1]}."


class DamageRecorder:
    """Marks blobs as damaged, unless the whole store is missing; counts missing objects in a row for that."""

    def __init__(self, database: Database, store: BlobStore, metrics: Metrics) -> None:
        self._database, self._store, self._metrics = database, store, metrics
        self._missing_in_a_row = 0

    def note_present(self) -> None:
        """Reset the count of missing objects in a row, because an object was found, intact or not."""
        self._missing_in_a_row = 0

    def record(self, blob: BlobRow, damage: Damage) -> None:
        """Mark a verified blob and its versions as failed, and count it in the metrics.

        Does nothing if the blob was deleted or got another object; see ``mark_damaged``.

        Raises:
            StoreUnavailable: the store does not answer, or at least three objects in a row were missing, and none of
                the other verified objects that are checked then exists.
        """
        if damage.is_missing:
            check_store_answers(self._store)
        self._missing_in_a_row = self._missing_in_a_row + 1 if damage.is_missing else 0
        if self._missing_in_a_row > MAX_MISSING_IN_A_ROW and not self._exists_any(self._list_other_blobs(blob)):
            raise StoreUnavailable(
                "Several files in a row are missing from the store. Check that this is the registry's bucket or folder."
            )
        moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        if mark_damaged(self._database, blob, f"On {moment}, {damage.description}"):
            self._metrics.corrupt_files.inc()

    def _list_other_blobs(self, blob: BlobRow) -> Sequence[BlobRow]:
        """Return the other verified blobs that were checked last, at most ``_OTHER_BLOBS_TO_CHECK``."""
        verified = select(BlobRow).where(BlobRow.verification == "verified", BlobRow.id != blob.id)
        with self._database.reading() as session:
            return session.scalars(verified.order_by(BlobRow.checked_at.desc()).limit(_OTHER_BLOBS_TO_CHECK)).all()

    def _exists_any(self, blobs: Sequence[BlobRow]) -> bool:
        """Return whether the store has the object of at least one blob."""
        return any(self._store.stat(blob.store_key) is not None for blob in blobs)


def mark_damaged(database: Database, seen: BlobRow, error: str) -> bool:
    """Mark a verified blob and its versions as failed; return False if it was deleted or changed since it was ``seen``.

    Versions with the same content that another verified blob of the team holds are repaired in the same transaction.

    Increments the team's revision, records an audit event for each version that fails, and logs an error.
    """
    with database.writing(seen.team_id) as session:
        blob = session.get(BlobRow, seen.id, with_for_update=True)
        if blob is None or (blob.verification, blob.store_key) != ("verified", seen.store_key):
            return False
        set_verification_state(session, blob, Failed(error), "model.corrupted")
        intact_copy = find_verified_blob(session, blob.team_id, blob.sha256, blob.size)
        if intact_copy is not None:
            repair_damaged_versions(session, intact_copy, audit.SYSTEM)
        revisions.increment_revision(session, blob.team_id)
    log.error("a stored object is damaged", extra={"blob": str(seen.id), "error": error})
    return True


def mark_repaired(database: Database, seen: BlobRow, state: Verified) -> None:
    """Mark a damaged blob and its versions as verified again, after its object was read.

    This happens after a disk or a backup was restored. Other damaged versions of the team with this content are
    repaired too. Increments the team's revision, and records audit events. Does nothing if the blob was deleted, got
    another object or is not failed any more.
    """
    with database.writing(seen.team_id) as session:
        blob = session.get(BlobRow, seen.id, with_for_update=True)
        if blob is not None and (blob.verification, blob.store_key) == ("failed", seen.store_key):
            set_verification_state(session, blob, state, "model.repaired")
            # Versions that got another upload meanwhile, which turned out wrong.
            repair_damaged_versions(session, blob, audit.SYSTEM)
            revisions.increment_revision(session, blob.team_id)
