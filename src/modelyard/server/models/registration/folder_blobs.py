"""The blobs of the files of a folder that is registered: the team's existing ones, or new ones for the uploads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, func, insert, literal, select, update
from sqlalchemy.orm import Session

from modelyard.comfyui.model_files.refusals import build_refusal
from modelyard.server.database.base import now
from modelyard.server.database.session import execute_and_count, get_table, split_ids
from modelyard.server.models.registration.decide import build_incomplete
from modelyard.server.models.registration.folder_contents import CheckedFile
from modelyard.server.models.tables import FolderFileRow, ModelVersionRow
from modelyard.server.models.trusted_files.rules import check_known_pickle, load_pickle_trust
from modelyard.server.uploads import operations as uploads
from modelyard.server.uploads.content_states import Pending
from modelyard.server.uploads.discards import DiscardedObject, discard
from modelyard.server.uploads.tables import BlobRow, UploadRow
from modelyard.wire import problems

_files = get_table(FolderFileRow)


@dataclass(frozen=True)
class FolderBlobs:
    """The rows of a folder's files but for model and version, whether all are verified, and the new blobs."""

    rows: Sequence[Mapping[str, Any]]
    is_verified: bool
    inserted: Sequence[BlobRow]

    @property
    def added_bytes(self) -> int:
        """By how many bytes the team's stored content grew."""
        return sum(blob.size for blob in self.inserted)


def use_file_uploads(session: Session, team_id: UUID, files: Sequence[CheckedFile], model_id: UUID) -> FolderBlobs:
    """Get or insert the blob of each file, and mark all of their uploads as registered.

    Content that the team has in another blob is used from there, if it was checked as the same kind of file; the
    uploaded object is discarded then. A doubtful blob is not used.

    Raises:
        UploadUsed: another request has registered an upload, or it was deleted.
        UploadIncomplete: presign has found the content stored, but it was found damaged or changed since.
        NotAModelFile: see ``_find_facts`` and ``check_known_pickle``; it names the file.
        HashMismatch: the blob of an upload that several files share has another hash than one of them.
    """
    moment = now()
    _mark_registered(session, files, model_id, moment)
    existing = _load_verified_blobs(session, team_id, {file.file.sha256 for file in files})
    uninspected = {_key(file) for file in files if file.content.metadata is None}
    kinds = sorted({file.kind for file in files if file.content.metadata is None})
    known = _load_known_facts(session, [blob.id for key, blob in existing.items() if key in uninspected], kinds)
    trust = load_pickle_trust(session, team_id, {blob.sha256 for blob in existing.values()})
    unchecked = uninspected | {_key(file) for file in files if file.content.digest is None}
    blobs, rows, inserted = dict[UUID, BlobRow](), list[dict[str, Any]](), list[BlobRow]()
    new = dict[tuple[str, int], BlobRow]()
    for position, file in enumerate(files):
        was_presigned_as_stored = file.upload.blob_id is not None
        stored = existing.get(_key(file))
        is_proven = was_presigned_as_stored or file.content.digest is not None
        facts = file.content.metadata
        if stored is not None and is_proven:
            try:
                facts = _find_facts(file, facts, known.get(stored.id, {}))
                check_known_pickle(session, trust, stored, facts)
            except problems.NotAModelFile as refused:
                raise file.name_in(refused) from None
            stored.unused_since = None
            blob = stored
        elif file.upload.id in blobs:
            blob = blobs[file.upload.id]
        elif file.content.digest is not None and _key(file) in new:
            blob = new[_key(file)]
        else:
            blob = _build_blob(session, file, is_checked=_key(file) not in unchecked)
            inserted.append(blob)
            if file.content.digest is not None:
                new[_key(file)] = blob
        if blob.sha256 != file.file.sha256:
            raise file.name_in(problems.HashMismatch(f"Its upload has sha256:{blob.sha256}."))
        blobs[file.upload.id] = blob
        rows.append(_build_row(team_id, position, file, blob, facts))
    uploads.insert_blobs(session, inserted)
    _set_blobs(session, files, blobs, moment)
    is_verified = all(blob.verification == "verified" for blob in blobs.values())
    return FolderBlobs(rows, is_verified, inserted)


def _key(file: CheckedFile) -> tuple[str, int]:
    """Return the hash and size of a file, which are those of its blob."""
    return file.file.sha256, file.file.size


def _mark_registered(session: Session, files: Sequence[CheckedFile], model_id: UUID, moment: datetime) -> None:
    """Mark the uploads as registered for the model; ``_set_blobs`` writes their blobs.

    Raises:
        UploadUsed: another request registered one since it was loaded, or it was deleted; names the file.
    """
    ids = sorted({file.upload.id for file in files})
    values = {"model_id": model_id, "registered_at": moment, "touched_at": moment}
    for part in split_ids(ids):
        is_free = UploadRow.id.in_(part), UploadRow.registered_at.is_(None)
        taken = set(session.scalars(select(UploadRow.id).where(*is_free).with_for_update()))
        for file in files if len(taken) < len(part) else ():
            if file.upload.id in part and file.upload.id not in taken:
                message = "Its upload was registered or deleted a moment ago. Request a new upload."
                raise file.name_in(problems.UploadUsed(message))
        execute_and_count(session, update(UploadRow).where(UploadRow.id.in_(part)).values(values))


