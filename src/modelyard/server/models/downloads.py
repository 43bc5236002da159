"""Download URLs: presigned requests for the content of verified versions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.http.paging import Order, Page, build_cursor_error, list_page
from modelyard.server.models.objects.checks import ObjectCheck, ObjectChecks
from modelyard.server.models.tables import FolderFileRow, ModelRow, ModelVersionRow
from modelyard.server.models.versions.access import build_version_damaged, find_readable_model, get_readable_version
from modelyard.server.storage.blob_store import SignedRequest
from modelyard.server.teams.context import TeamContext
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire import problems
from modelyard.wire.schemas import PageMeta
from modelyard.wire.versions import MAX_VERSION

GET_URL_LIFETIME = timedelta(minutes=15)
# With the version first, so that the cursor of a page has it.
_IN_ORDER = Order((FolderFileRow.number, FolderFileRow.position))


class Download(NamedTuple):
    """A request that downloads a file, and whether its blob is doubtful."""

    request: SignedRequest
    is_doubtful: bool


def presign_download(objects: ObjectChecks, team: TeamContext, model_id: UUID, number: int | None = None) -> Download:
    """Return a presigned GET request for a version whose content is verified and whose stored object passes the checks.

    Without a ``number`` it is the version that the model's record shows.

    Raises:
        ModelNotFound: the team has no such model, or the caller is a machine whose manifest does not list it.
        VersionNotFound: the model has no such version, or the caller is a machine whose manifest has another one.
        ModelIsFolder: it has many files.
        ModelNotVerified: verification is not done yet.
        ModelDamaged: the stored content is wrong or missing, as this check or an earlier one showed.
        StoreUnavailable: see ``ObjectChecks.check``.
        Unavailable: the stored objects changed during each of three checks.
    """
    (model, blob), doubtful = objects.check_until_undamaged(
        lambda: _get_verified_version(objects, team, model_id, number)
    )
    file_name = model.model_path.rsplit("/", 1)[-1]
    request = objects.store.presign_download(blob.store_key, file_name, blob.sha256, GET_URL_LIFETIME)
    return Download(request, bool(doubtful))


def _get_verified_version(
    objects: ObjectChecks, team: TeamContext, model_id: UUID, number: int | None
) -> tuple[tuple[ModelRow, BlobRow], list[BlobRow]]:
    """Return a model with the blob of a verified version of it that the caller may download, and that blob to check.

    Raises:
        ModelNotFound, VersionNotFound, ModelIsFolder, ModelNotVerified, ModelDamaged: see ``presign_download``.
    """
    with objects.database.reading() as session:
        model = find_readable_model(session, team, model_id)
        version = get_readable_version(session, team, model, model.shown_version if number is None else number)
        blob = session.get_one(BlobRow, version.blob_id)
    if version.is_folder:
        raise problems.ModelIsFolder(
            f"This model is a folder of {version.file_count} files. List them, with a URL for each: "
            f"GET {build_files_path(model.id)}",
            files_path=build_files_path(model.id),
        )
    _check_is_verified(model, version)
    return (model, blob), [blob]


def _check_is_verified(model: ModelRow, version: ModelVersionRow) -> None:
    """Check that the content of a version may be downloaded.

    Raises:
        ModelNotVerified, ModelDamaged: see ``presign_download``.
    """
    if version.verification == "pending":
        raise problems.ModelNotVerified(
            version.verification_error or "The registry has not verified this content yet. Try again later.",
            verification="pending",
        )
    if version.verification == "failed":
        raise build_version_damaged(model, version, version.verification_error)


def build_files_path(model_id: UUID) -> str:
    """Return the path of the list of a model's files in the API."""
    return f"/api/v1/models/{model_id}/files"


class _StoredFile(NamedTuple):
    """A file of a version and its blob."""

    path: str
    blob: BlobRow


class DownloadableFile(NamedTuple):
    """A file of a version; ``request`` downloads it."""

    path: str
    size: int
    sha256: str
    request: SignedRequest
    is_doubtful: bool


@dataclass(frozen=True)
class FilesPage:
    """A page of the files of a version."""

    version: int
    file_hash: str
    files: Sequence[DownloadableFile]
    meta: PageMeta


