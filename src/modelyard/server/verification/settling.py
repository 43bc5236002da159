"""What a reading found, written down: the blob, every model that names it, the audit trail, the machines' news."""

import logging
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from modelyard.server import changes
from modelyard.server.audit import operations as audit
from modelyard.server.database.base import now
from modelyard.server.database.clock import database_now
from modelyard.server.database.session import Database, changed_rows
from modelyard.server.models.healing import heal_rotten
from modelyard.server.models.holders import succession
from modelyard.server.models.tables import ModelRow
from modelyard.server.uploads.discarding import Useless, discard, take_into_use
from modelyard.server.uploads.operations import held_blob
from modelyard.server.uploads.tables import BlobRow, UploadRow
from modelyard.server.verification.finding import Finding
from modelyard.server.verification.leasing import Held, mine

log = logging.getLogger("modelyard.verification")


def settle(database: Database, held: Held, found: Finding) -> bool:
    """Say what the blob is; False if another reading has it now, and will say so itself."""
    with database.writing(held.blob.team_id) as session:
        blob = mine(session, held)
        if blob is None:
            return False
        twin = None if found.error else held_blob(session, blob.team_id, blob.sha256, blob.size)
        if not found.error and twin is None and not _uses_copy(session, blob, held.copied_to):
            return False
        blob.lease = blob.leased_until = None
        blob.tries = 0
        _note(session, blob, found)
        if twin is not None:
            _merge(session, blob, twin)
        elif not found.error:
            heal_rotten(session, blob, audit.SYSTEM)
        changes.raise_revision(session, blob.team_id)
    log.info("blob read", extra={"blob": str(blob.id), "verification": blob.verification, "error": found.error})
    return True


def settle_rotten(database: Database, read: BlobRow, error: str) -> bool:
    """Refuse bytes that were verified once; False if the blob is gone or has other bytes by now.

    What says that they were good stays: when they were verified, and their BLAKE3. Machines keep their good copies
    by it.
    """
    with database.writing(read.team_id) as session:
        blob = session.get(BlobRow, read.id, with_for_update=True)
        if blob is None or (blob.verification, blob.store_key) != ("verified", read.store_key):
            return False
        _note(session, blob, Finding(None, error), "rotten")
        twin = held_blob(session, blob.team_id, blob.sha256, blob.size)
        if twin is not None:
            heal_rotten(session, twin, audit.SYSTEM)
        changes.raise_revision(session, blob.team_id)
    log.error("stored bytes have rotted", extra={"blob": str(read.id), "error": error})
    return True


def settle_healed(database: Database, read: BlobRow) -> None:
    """Serve bytes again that had rotted, or seemed to, and are what they were: a disk is back, or a copy of it."""
    with database.writing(read.team_id) as session:
        blob = session.get(BlobRow, read.id, with_for_update=True)
        if blob is not None and (blob.verification, blob.store_key) == ("failed", read.store_key):
            _note(session, blob, Finding(None, None), "healed")
            changes.raise_revision(session, blob.team_id)


def _note(session: Session, blob: BlobRow, found: Finding, said: str | None = None) -> None:
    blob.verification = "failed" if found.error else "verified"
    blob.verification_error = found.error
    blob.checked_at = now()
    if found.digest is not None and not found.error:
        blob.blake3 = found.digest.blake3
        blob.verified_at = blob.verified_at or blob.checked_at
    for model in session.scalars(select(ModelRow).where(ModelRow.blob_id == blob.id)):
        _tell(model, blob, found)
        succession.let_go(session, model)
        action = f"model.{said or blob.verification}"
        audit.record(session, audit.SYSTEM, model.team_id, action, model.id, model_path=model.model_path)


def _tell(model: ModelRow, blob: BlobRow, found: Finding) -> None:
    """Repeat in a model what its blob knows."""
    model.verification, model.verification_error = blob.verification, blob.verification_error
    model.blake3_hash = blob.blake3_hash
    model.verified_at = model.verified_at or blob.verified_at
    model.facts = found.facts.get(model.id, model.facts)
    model.version += 1


def _merge(session: Session, blob: BlobRow, twin: BlobRow) -> None:
    """Let the team hold the same verified bytes once: everything that named the blob names its twin."""
    for names in (ModelRow, UploadRow):
        changed_rows(session, update(names).where(names.blob_id == blob.id).values(blob_id=twin.id))
    twin.unused_since = None
    discard(session, [Useless(blob.team_id, blob.store_key)], database_now(session))
    changes.move_totals(session, blob.team_id, stored_bytes=-blob.size)
    session.delete(blob)


def _uses_copy(session: Session, blob: BlobRow, copied_to: str | None) -> bool:
    """Serve the blob from its copy, if there is one; False if the copy was given up meanwhile."""
    if copied_to is None:
        return True
    if not take_into_use(session, copied_to):
        return False
    discard(session, [Useless(blob.team_id, blob.store_key)], database_now(session))
    blob.store_key = copied_to
    return True


def model_names(session: Session, blob_id: UUID) -> dict[UUID, str]:
    """The path of every model that names the blob: its extension is a promise about the content."""
    rows = session.execute(select(ModelRow.id, ModelRow.model_path).where(ModelRow.blob_id == blob_id))
    return dict(iter(rows))