def _load_verified_blobs(session: Session, team_id: UUID, hashes: Iterable[str]) -> dict[tuple[str, int], BlobRow]:
    """Return the team's verified blobs with these hashes that are not doubtful, by hash and size."""
    found = dict[tuple[str, int], BlobRow]()
    for part in split_ids(sorted(hashes)):
        query = select(BlobRow).where(
            BlobRow.team_id == team_id, BlobRow.sha256.in_(part), BlobRow.verification == "verified"
        )
        found |= {(blob.sha256, blob.size): blob for blob in session.scalars(query) if not blob.is_doubtful}
    return found


def _load_known_facts(
    session: Session, blob_ids: Sequence[UUID], kinds: Sequence[str]
) -> dict[UUID, dict[str, dict[str, Any]]]:
    """Return the metadata of each verified blob, by those of these kinds as which models and folders have it.

    One row tells for all that have the blob as the same kind, of which there may be very many.
    """
    is_one = ModelVersionRow.blob_id == BlobRow.id, ModelVersionRow.file_count.is_(None)
    in_models = select(ModelVersionRow.facts).where(*is_one).limit(1).scalar_subquery()
    known = dict[UUID, dict[str, dict[str, Any]]]()
    for part in split_ids(blob_ids):
        for kind in kinds:
            is_file = FolderFileRow.blob_id == BlobRow.id, FolderFileRow.kind == kind
            facts = func.coalesce(FolderFileRow.facts, literal({}, JSON()))
            in_folders = select(facts).where(*is_file).limit(1).scalar_subquery()
            for blob_id, found in session.execute(select(BlobRow.id, in_folders).where(BlobRow.id.in_(part))):
                if found is not None:
                    known.setdefault(blob_id, {})[kind] = found
        for blob_id, found in session.execute(select(BlobRow.id, in_models).where(BlobRow.id.in_(part))):
            if found is not None:
                known.setdefault(blob_id, {})[found["format"]] = found
    return known


def _find_facts(file: CheckedFile, facts: dict[str, Any] | None, known: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the metadata of a file whose content the team has verified already.

    Raises:
        NotAModelFile: it was never checked as what the name of this file stands for. It is not checked now, since
            other models and folders use the content, and a refusal would make them fail.
    """
    found = facts if facts is not None else known.get(file.kind)
    if found is not None:
        return found
    raise build_refusal(
        "The team stores this content as another kind of file already. Give it the same extension, or leave it out.",
        "another kind of file",
    )


def _build_blob(session: Session, file: CheckedFile, *, is_checked: bool) -> BlobRow:
    """Build the blob of the uploaded content of a file: verified if it was checked for all files that share it.

    Raises:
        UploadIncomplete: nothing was uploaded.
    """
    if file.upload.blob_id is not None:
        raise file.name_in(build_incomplete(0, file.file.size))
    state = file.content.build_state() if is_checked else Pending()
    return uploads.build_blob(session, file.upload, file.file.sha256, state)


def _build_row(
    team_id: UUID, position: int, file: CheckedFile, blob: BlobRow, facts: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the columns of a file but for those of its version."""
    return {
        "position": position,
        "team_id": team_id,
        "path": file.file.path,
        "blob_id": blob.id,
        "file_size": file.file.size,
        "file_hash": f"sha256:{file.file.sha256}",
        "kind": file.kind,
        "facts": facts or None,
    }


def _set_blobs(session: Session, files: Sequence[CheckedFile], blobs: Mapping[UUID, BlobRow], moment: datetime) -> None:
    """Write the blob of each upload, and discard the uploaded objects whose content the team has in another blob."""
    all_uploads = {file.upload.id: file.upload for file in files}
    session.flush()
    session.execute(update(UploadRow), [{"id": id_, "blob_id": blobs[id_].id} for id_ in all_uploads])
    unneeded = [
        DiscardedObject(upload.team_id, upload.storage_key)
        for upload in all_uploads.values()
        if upload.blob_id is None and blobs[upload.id].store_key != upload.storage_key
    ]
    for start in range(0, len(unneeded), 500):
        discard(session, unneeded[start : start + 500], moment)


def insert_folder_files(session: Session, blobs: FolderBlobs, model_id: UUID, number: int) -> None:
    """Insert a row for each file of a version, after a flush of the session."""
    version = {"model_id": model_id, "number": number}
    session.flush()
    session.connection().execute(insert(_files), [dict(row) | version for row in blobs.rows])


def replace_folder_files(session: Session, blobs: FolderBlobs, model_id: UUID, number: int) -> None:
    """Update the rows of a version's files with the blobs, metadata and positions of a new upload of the same folder.

    The session is flushed first. The rows are found by their paths; other columns stay.
    """
    version = {"model_id": model_id, "number": number}
    changed = ("position", "blob_id", "facts")
    session.flush()
    session.execute(update(FolderFileRow), [version | {name: row[name] for name in changed} for row in blobs.rows])
