"""Uploads in parts: begin, sign, list, complete, abort."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.identity.bearer import Caller
from modelyard.server.settings import Settings
from modelyard.server.storage import blob_store
from modelyard.server.storage.blob_store import MOST_PARTS, BlobStore
from modelyard.server.teams.acting import acting_in
from modelyard.server.teams.permissions import Operation
from modelyard.server.uploads.operations import PUT_LIFE, upload_not_found
from modelyard.server.uploads.tables import UploadRow
from modelyard.wire import problems
from modelyard.wire.uploads import Multipart, MultipartCompletion, MultipartRequest, PartsRequest

TOUCH_AFTER = timedelta(hours=1)


def callers_upload(session: Session, caller: Caller, storage_key: str) -> UploadRow:
    """The upload, if the caller may upload in its team: no ``X-Team-ID`` is needed, the upload has its team.

    Raises:
        UploadNotFound: it does not exist, or the caller has no business in its team.
        RoleTooLow, KeyNotAllowed: the caller is in the team, but may not upload.
    """
    known = select(UploadRow).where(UploadRow.storage_key == storage_key)
    upload = session.scalar(known) if blob_store.is_key(storage_key) else None
    if upload is None:
        raise upload_not_found()
    try:
        acting_in(session, caller, upload.team_id, Operation.MODELS_UPLOAD)
    except problems.NotAMember:
        raise upload_not_found() from None
    return upload


def part_size_for(size: int, usual: int) -> int:
    """The part size that cuts ``size`` bytes into at most 10,000 parts, in whole MiB if it has to grow."""
    if size <= usual * MOST_PARTS:
        return usual
    mebibyte = 1024 * 1024
    return -(-size // (MOST_PARTS * mebibyte)) * mebibyte


def part_count(upload: UploadRow) -> int:
    return -(-upload.file_size // upload.part_size) if upload.part_size else 0


def begin_multipart(
    database: Database, store: BlobStore, caller: Caller, settings: Settings, new: MultipartRequest
) -> UploadRow:
    """Begin, or go on with, sending an upload in parts; a repeat answers the same id.

    Raises:
        UploadNotFound: see ``callers_upload``.
        SizeMismatch: another size than at presign.
        UploadUsed: the bytes are here already.
    """
    with database.reading() as session:
        upload = callers_upload(session, caller, new.storage_key)
    if upload.file_size != new.file_size:
        raise problems.SizeMismatch(
            f"This upload was announced with {upload.file_size} bytes, not {new.file_size}.",
            errors=[{"field": "file_size", "message": f"The upload was announced with {upload.file_size} bytes."}],
        )
    _check_wanted(store, upload)
    if _is_open(store, upload):
        return upload
    begun, size = upload.multipart_id, part_size_for(upload.file_size, settings.part_size)
    started = _started(store, upload, size)
    with database.writing(upload.team_id) as session:
        upload = callers_upload(session, caller, new.storage_key)
        if upload.multipart_id == begun:
            upload.multipart_id, upload.part_size, upload.touched_at = started, size, now()
            return upload
    # Somebody began the same upload at the same moment, and was first.
    store.abort(upload.storage_key, started)
    return upload


def _check_wanted(store: BlobStore, upload: UploadRow) -> None:
    if upload.blob_id is not None or store.stored(upload.storage_key) is not None:
        raise _bytes_are_here(upload)


def _is_open(store: BlobStore, upload: UploadRow) -> bool:
    """Whether the upload was begun, and the store still has it: an aborted one is begun anew."""
    if upload.multipart_id is None:
        return False
    try:
        store.parts(upload.storage_key, upload.multipart_id)
    except blob_store.NoSuchUpload:
        return False
    return True


def _started(store: BlobStore, upload: UploadRow, part_size: int) -> str:
    try:
        return store.start(upload.storage_key, upload.file_size, part_size)
    except blob_store.KeyTaken:
        raise _bytes_are_here(upload) from None


def _bytes_are_here(upload: UploadRow) -> problems.UploadUsed:
    return problems.UploadUsed(
        "The bytes of this upload are here already: register them.", storage_key=upload.storage_key
    )


def multipart_of(session: Session, caller: Caller, wanted: Multipart) -> UploadRow:
    """The upload with both of these names.

    Raises:
        UploadNotFound: see ``callers_upload``; a wrong ``upload_id`` looks the same.
    """
    upload = callers_upload(session, caller, wanted.storage_key)
    if upload.multipart_id != wanted.upload_id:
        raise upload_not_found()
    return upload


def sign_parts(
    database: Database, store: BlobStore, caller: Caller, wanted: PartsRequest
) -> list[tuple[int, blob_store.SignedRequest]]:
    """A PUT request for each of these parts; keeps the upload from expiring.

    Raises:
        UploadNotFound: see ``multipart_of``.
        InvalidRequest: the file has no such part.
    """
    with database.reading() as session:
        upload = multipart_of(session, caller, wanted)
    beyond = [number for number in wanted.part_numbers if number > part_count(upload)]
    if beyond:
        message = f"The file has {part_count(upload)} parts; there is no part {beyond[0]}."
        raise problems.InvalidRequest(message, errors=[{"field": "part_numbers", "message": message}])
    if now() - upload.touched_at > TOUCH_AFTER:
        with database.writing(upload.team_id) as session:
            multipart_of(session, caller, wanted).touched_at = now()
    return [(number, _part_request(store, upload, number)) for number in dict.fromkeys(wanted.part_numbers)]


def _part_request(store: BlobStore, upload: UploadRow, number: int) -> blob_store.SignedRequest:
    assert upload.multipart_id is not None  # noqa: S101 - multipart_of has found both
    assert upload.part_size is not None  # noqa: S101 - the two are set together
    size = min(upload.part_size, upload.file_size - (number - 1) * upload.part_size)
    return store.part_request(upload.storage_key, upload.multipart_id, number, size, PUT_LIFE)


def stored_parts(
    database: Database, store: BlobStore, caller: Caller, wanted: Multipart
) -> Sequence[blob_store.StoredPart]:
    """The parts that the store holds; all of a finished upload's are gone from this list, since they are one file now.

    Raises:
        UploadNotFound: see ``multipart_of``.
    """
    with database.reading() as session:
        upload = multipart_of(session, caller, wanted)
    try:
        return store.parts(upload.storage_key, wanted.upload_id)
    except blob_store.NoSuchUpload:
        raise upload_not_found() from None


def complete_multipart(database: Database, store: BlobStore, caller: Caller, wanted: MultipartCompletion) -> None:
    """Make the parts one file; may be repeated.

    Raises:
        UploadNotFound: see ``multipart_of``.
        PartsWrong: the list is not what the store holds, or not the whole file.
        UploadUsed: other bytes were finished under this key first.
    """
    with database.reading() as session:
        upload = multipart_of(session, caller, wanted)
    named = [blob_store.NamedPart(part.part_number, part.etag) for part in wanted.part_list]
    if [part.number for part in named] != list(range(1, part_count(upload) + 1)):
        raise problems.PartsWrong(
            f"The file has parts 1 to {part_count(upload)}; list each once, ascending.", part_count=part_count(upload)
        )
    try:
        store.finish(upload.storage_key, wanted.upload_id, named)
    except blob_store.PartsWrong as error:
        raise problems.PartsWrong(str(error)) from error
    except blob_store.NoSuchUpload:
        raise upload_not_found() from None
    except blob_store.KeyTaken:
        raise problems.UploadUsed("This upload was finished in another way.", storage_key=upload.storage_key) from None


def abort_multipart(database: Database, store: BlobStore, caller: Caller, wanted: Multipart) -> None:
    """Give the parts up; may be repeated, and changes nothing after completion.

    Raises:
        UploadNotFound: see ``callers_upload``.
    """
    with database.reading() as session:
        upload = callers_upload(session, caller, wanted.storage_key)
    if upload.multipart_id != wanted.upload_id:
        return
    store.abort(upload.storage_key, wanted.upload_id)
    if store.stored(upload.storage_key) is None:
        with database.writing(upload.team_id) as session:
            upload = callers_upload(session, caller, wanted.storage_key)
            if upload.multipart_id == wanted.upload_id:
                upload.multipart_id = None
