"""Loading what a registration needs: the upload and its stored content."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from modelyard.server.inspection import inspector
from modelyard.server.models.registration.decide import (
    UploadedContent,
    build_incomplete,
    check_stored_size,
)
from modelyard.server.storage.blob_store import BlobStore, Digest
from modelyard.server.storage.byte_ranges import ObjectRangeReader
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.operations import get_team_row, parse_pickle_policy
from modelyard.server.uploads import operations as uploads
from modelyard.server.uploads.content_hashes import compute_autov1
from modelyard.server.uploads.tables import BlobRow, UploadRow
from modelyard.wire.models import NewModel
from modelyard.wire.teams import PicklePolicy

# A store that hashes uploads as they arrive has the digest by the time of registration, or shortly after.
DIGEST_WAIT_SECONDS = 2.0


@dataclass(frozen=True)
class LoadedUpload:
    """An upload, the team's policy for pickle files, and the blob that presign found to have the same content."""

    upload: UploadRow
    pickle_policy: PicklePolicy
    blob: BlobRow | None


def load_upload(session: Session, team: TeamContext, storage_key: str) -> LoadedUpload:
    """Load an upload of the team.

    Raises:
        UploadNotFound: no upload of this team has this key.
        TeamNotFound: the team was deleted meanwhile.
    """
    upload = uploads.get_upload(session, team.team_id, storage_key)
    policy = parse_pickle_policy(get_team_row(session, team).pickle_policy)
    return LoadedUpload(upload, policy, session.get(BlobRow, upload.blob_id) if upload.blob_id else None)


def load_content(store: BlobStore, loaded: LoadedUpload, new: NewModel) -> UploadedContent:
    """Find the stored content of an upload, check its size, and inspect it if that is cheap.

    Waits up to ``DIGEST_WAIT_SECONDS`` for a digest that the store is about to finish.

    Raises:
        UploadIncomplete: the content is missing, or has another size than declared.
        NotAModelFile: it is not a model file of the format of its path.
    """
    content = find_content(store, loaded, new.file_size)
    check_stored_size(content.size, new.file_size)
    metadata = _inspect(store, content, new.model_path, loaded.pickle_policy)
    return complete_content(store, loaded, replace(content, metadata=metadata))


def complete_content(store: BlobStore, loaded: LoadedUpload, content: UploadedContent) -> UploadedContent:
    """Return content with its AutoV1 if it was uploaded and is verified: of a blob, verification has computed it."""
    if loaded.blob is not None or not content.is_verified:
        return content
    reader = ObjectRangeReader(store, content.store_key, content.size, content.version)
    return replace(content, autov1=compute_autov1(reader))


def find_content(store: BlobStore, loaded: LoadedUpload, declared_size: int) -> UploadedContent:
    """Return the content that presign found stored already, or that was uploaded, without metadata.

    Raises:
        UploadIncomplete: it was found damaged since, or the upload is not complete.
    """
    blob, upload = loaded.blob, loaded.upload
    if blob is not None:
        if blob.verification != "verified":
            raise build_incomplete(0, declared_size)
        return UploadedContent(blob.store_key, blob.size, Digest(blob.sha256, blob.blake3 or ""))
    stored = store.stat(upload.storage_key)
    if stored is None:
        raise build_incomplete(uploads.count_arrived_bytes(store, upload), declared_size)
    digest = stored.digest or store.wait_for_digest(upload.storage_key, DIGEST_WAIT_SECONDS)
    return UploadedContent(upload.storage_key, stored.size, digest, stored.version)


def _inspect(
    store: BlobStore, content: UploadedContent, model_path: str, policy: PicklePolicy
) -> dict[str, Any] | None:
    """Return the metadata of the content; None if its inspection is left to verification.

    Raises:
        NotAModelFile: it is not a model file of the format of its path, or a pickle file that the policy refuses.
    """
    reader = ObjectRangeReader(store, content.store_key, content.size)
    # Of those that are accepted, verification decides on each file.
    metadata = inspector.inspect_within_request(reader, model_path, "block" if policy == "block" else "scan")
    return None if metadata is None else asdict(metadata)
