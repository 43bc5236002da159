"""Operations on uploads and blobs: open an upload within the team's limits, find and insert blobs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, case, select, update
from sqlalchemy.orm import Session

from modelyard.server.database.base import new_id, now
from modelyard.server.database.session import get_table, insert_rows, split_ids
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import BlobStore, SignedRequest, is_storage_key
from modelyard.server.teams.context import TeamContext
from modelyard.server.uploads.content_states import ContentState, set_content_state
from modelyard.server.uploads.limits import PUT_URL_LIFETIME, check_disk, check_open_uploads, check_quota
from modelyard.server.uploads.tables import DOUBTFUL, BlobRow, UploadRow
from modelyard.wire import problems
from modelyard.wire.uploads import MULTIPART_ABOVE_BYTES, UploadRequest

# Built once, since building a statement costs more than running it.
_BY_KEY = select(UploadRow).where(UploadRow.storage_key == bindparam("key"), UploadRow.team_id == bindparam("team"))
_VERIFIED_BLOB = (
    select(BlobRow)
    .where(
        BlobRow.team_id == bindparam("team"),
        BlobRow.sha256 == bindparam("sha256"),
        BlobRow.size == bindparam("size"),
        BlobRow.verification == "verified",
    )
    .order_by(case((DOUBTFUL, 1), else_=0))
    .limit(1)
)
_uploads = get_table(UploadRow)
_MARK_REGISTERED = (
    update(_uploads)
    .where(_uploads.c.id == bindparam("upload"), _uploads.c.registered_at.is_(None))
    .values(
        blob_id=bindparam("blob"),
        model_id=bindparam("model"),
        registered_at=bindparam("moment"),
        touched_at=bindparam("moment"),
    )
)

# The columns of a new blob without a constant default.
_BLOB_COLUMNS = (
    *("id", "team_id", "person_id", "sha256", "blake3", "autov1", "size", "store_key"),
    *("verification", "checked_at", "verified_at", "stored_version"),
)


class MultipartAdvice(NamedTuple):
    """Whether a file has to be sent in parts, and whether that is better than one PUT."""

    is_required: bool
    is_recommended: bool


def advise_multipart(file_size: int, single_put_limit: int) -> MultipartAdvice:
    """Decide whether a file is sent in parts; where parts are required, they are recommended too."""
    is_required = file_size > single_put_limit
    return MultipartAdvice(is_required, is_recommended=is_required or file_size > MULTIPART_ABOVE_BYTES)


@dataclass(frozen=True)
class OpenedUpload:
    """An upload, and whether and how the client has to send the file.

    ``is_stored``: the team has this content already. ``hash_first``: the team has a file of this size, so the client
    should hash its file and ask again before it sends it.
    """

    upload: UploadRow
    is_stored: bool
    hash_first: bool
    multipart: MultipartAdvice


def open_upload(
    session: Session, team: TeamContext, settings: Settings, new: UploadRequest, free_bytes: int | None
) -> OpenedUpload:
    """Add an upload with a new storage key, or continue the caller's open one that the request names with its hash.

    If the request has a hash and the team has the same verified content, the upload refers to that blob: nothing has to
    be sent, and neither quota nor disk is checked. They are not checked either for an upload that is continued, which
    has reserved its bytes.

    Raises:
        QuotaExceeded: the file does not fit into the team's quota.
        TooManyUploads: the team has too many unfinished uploads.
        StorageFull: the file is larger than ``free_bytes``, the free space of the store (None: unlimited).
    """
    blob = _find_candidate_blob(session, team.team_id, new)
    is_stored = blob is not None and new.file_hash is not None
    upload = _find_unhashed_upload(session, team, new)
    if upload is None:
        check_open_uploads(session, team.team_id, settings, is_in_folder=bool(new.is_folder))
        if not is_stored:
            check_quota(session, team, settings, new.file_size, new.file_hash if new.is_folder else None)
            check_disk(free_bytes, new.file_size)
        upload = _add_upload(session, team, new)
    else:
        upload.file_hash = new.file_hash
        upload.created_at = upload.touched_at = now()
    if blob is not None and is_stored:
        upload.blob_id = blob.id
        blob.unused_since = None
    hash_first = blob is not None and not is_stored
    return OpenedUpload(upload, is_stored, hash_first, advise_multipart(new.file_size, settings.single_put_limit))


def _find_unhashed_upload(session: Session, team: TeamContext, new: UploadRequest) -> UploadRow | None:
    """Return the caller's open upload that the request continues with the hash of its file, or None."""
    if new.storage_key is None or new.file_hash is None:
        return None
    upload = find_upload(session, team.team_id, new.storage_key)
    if upload is None or (upload.creator_kind, upload.creator_id) != (team.creator.kind, team.creator.id):
        return None
    is_unused = all(each is None for each in (upload.registered_at, upload.multipart_id, upload.blob_id))
    # Others have no bytes reserved: they would get past the limits.
    is_reserving = upload.aborted_at is None and upload.created_at > now() - PUT_URL_LIFETIME
    is_same = (upload.file_size, upload.is_in_folder) == (new.file_size, bool(new.is_folder))
    return upload if is_unused and is_reserving and is_same and upload.file_hash in (None, new.file_hash) else None


def _add_upload(session: Session, team: TeamContext, new: UploadRequest) -> UploadRow:
    """Add an upload with a new storage key."""
    upload_id = new_id()
    upload = UploadRow(
        id=upload_id,
        team_id=team.team_id,
        person_id=team.caller.person_id,
        storage_key=f"models/{team.team_id}/{upload_id}",
        file_name=new.file_name,
        file_size=new.file_size,
        file_hash=new.file_hash,
        is_in_folder=bool(new.is_folder),
        creator_kind=team.creator.kind,
        creator_id=team.creator.id,
    )
    session.add(upload)
    return upload


