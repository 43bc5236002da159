"""The blob of a registration: an existing one of the team, or a new one for the uploaded object."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.comfyui.model_files.refusals import build_refusal
from modelyard.server.database.base import now
from modelyard.server.inspection import inspector
from modelyard.server.models.registration.decide import ExistingBlob, UploadedContent, decide_blob, strip_hash_prefix
from modelyard.server.models.tables import ModelVersionRow
from modelyard.server.models.trusted_files.rules import check_known_content
from modelyard.server.models.versions.folder_states import find_folder_facts, is_in_folder
from modelyard.server.uploads import operations as uploads
from modelyard.server.uploads.content_states import Pending, set_content_state
from modelyard.server.uploads.discards import DiscardedObject, discard
from modelyard.server.uploads.tables import BlobRow, UploadRow
from modelyard.wire import problems
from modelyard.wire.models import NewModel


@dataclass(frozen=True)
class CheckedUpload:
    """An upload, and its content that was checked outside of the transaction."""

    upload: UploadRow
    content: UploadedContent


def use_upload(session: Session, upload: UploadRow, blob: BlobRow, model_id: UUID) -> int:
    """Mark an upload as registered; return by how many bytes the team's stored content grew.

    If the team has the content in another blob, the result is 0, and the object, if one was uploaded, is discarded.

    Raises:
        UploadUsed: another request has registered the upload.
    """
    if not uploads.mark_upload_registered(session, upload, blob.id, model_id):
        raise problems.UploadUsed("This upload was registered by another request a moment ago. Request a new upload.")
    if blob.store_key == upload.storage_key:
        return blob.size
    if upload.blob_id is None:
        discard(session, [DiscardedObject(upload.team_id, upload.storage_key)], now())
    return 0


def get_or_insert_blob(session: Session, checked: CheckedUpload, new: NewModel) -> tuple[BlobRow, dict[str, Any]]:
    """Return the blob for the content of a registration, and the metadata of its version.

    The blob is a new row, or the team's existing one, which goes back into the verification queue if nothing knows its
    metadata.

    Raises:
        UploadIncomplete: see ``decide_blob``.
        NotAModelFile: see ``check_known_content``; or a folder has the content as another kind of file.
    """
    upload, content = checked.upload, checked.content
    sha256 = strip_hash_prefix(new.file_hash)
    blob = uploads.find_trusted_blob(session, upload.team_id, sha256, new.file_size)
    existing = None if blob is None else ExistingBlob(content.metadata or _find_metadata(session, blob))
    decision = decide_blob(content, existing, was_presigned_as_stored=upload.blob_id is not None)
    metadata = decision.metadata or inspector.build_uninspected_metadata(new.model_path)
    if blob is None or not decision.use_existing:
        state = Pending() if decision.needs_verification else content.build_state()
        return uploads.insert_blob(session, upload, sha256, state), metadata
    check_known_content(session, blob, metadata)
    blob.unused_since = None
    if decision.needs_verification and is_in_folder(session, blob.id):
        # A refusal would make the folders fail that use the content.
        raise build_refusal(
            "The team stores this content as a file of a folder, where it is no model file.", "file of a folder"
        )
    if decision.needs_verification:
        set_content_state(session, blob, Pending())
    return blob, metadata


def _find_metadata(session: Session, blob: BlobRow) -> dict[str, Any] | None:
    """Return the metadata of any model file with this blob; the format is the same, since the content is."""
    is_one = ModelVersionRow.blob_id == blob.id, ModelVersionRow.file_count.is_(None)
    found = session.scalar(select(ModelVersionRow.facts).where(*is_one).limit(1))
    return find_folder_facts(session, blob.id) if found is None else found
