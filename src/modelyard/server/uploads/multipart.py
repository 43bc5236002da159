"""Operations on multipart uploads: begin, presign parts, list parts, complete, abort."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.identity.authentication import Caller
from modelyard.server.settings import Settings
from modelyard.server.storage import blob_store
from modelyard.server.storage.blob_store import MAX_PARTS, BlobStore
from modelyard.server.teams.context import TeamContext, resolve_team_context_by_id
from modelyard.server.teams.permissions import Operation
from modelyard.server.uploads.discards import DiscardedObject, discard
from modelyard.server.uploads.limits import PUT_URL_LIFETIME, check_space
from modelyard.server.uploads.operations import build_upload_not_found, find_upload, get_upload
from modelyard.server.uploads.tables import UploadRow
from modelyard.wire import problems
from modelyard.wire.uploads import Multipart, MultipartCompletion, MultipartRequest, PartsRequest

# How often at most the time of an upload's last part is written.
TOUCH_INTERVAL = timedelta(hours=1)
MEBIBYTE = 1024 * 1024
# After an interruption, a client sends the unfinished parts again, usually four, so parts should be small. But each
# part costs two calls of fsync or one request to a bucket, so there should not be many.
MIN_PART_SIZE, MAX_USUAL_PART_SIZE = 8 * MEBIBYTE, 16 * MEBIBYTE
_USUAL_PART_COUNT = 64


def get_callers_upload(session: Session, caller: Caller, storage_key: str) -> UploadRow:
    """Return an upload in a team where the caller may upload; the upload names its team, so no ``X-Team-ID`` is needed.

    Raises:
        UploadNotFound: it does not exist, or the caller is not a member of its team.
        RoleTooLow, KeyNotAllowed: the caller belongs to the team, but may not upload.
    """
    query = select(UploadRow).where(UploadRow.storage_key == storage_key)
    upload = session.scalar(query) if blob_store.is_storage_key(storage_key) else None
    if upload is None:
        raise build_upload_not_found()
    try:
        resolve_team_context_by_id(session, caller, upload.team_id, Operation.MODELS_UPLOAD)
    except problems.NotAMember:
        raise build_upload_not_found() from None
    return upload


def choose_part_size(size: int, fixed: int | None) -> int:
    """Return the part size for a file of ``size`` bytes: ``fixed``, or without it 8 to 16 MiB, in whole MiB.

    It is larger if the file would otherwise have more than 10,000 parts.
    """
    by_size = min(max(_find_part_size(size, _USUAL_PART_COUNT), MIN_PART_SIZE), MAX_USUAL_PART_SIZE)
    part_size = by_size if fixed is None else fixed
    return part_size if size <= part_size * MAX_PARTS else _find_part_size(size, MAX_PARTS)


def _find_part_size(size: int, parts: int) -> int:
    """Return the smallest part size in whole MiB with which ``size`` bytes have at most ``parts`` parts."""
    return -(-size // (parts * MEBIBYTE)) * MEBIBYTE


def count_parts(upload: UploadRow) -> int:
    """Return the number of parts of an upload; 0 if it is not a multipart upload."""
    return -(-upload.file_size // upload.part_size) if upload.part_size else 0


def begin_multipart(
    database: Database, store: BlobStore, caller: Caller, settings: Settings, new: MultipartRequest
) -> UploadRow:
    """Begin a multipart upload, or return the one that is open: a repeated request gets the same upload id.

    The part size is stored with the upload. If another request begins the same upload first, this one's is aborted.

    Raises:
        UploadNotFound, RoleTooLow, KeyNotAllowed: see ``get_callers_upload``.
        SizeMismatch: the size differs from the one declared at presign.
        UploadUsed: the store has the complete file, or the team had its content already at presign.
    """
    with database.reading() as session:
        upload = get_callers_upload(session, caller, new.storage_key)
    if upload.file_size != new.file_size:
        raise problems.SizeMismatch(
            f"This upload was declared with {upload.file_size} bytes, not {new.file_size}. "
            "Send the declared size, or presign again.",
            presigned=upload.file_size,
            initiated=new.file_size,
            errors=[{"field": "file_size", "message": f"The upload was declared with {upload.file_size} bytes."}],
        )
    _check_not_complete(store, upload)
    if _is_multipart_open(store, upload):
        return upload
    old_id, part_size = upload.multipart_id, choose_part_size(upload.file_size, settings.part_size)
    new_id = _start_multipart(store, upload, part_size)
    with database.writing(upload.team_id) as session:
        upload = get_callers_upload(session, caller, new.storage_key)
        if upload.multipart_id == old_id:
            upload.multipart_id, upload.part_size, upload.touched_at = new_id, part_size, now()
            upload.aborted_at = None
            return upload
    # Another request began the same upload at the same time, and was first.
    store.abort_multipart(upload.storage_key, new_id)
    return upload


def _check_not_complete(store: BlobStore, upload: UploadRow) -> None:
    """Check that the store does not have the complete file, and that presign did not find its content stored already.

    Raises:
        UploadUsed: one of them is so.
    """
    if upload.blob_id is not None or store.stat(upload.storage_key) is not None:
        raise _build_upload_complete(upload)


def _is_multipart_open(store: BlobStore, upload: UploadRow) -> bool:
    """Return whether the upload has a multipart upload that the store still knows; an aborted one is begun again."""
    if upload.multipart_id is None:
        return False
    try:
        store.list_parts(upload.storage_key, upload.multipart_id)
    except blob_store.NoSuchUpload:
        return False
    return True


def _start_multipart(store: BlobStore, upload: UploadRow, part_size: int) -> str:
    """Start a multipart upload in the store, and return its id.

    Raises:
        UploadUsed: the store has the complete file already.
    """
    try:
        return store.start_multipart(upload.storage_key, upload.file_size, part_size)
    except blob_store.KeyTaken:
        raise _build_upload_complete(upload) from None


def _build_upload_complete(upload: UploadRow) -> problems.UploadUsed:
    """Build the problem for an upload whose complete file the store has already."""
    return problems.UploadUsed("This file is uploaded already. Register it as a model.", storage_key=upload.storage_key)


def get_multipart_upload(session: Session, caller: Caller, request: Multipart) -> UploadRow:
    """Return the upload with this storage key and upload id.

    Raises:
        UploadNotFound: see ``get_callers_upload``; also for a wrong ``upload_id``.
        RoleTooLow, KeyNotAllowed: see ``get_callers_upload``.
    """
    upload = get_callers_upload(session, caller, request.storage_key)
    if upload.multipart_id != request.upload_id:
        raise build_upload_not_found()
    return upload


def presign_parts(
    database: Database, store: BlobStore, caller: Caller, request: PartsRequest
) -> list[tuple[int, blob_store.SignedRequest]]:
    """Return a presigned PUT request for each part number, duplicates removed.

    Extends the life of the upload if it was extended more than ``TOUCH_INTERVAL`` ago.

    Raises:
        UploadNotFound, RoleTooLow, KeyNotAllowed: see ``get_multipart_upload``.
        InvalidRequest: the file has no part with one of these numbers.
    """
    with database.reading() as session:
        upload = get_multipart_upload(session, caller, request)
    too_high = [number for number in request.part_numbers if number > count_parts(upload)]
    if too_high:
        message = f"The file has {count_parts(upload)} parts; there is no part {too_high[0]}."
        raise problems.InvalidRequest(message, errors=[{"field": "part_numbers", "message": message}])
    if now() - upload.touched_at > TOUCH_INTERVAL:
        with database.writing(upload.team_id) as session:
            get_multipart_upload(session, caller, request).touched_at = now()
    return [(number, _presign_part(store, upload, number)) for number in dict.fromkeys(request.part_numbers)]


def _presign_part(store: BlobStore, upload: UploadRow, number: int) -> blob_store.SignedRequest:
    """Return a presigned PUT request for one part with its exact size; the last part may be shorter."""
    assert upload.multipart_id is not None  # noqa: S101 - get_multipart_upload has found both
    assert upload.part_size is not None  # noqa: S101 - the two are set together
    size = min(upload.part_size, upload.file_size - (number - 1) * upload.part_size)
    return store.presign_part(upload.storage_key, upload.multipart_id, number, size, PUT_URL_LIFETIME)


def list_stored_parts(
    database: Database, store: BlobStore, caller: Caller, request: Multipart
) -> Sequence[blob_store.StoredPart]:
    """Return the parts that the store has; a completed upload has none, since they became one file.

    Raises:
        UploadNotFound: see ``get_multipart_upload``; also if the store does not know the upload any more.
    """
    with database.reading() as session:
        upload = get_multipart_upload(session, caller, request)
    try:
        return store.list_parts(upload.storage_key, request.upload_id)
    except blob_store.NoSuchUpload:
        raise build_upload_not_found() from None


def complete_multipart(database: Database, store: BlobStore, caller: Caller, request: MultipartCompletion) -> None:
    """Combine the parts in the store into one file; may be repeated. The database is not changed.

    Raises:
        UploadNotFound: see ``get_multipart_upload``.
        PartsWrong: the list is incomplete, not in order, or differs from the parts in the store.
        UploadUsed: another file was completed under this storage key first.
    """
    with database.reading() as session:
        upload = get_multipart_upload(session, caller, request)
    parts = [blob_store.NamedPart(part.part_number, part.etag) for part in request.part_list]
    if [part.number for part in parts] != list(range(1, count_parts(upload) + 1)):
        raise problems.PartsWrong(
            f"The file has parts 1 to {count_parts(upload)}. List each of them once, in ascending order.",
            part_count=count_parts(upload),
        )
    try:
        store.finish_multipart(upload.storage_key, request.upload_id, parts)
    except blob_store.PartsWrong as error:
        raise problems.PartsWrong(str(error)) from error
    except blob_store.NoSuchUpload:
        raise build_upload_not_found() from None
    except blob_store.KeyTaken:
        raise problems.UploadUsed(
            "This upload was completed by another request. Register it, or begin a new upload.",
            storage_key=upload.storage_key,
        ) from None


def abort_multipart(database: Database, store: BlobStore, caller: Caller, request: Multipart) -> None:
    """Abort a multipart upload, delete its parts and free its part of the quota; may be repeated.

    Does nothing for an ``upload_id`` that is not the upload's current one. A file that was completed before stays.

    Raises:
        UploadNotFound: see ``get_callers_upload``.
    """
    with database.reading() as session:
        upload = get_callers_upload(session, caller, request.storage_key)
    if upload.multipart_id != request.upload_id:
        return
    store.abort_multipart(upload.storage_key, request.upload_id)
    if store.stat(upload.storage_key) is None:
        with database.writing(upload.team_id) as session:
            upload = get_callers_upload(session, caller, request.storage_key)
            if upload.multipart_id == request.upload_id:
                upload.multipart_id, upload.aborted_at = None, now()


def abort_own_upload(database: Database, store: BlobStore, team_id: UUID, storage_key: str) -> None:
    """Abort an upload as ``release_own_upload``, and delete its parts now. Idempotent.

    Raises:
        StoreError: the store refuses or does not answer; the parts are deleted later.
    """
    with database.writing(team_id) as session:
        multipart_id = release_own_upload(session, team_id, storage_key)
    if multipart_id is not None:
        store.abort_multipart(storage_key, multipart_id)


def release_own_upload(session: Session, team_id: UUID, storage_key: str) -> str | None:
    """Abort the multipart upload that the registry itself began for a team, which frees its part of the quota.

    Its parts are marked as discarded. Returns its id in the store; None, and changes nothing, for an upload that is
    registered, that has no parts, or that does not exist any more. A complete file is removed when the upload expires.
    """
    upload = find_upload(session, team_id, storage_key)
    if upload is None or upload.registered_at is not None or upload.multipart_id is None:
        return None
    multipart_id, moment = upload.multipart_id, now()
    discard(session, [DiscardedObject(team_id, storage_key, multipart_id)], moment)
    upload.multipart_id, upload.aborted_at = None, moment
    # The URL of its PUT request was not given out; it would count in the quota until it expires.
    upload.created_at = min(upload.created_at, moment - PUT_URL_LIFETIME)
    return multipart_id


def restart_own_upload(
    database: Database, store: BlobStore, team: TeamContext, settings: Settings, upload: UploadRow, size: int
) -> UploadRow:
    """Begin an upload that the registry itself fills anew with another size, and delete the parts that it has.

    Its reservation in the quota changes to the new size, and is not free in between.

    Raises:
        QuotaExceeded, StorageFull: the file does not fit.
        UploadNotFound: the upload expired.
        UploadUsed: the store has the complete file already.
    """
    if upload.multipart_id is not None:
        store.abort_multipart(upload.storage_key, upload.multipart_id)
    free_bytes, part_size = store.get_free_bytes(), choose_part_size(size, settings.part_size)
    try:
        new_id = store.start_multipart(upload.storage_key, size, part_size)
    except blob_store.KeyTaken:
        raise _build_upload_complete(upload) from None
    try:
        with database.writing(upload.team_id) as session:
            current = get_upload(session, upload.team_id, upload.storage_key)
            counted = 0 if current.multipart_id is None else current.file_size
            if size > counted:
                check_space(session, team, settings, size - counted, free_bytes)
            current.multipart_id, current.part_size, current.file_size = new_id, part_size, size
            current.touched_at, current.aborted_at = now(), None
    except problems.Problem:
        store.abort_multipart(upload.storage_key, new_id)
        raise
    return current


def resize_own_upload(
    database: Database, store: BlobStore, team: TeamContext, settings: Settings, upload: UploadRow, size: int
) -> UploadRow:
    """Set the size of an open upload that the registry itself fills; what it grows by is reserved in the quota.

    Raises:
        QuotaExceeded, StorageFull: the file does not fit; the size stays.
        UploadNotFound: the upload expired.
    """
    free_bytes = store.get_free_bytes()
    with database.writing(upload.team_id) as session:
        current = get_upload(session, upload.team_id, upload.storage_key)
        if size > current.file_size:
            check_space(session, team, settings, size - current.file_size, free_bytes)
        current.file_size, current.touched_at = size, now()
    store.resize_multipart(upload.storage_key, upload.multipart_id or "", size)
    return current


def touch_upload(database: Database, upload: UploadRow) -> None:
    """Extend the life of an upload that the registry itself fills."""
    with database.writing(upload.team_id) as session:
        session.execute(update(UploadRow).where(UploadRow.id == upload.id).values(touched_at=now()))