def presign_put(store: BlobStore, upload: UploadRow) -> SignedRequest:
    """Return a presigned request that uploads the whole file with one PUT; valid for ``PUT_URL_LIFETIME``."""
    sha256 = upload.file_hash.removeprefix("sha256:") if upload.file_hash else None
    return store.presign_put(upload.storage_key, upload.file_size, sha256, PUT_URL_LIFETIME)


def _find_candidate_blob(session: Session, team_id: UUID, new: UploadRequest) -> BlobRow | None:
    """Return the team's verified blob with the new file's hash and size; without a hash, any with its size.

    A doubtful one is none of the content: its bytes are taken once more.
    """
    if new.file_hash is not None:
        return find_trusted_blob(session, team_id, new.file_hash.removeprefix("sha256:"), new.file_size)
    same_size = select(BlobRow).where(
        BlobRow.team_id == team_id, BlobRow.size == new.file_size, BlobRow.verification == "verified"
    )
    return session.scalars(same_size.limit(1)).first()


def get_upload(session: Session, team_id: UUID, storage_key: str) -> UploadRow:
    """Return the team's upload with this storage key.

    Raises:
        UploadNotFound: there is none, or it belongs to another team.
    """
    upload = find_upload(session, team_id, storage_key)
    if upload is None:
        raise build_upload_not_found()
    return upload


def find_upload(session: Session, team_id: UUID, storage_key: str) -> UploadRow | None:
    """Return the team's upload with this storage key, or None."""
    return session.scalar(_BY_KEY, {"key": storage_key, "team": team_id}) if is_storage_key(storage_key) else None


def build_upload_not_found() -> problems.UploadNotFound:
    """Build the problem for an upload that does not exist or is not visible to the caller; both look the same."""
    return problems.UploadNotFound(
        "There is no such upload. Presign one first with POST /api/v1/models/presign, and use the storage_key, and for"
        " parts the upload_id, that you get."
    )


def count_arrived_bytes(store: BlobStore, upload: UploadRow) -> int:
    """Return how many bytes of an upload the store has: of the complete file, or of its parts so far."""
    stored = store.stat(upload.storage_key)
    if stored is not None:
        return stored.size
    if upload.multipart_id is None:
        return 0
    return sum(part.size for part in store.list_parts(upload.storage_key, upload.multipart_id))


def insert_blob(session: Session, upload: UploadRow, sha256: str, state: ContentState) -> BlobRow:
    """Insert a blob for an upload's content; see ``build_blob`` and ``insert_blobs``."""
    blob = build_blob(session, upload, sha256, state)
    insert_blobs(session, [blob])
    return blob


def build_blob(session: Session, upload: UploadRow, sha256: str, state: ContentState) -> BlobRow:
    """Build the row of a blob for an upload's content, which ``insert_blobs`` inserts in this transaction.

    A pending blob wakes this process's verification at commit.
    """
    blob = BlobRow(
        id=new_id(),
        team_id=upload.team_id,
        person_id=upload.person_id,
        sha256=sha256,
        size=upload.file_size,
        store_key=upload.storage_key,
    )
    set_content_state(session, blob, state)
    return blob


def insert_blobs(session: Session, blobs: Sequence[BlobRow]) -> None:
    """Insert rows of ``build_blob`` with one statement; later changes of these objects are not stored.

    They are not attached to the session. The caller adds the sizes to the team's stored bytes.
    """
    insert_rows(session, BlobRow, [{name: getattr(blob, name) for name in _BLOB_COLUMNS} for blob in blobs])


def find_verified_blob(session: Session, team_id: UUID, sha256: str, size: int) -> BlobRow | None:
    """Return a verified blob of the team with this hash and size, or None; of several, one that is not doubtful."""
    return session.scalars(_VERIFIED_BLOB, {"team": team_id, "sha256": sha256, "size": size}).first()


def find_trusted_blob(session: Session, team_id: UUID, sha256: str, size: int) -> BlobRow | None:
    """Return a verified blob of the team with this hash and size that is not doubtful, or None."""
    blob = find_verified_blob(session, team_id, sha256, size)
    return None if blob is None or blob.is_doubtful else blob


def list_trusted_blobs(session: Session, team_id: UUID, contents: Collection[tuple[str, int]]) -> list[BlobRow]:
    """Return the team's verified blobs with these contents, each a SHA-256 and a size, that are not doubtful."""
    found = list[BlobRow]()
    for part in split_ids(sorted({sha256 for sha256, _ in contents})):
        is_verified = BlobRow.team_id == team_id, BlobRow.sha256.in_(part), BlobRow.verification == "verified"
        blobs = session.scalars(select(BlobRow).where(*is_verified)).all()
        found += [blob for blob in blobs if (blob.sha256, blob.size) in contents and not blob.is_doubtful]
    return found


def find_verified_size(session: Session, team_id: UUID, sha256: str) -> int | None:
    """Return the size of the team's verified content with this hash, or None."""
    is_held = (BlobRow.team_id == team_id) & (BlobRow.sha256 == sha256) & (BlobRow.verification == "verified")
    return session.scalars(select(BlobRow.size).where(is_held).limit(1)).first()


def mark_upload_registered(session: Session, upload: UploadRow, blob_id: UUID, model_id: UUID) -> bool:
    """Mark an upload as registered in the database, not in ``upload``; return False if another request has done so."""
    values = {"upload": upload.id, "blob": blob_id, "model": model_id, "moment": now()}
    return session.connection().execute(_MARK_REGISTERED, values).rowcount == 1
