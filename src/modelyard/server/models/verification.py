"""Reading bytes before anybody is shown them: the reader for the checks, and the worker for what nobody has read."""

import logging
import time
from datetime import timedelta
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from modelyard.server import changes
from modelyard.server.audit import operations as audit
from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.models.tables import ModelRow
from modelyard.server.storage.blob_store import BlobStore, Digest, NoSuchKey
from modelyard.server.storage.digest import Digesting
from modelyard.server.uploads.tables import BlobRow

LEASE = timedelta(minutes=2)
RENEW_SECONDS = 30.0
PATIENCE_SECONDS = 5.0
log = logging.getLogger("modelyard.verification")


class StoredBytes:
    """Stored bytes as the content checks read them: a few small pieces of a large file."""

    def __init__(self, store: BlobStore, key: str, size: int) -> None:
        self.size = size
        self._store, self._key = store, key

    def read(self, start: int, length: int) -> bytes:
        return b"".join(self._store.read(self._key, start, length))


def verify_next(database: Database, store: BlobStore) -> bool:
    """Read one blob that nobody has read yet, and say what it is; False if there is none.

    Safe with any number of workers: a lease keeps two from reading the same bytes, and one that died loses it.
    """
    blob = _leased_blob(database)
    if blob is None:
        return False
    try:
        digest = store.wait_digest(blob.store_key, PATIENCE_SECONDS) or _read(database, store, blob)
    except NoSuchKey:
        _settle(database, blob.id, None, "The bytes are gone from the store.")
        return True
    right = digest.sha256 == blob.sha256
    error = None if right else f"The bytes have sha256:{digest.sha256}, not sha256:{blob.sha256} as declared."
    _settle(database, blob.id, digest, error)
    return True


def _leased_blob(database: Database) -> BlobRow | None:
    free = or_(BlobRow.leased_until.is_(None), BlobRow.leased_until < now())
    waiting = select(BlobRow).where(BlobRow.verification == "pending", free).order_by(BlobRow.created_at).limit(1)
    with database.reading() as session:
        if session.scalar(waiting) is None:
            return None
    with database.writing() as session:
        blob = session.scalar(waiting)
        if blob is not None:
            blob.leased_until = now() + LEASE
        return blob


def _read(database: Database, store: BlobStore, blob: BlobRow) -> Digest:
    """The digest of the stored bytes, from the first to the last; keeps the lease while it reads."""
    digesting = Digesting()
    renewed = time.monotonic()
    for piece in store.read(blob.store_key, 0, blob.size):
        digesting.update(piece)
        if time.monotonic() - renewed > RENEW_SECONDS:
            renewed = time.monotonic()
            with database.writing() as session:
                session.execute(update(BlobRow).where(BlobRow.id == blob.id).values(leased_until=now() + LEASE))
    return digesting.result()


def _settle(database: Database, blob_id: UUID, digest: Digest | None, error: str | None) -> None:
    with database.writing() as session:
        blob = session.get(BlobRow, blob_id)
        if blob is None or blob.verification != "pending":
            return
        blob.verification = "failed" if error else "verified"
        blob.verification_error = error
        blob.blake3 = digest.blake3 if digest and not error else None
        blob.leased_until, blob.checked_at = None, now()
        _tell_models(session, blob)
    log.info("blob read", extra={"blob": str(blob_id), "verification": blob.verification, "error": error})


def _tell_models(session: Session, blob: BlobRow) -> None:
    """Repeat the blob's verification in every model that names it, and wake the machines."""
    for model in session.scalars(select(ModelRow).where(ModelRow.blob_id == blob.id)):
        model.verification, model.verification_error = blob.verification, blob.verification_error
        model.blake3_hash = blob.blake3_hash
        model.version += 1
        audit.record(session, audit.SYSTEM, model.team_id, f"model.{blob.verification}", model.id)
    changes.raise_revision(session, blob.team_id)
