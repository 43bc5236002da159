"""Asking for an upload, and the bytes that have arrived."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Double, bindparam, cast, func, or_, select, update
from sqlalchemy.orm import Session

from modelyard.server import changes
from modelyard.server.database.base import new_id, now
from modelyard.server.database.session import announce, insert_row, table_of
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import BlobStore, Digest, SignedRequest, is_key
from modelyard.server.teams.acting import Acting
from modelyard.server.teams.operations import team_of
from modelyard.server.uploads.tables import BlobRow, UploadRow
from modelyard.wire import problems
from modelyard.wire.uploads import UploadRequest

PUT_LIFE = timedelta(hours=1)
# What is announced in this process when there are new bytes to verify.
UNREAD = "unread"

# Made once, since making a statement costs more than running it.
_BY_KEY = select(UploadRow).where(UploadRow.storage_key == bindparam("key"), UploadRow.team_id == bindparam("team"))
_HELD = (
    select(BlobRow)
    .where(
        BlobRow.team_id == bindparam("team"),
        BlobRow.sha256 == bindparam("sha256"),
        BlobRow.size == bindparam("size"),
        BlobRow.verification == "verified",
    )
    .limit(1)
)
_uploads = table_of(UploadRow)
_USE = (
    update(_uploads)
    .where(_uploads.c.id == bindparam("of"), _uploads.c.registered_at.is_(None))
    .values(
        blob_id=bindparam("blob"),
        model_id=bindparam("model"),
        registered_at=bindparam("moment"),
        touched_at=bindparam("moment"),
    )
)


@dataclass(frozen=True)
class OpenedUpload:
    """An upload, and whether its bytes are needed at all."""

    upload: UploadRow
    is_stored: bool
    hash_first: bool


def open_upload(
    session: Session, acting: Acting, settings: Settings, new: UploadRequest, free_bytes: int | None
) -> OpenedUpload:
    """A handle for bytes to come, or a fresh handle on bytes that the team holds already.

    Raises:
        QuotaExceeded: the team may not store this much.
        TooManyAttempts: the team has too many unfinished uploads.
        StorageFull: the store has only ``free_bytes`` of room.
    """
    held = _verified_blob(session, acting.team_id, new)
    is_stored = held is not None and new.file_hash is not None
    if not is_stored:
        _check_room(session, acting, settings, new.file_size)
        _check_disk(free_bytes, new.file_size)

    upload_id = new_id()
    upload = UploadRow(
        id=upload_id,
        team_id=acting.team_id,
        storage_key=f"models/{acting.team_id}/{upload_id}",
        file_name=new.file_name,
        file_size=new.file_size,
        file_hash=new.file_hash,
        creator_kind=acting.creator.kind,
        creator_id=acting.creator.id,
    )
    if held is not None and is_stored:
        upload.blob_id = held.id
        held.unused_since = None
    session.add(upload)
    return OpenedUpload(upload, is_stored, hash_first=held is not None and not is_stored)


def put_request(store: BlobStore, upload: UploadRow) -> SignedRequest:
    """How to PUT the announced file whole."""
    sha256 = upload.file_hash.removeprefix("sha256:") if upload.file_hash else None
    return store.put_request(upload.storage_key, upload.file_size, sha256, PUT_LIFE)


def _verified_blob(session: Session, team_id: UUID, new: UploadRequest) -> BlobRow | None:
    """Verified bytes of this team with the new file's hash; without a hash, any of its size."""
    if new.file_hash is not None:
        return held_blob(session, team_id, new.file_hash.removeprefix("sha256:"), new.file_size)
    same_size = select(BlobRow).where(
        BlobRow.team_id == team_id, BlobRow.size == new.file_size, BlobRow.verification == "verified"
    )
    return session.scalars(same_size.limit(1)).first()


def _check_room(session: Session, acting: Acting, settings: Settings, size: int) -> None:
    # Added up as fractions: whole numbers beyond 64 bits are an error to SQLite, and anybody may announce them.
    count, coming = session.execute(
        select(func.count(), func.coalesce(func.sum(cast(UploadRow.file_size, Double)), 0.0)).where(
            UploadRow.team_id == acting.team_id,
            UploadRow.registered_at.is_(None),
            UploadRow.blob_id.is_(None),
            # A whole file comes while its URL lives; a handle that nobody used holds no room for a week.
            or_(UploadRow.multipart_id.is_not(None), UploadRow.created_at > now() - PUT_LIFE),
        )
    ).one()
    if count >= settings.open_uploads:
        raise problems.TooManyAttempts(
            f"The team has {count} unfinished uploads. Finish or abort some.", open_uploads=count, retry_after=60
        )
    quota = team_of(session, acting).quota_bytes
    quota = settings.quota_bytes if quota is None else quota
    stored = changes.totals_of(session, acting.team_id).stored_bytes
    if quota is not None and stored + int(coming) + size > quota:
        raise problems.QuotaExceeded(
            f"The team may store {quota} bytes and holds or expects {stored + int(coming)}; this file has {size}.",
            quota_bytes=quota,
            stored_bytes=stored,
            expected_bytes=int(coming),
        )


def _check_disk(free: int | None, size: int) -> None:
    if free is not None and size > free:
        raise problems.StorageFull(f"The registry's disk has {free} bytes free; this file has {size}.", free_bytes=free)


def upload_by_key(session: Session, team_id: UUID, storage_key: str) -> UploadRow:
    """An upload of this team.

    Raises:
        UploadNotFound: no upload of this team has this key; a foreign team's looks the same.
    """
    upload = session.scalar(_BY_KEY, {"key": storage_key, "team": team_id}) if is_key(storage_key) else None
    if upload is None:
        raise upload_not_found()
    return upload


def upload_not_found() -> problems.UploadNotFound:
    return problems.UploadNotFound("There is no such upload.")


def arrived_bytes(store: BlobStore, upload: UploadRow) -> int:
    """How many bytes have come so far, whole or in parts."""
    whole = store.stored(upload.storage_key)
    if whole is not None:
        return whole.size
    if upload.multipart_id is None:
        return 0
    return sum(part.size for part in store.parts(upload.storage_key, upload.multipart_id))


def new_blob(session: Session, upload: UploadRow, sha256: str, digest: Digest | None) -> BlobRow:
    """The bytes of this upload as a blob, verified if the store has read them; whoever makes it counts its bytes."""
    moment = None if digest is None else now()
    values = {
        "id": new_id(),
        "team_id": upload.team_id,
        "sha256": sha256,
        "blake3": None if digest is None else digest.blake3,
        "size": upload.file_size,
        "store_key": upload.storage_key,
        "verification": "pending" if digest is None else "verified",
        "checked_at": moment,
        "verified_at": moment,
    }
    insert_row(session, BlobRow, **values)
    if digest is None:
        announce(session, UNREAD)
    return BlobRow(**values)


def held_blob(session: Session, team_id: UUID, sha256: str, size: int) -> BlobRow | None:
    """Verified bytes of this team with this hash and size."""
    return session.scalars(_HELD, {"team": team_id, "sha256": sha256, "size": size}).first()


def use_upload(session: Session, upload: UploadRow, blob_id: UUID, model_id: UUID) -> bool:
    """Mark the upload as registered; False if somebody else did in between."""
    values = {"of": upload.id, "blob": blob_id, "model": model_id, "moment": now()}
    return session.connection().execute(_USE, values).rowcount == 1
