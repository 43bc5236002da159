"""Write the result of an examination: the blob, its versions, the audit trail and the team's revision."""

import logging
from datetime import timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.audit import operations as audit
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database, announce
from modelyard.server.models.objects.verification_state import set_pending_reason, set_verification_state
from modelyard.server.models.repair import repair_damaged_versions, replace_doubtful_blobs, use_other_blobs
from modelyard.server.models.tables import FolderFileRow, ModelRow, ModelVersionRow
from modelyard.server.models.trusted_files.rules import get_pickle_rule
from modelyard.server.models.versions.folder_states import set_folder_facts
from modelyard.server.uploads.content_states import BLOB_PENDING, Failed, Verified
from modelyard.server.uploads.discards import DiscardedObject, cancel_discard, discard
from modelyard.server.uploads.operations import find_trusted_blob
from modelyard.server.uploads.tables import INSPECTION, BlobRow
from modelyard.server.verification.blob_leases import LeasedBlob, compute_pause, lock_leased_blob
from modelyard.server.verification.examine import Examination
from modelyard.wire.folders.names import FileKind

# What failed on a file is likely to fail on it again, and each time the whole file is read.
LONGEST_INSPECTION_PAUSE = timedelta(hours=1)
INSPECTION_FAILED = (
    "The inspection of this file failed, which is no fault of the file. The registry tries again within an hour; its "
    "log has the cause."
)
log = logging.getLogger("modelyard.verification")


def record_result(database: Database, leased: LeasedBlob, examination: Examination) -> bool:
    """Record the result of an examination, and release the lease, in one transaction; return False if it is outdated.

    It is outdated if the lease is lost, the removal of its copy has begun, or another rule applies to pickles by now:
    then the blob is examined again. The versions get the state, an audit event each and new metadata; pending ones may
    become current, and the team's revision is incremented. If the team has the same content in another verified blob
    that is not doubtful, this one is merged into that and deleted. A verified blob also repairs damaged versions and
    replaces doubtful blobs.
    """
    with database.writing(leased.blob.team_id) as session:
        blob = lock_leased_blob(session, leased)
        if blob is None:
            return False
        if examination.pickle_rule not in (None, get_pickle_rule(session, blob)):
            blob.lease = blob.leased_until = None
            announce(session, BLOB_PENDING)
            return False
        duplicate = None if examination.error else find_trusted_blob(session, blob.team_id, blob.sha256, blob.size)
        if not examination.error and duplicate is None and not _switch_to_copy(session, blob, leased.copied_to):
            return False
        blob.lease = blob.leased_until = None
        blob.tries = 0
        if examination.error is None:
            blob.inspected_as = INSPECTION
            if examination.hashes is not None:
                blob.autov3, blob.crc32 = examination.hashes.autov3, examination.hashes.crc32
        set_folder_facts(session, blob.id, examination.folder_facts)
        action = "model.failed" if examination.error else "model.verified"
        is_changed = set_verification_state(session, blob, _build_state(examination), action, examination.facts)
        if duplicate is not None:
            _merge(session, blob, duplicate)
        elif not examination.error:
            is_changed |= repair_damaged_versions(session, blob, audit.SYSTEM)
            replace_doubtful_blobs(session, [blob])
        if is_changed:
            revisions.increment_revision(session, blob.team_id)
    log.info("blob read", extra={"blob": str(blob.id), "verification": blob.verification, "error": examination.error})
    return True


def _build_state(examination: Examination) -> Verified | Failed:
    """Return the state of a content that was examined."""
    if examination.error is not None:
        return Failed(examination.error)
    blake3 = None if examination.digest is None else examination.digest.blake3
    return Verified(examination.version, examination.autov1, blake3)


def record_inspection_failure(database: Database, leased: LeasedBlob) -> bool:
    """Release a blob on which the inspection itself has failed, for a growing pause, and store why its versions wait.

    The content stays pending. Returns False, and changes nothing, if the lease is lost.
    """
    with database.writing(leased.blob.team_id) as session:
        blob = lock_leased_blob(session, leased)
        if blob is None:
            return False
        blob.tries += 1
        blob.lease = None
        blob.leased_until = get_database_time(session) + compute_pause(blob.tries, LONGEST_INSPECTION_PAUSE)
        if set_pending_reason(session, blob, INSPECTION_FAILED):
            revisions.increment_revision(session, blob.team_id)
    return True


def _merge(session: Session, blob: BlobRow, kept: BlobRow) -> None:
    """Point the blob's versions and uploads to ``kept``, delete the blob, and discard its stored object.

    Its size is subtracted from the team's stored bytes.
    """
    use_other_blobs(session, [(blob, kept)])
    discard(session, [DiscardedObject(blob.team_id, blob.store_key)], get_database_time(session))
    revisions.change_stored_bytes(session, blob.team_id, stored_bytes=-blob.size)
    session.delete(blob)


def _switch_to_copy(session: Session, blob: BlobRow, copied_to: str | None) -> bool:
    """Point the blob to its copy, if it has one, and discard the original; return False if the copy was removed."""
    if copied_to is None:
        return True
    if not cancel_discard(session, copied_to):
        return False
    discard(session, [DiscardedObject(blob.team_id, blob.store_key)], get_database_time(session))
    blob.store_key = copied_to
    return True


def get_model_paths(session: Session, blob_id: UUID) -> dict[UUID, str]:
    """Return the path of every model of one file with a version of this blob by its id, in the trash or not.

    The extension declares the format.
    """
    of_blob = select(ModelRow.id, ModelRow.model_path).join(ModelVersionRow, ModelVersionRow.model_id == ModelRow.id)
    is_one = ModelVersionRow.blob_id == blob_id, ModelVersionRow.file_count.is_(None)
    return dict(iter(session.execute(of_blob.where(*is_one).distinct())))


def get_folder_paths(session: Session, blob_id: UUID) -> dict[FileKind, str]:
    """Return the path of a file in a folder that has this blob, for each kind as which such files are checked."""
    query = select(FolderFileRow.kind, FolderFileRow.path).where(FolderFileRow.blob_id == blob_id)
    return {cast(FileKind, kind): path for kind, path in session.execute(query)}