def presign_files(
    objects: ObjectChecks, team: TeamContext, model_id: UUID, number: int | None, page: Page
) -> FilesPage:
    """Return a page of the files of a verified version with presigned GET requests; a model of one file has one.

    Without a ``number`` it is the version of the cursor, and on the first page the one that the model's record shows.

    Raises:
        ModelNotFound, VersionNotFound, ModelNotVerified, ModelDamaged, StoreUnavailable: see ``presign_download``.
        InvalidRequest: the cursor is malformed, or of another version than ``number``.
    """
    number = _find_version_number(page, number)
    with objects.database.reading() as session:
        model = find_readable_model(session, team, model_id)
        version = get_readable_version(session, team, model, model.shown_version if number is None else number)
        _check_is_verified(model, version)
        files, meta = _load_files(session, model, version, page)
    presigned = [_check_and_presign(objects, model, version, file) for file in files]
    return FilesPage(version.number, version.file_hash, presigned, meta)


def presign_folder_file(
    objects: ObjectChecks, team: TeamContext, model_id: UUID, number: int, position: int
) -> DownloadableFile:
    """Return the file at a position in the manifest of a verified folder version, with a presigned GET request.

    Raises:
        ModelNotFound, VersionNotFound, ModelNotVerified, ModelDamaged, StoreUnavailable: see ``presign_download``.
    """
    with objects.database.reading() as session:
        model = find_readable_model(session, team, model_id)
        version = get_readable_version(session, team, model, number)
        _check_is_verified(model, version)
        row = session.get_one(FolderFileRow, (model_id, number, position))
        file = _StoredFile(row.path, session.get_one(BlobRow, row.blob_id))
    return _check_and_presign(objects, model, version, file)


def _find_version_number(page: Page, number: int | None) -> int | None:
    """Return the version of which the files are listed; None if neither the request nor its cursor has one.

    Raises:
        InvalidRequest: the cursor is malformed, or of another version than ``number``.
    """
    position = page.position
    if position is None:
        return number
    text = position[0] if position else None
    if not isinstance(text, str) or not text.isascii() or not text.isdecimal() or len(text) > len(str(MAX_VERSION)):
        raise build_cursor_error()
    of_cursor = int(text)
    if of_cursor < 1 or number not in (None, of_cursor):
        raise build_cursor_error()
    return of_cursor


def _load_files(
    session: Session, model: ModelRow, version: ModelVersionRow, page: Page
) -> tuple[list[_StoredFile], PageMeta]:
    """Return a page of the files of a version, in the order of the manifest.

    Raises:
        InvalidRequest: the cursor is of a folder, but the version is one file; or it is malformed.
    """
    if not version.is_folder:
        if page.position is not None:
            # No page of one file has a next cursor.
            raise build_cursor_error()
        blob = session.get_one(BlobRow, version.blob_id)
        only = [_StoredFile(model.model_path.rpartition("/")[2], blob)] if page.is_first else []
        return only, page.meta(1) if page.cursor is None else page.cursor_meta(None)
    query = (
        select(FolderFileRow.path, BlobRow)
        .join(BlobRow, BlobRow.id == FolderFileRow.blob_id)
        .where(FolderFileRow.model_id == version.model_id, FolderFileRow.number == version.number)
    )
    rows, meta = list_page(session, query, page, _IN_ORDER)
    return [_StoredFile(row[0], row[1]) for row in rows], meta


def _check_and_presign(
    objects: ObjectChecks, model: ModelRow, version: ModelVersionRow, file: _StoredFile
) -> DownloadableFile:
    """Return a file of a version with its presigned request.

    Raises:
        ModelDamaged: its object is missing or damaged.
        StoreUnavailable: see ``ObjectChecks.check``.
    """
    blob, name = file.blob, file.path.rpartition("/")[2]
    check = objects.check(blob)
    if check is ObjectCheck.DAMAGED:
        error = f"'{file.path}' is missing or damaged. Push the folder again to repair it."
        raise build_version_damaged(model, version, error)
    request = objects.store.presign_download(blob.store_key, name, blob.sha256, GET_URL_LIFETIME)
    return DownloadableFile(file.path, blob.size, blob.sha256, request, check is ObjectCheck.DOUBTFUL)
