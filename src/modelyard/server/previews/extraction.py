"""The job that looks for pictures in the files of verified versions, newest first."""

import logging
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import or_, select, tuple_, update
from sqlalchemy.orm import Session

from modelyard.comfyui.model_files.readers import Reader
from modelyard.comfyui.model_files.safetensors import MAX_HEADER, looks_like_safetensors
from modelyard.server.database.base import now
from modelyard.server.database.session import Database, execute_and_count
from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.leases import Interruption
from modelyard.server.models.tables import UNPREVIEWED, ModelRow, ModelVersionRow
from modelyard.server.models.versions.previews import set_version_preview
from modelyard.server.previews.decoder import DecoderFailed, Picture, find_embedded_picture
from modelyard.server.previews.embedded import may_have_picture
from modelyard.server.previews.pictures import use_picture, write_picture
from modelyard.server.previews.stock import remove_if_stock
from modelyard.server.storage.blob_store import BlobStore, NoSuchKey, StoreError
from modelyard.server.storage.byte_ranges import ObjectRangeReader, check_store_answers
from modelyard.server.storage.digest import ReadStopped
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire.problems import PictureRefused, Unavailable

# A version whose file or picture could not be read, or whose picture could not be stored, is not tried again before.
RETRY_PAUSE = timedelta(hours=1)
# If the sandboxes were busy.
BUSY_PAUSE = timedelta(minutes=1)
# One write for so many versions: each makes the team's lists and manifests be built anew.
BATCH = 20
# Between two versions: after an upgrade, all models are looked at, beside requests.
PAUSE_SECONDS = 0.01
_Key = tuple[UUID, int]
log = logging.getLogger("modelyard.previews")


@dataclass(frozen=True)
class _Result:
    """What the search of one version found, with the key of the picture's new object; or when to search again."""

    found: Literal["file", "none", "failed"]
    picture: Picture | None = None
    stored: str | None = None
    retry_pause: timedelta | None = None


class PreviewExtractor:
    """Finds the pictures in the files of versions that were not looked at, and counts them by what was found."""

    def __init__(self, database: Database, store: BlobStore, metrics: Metrics) -> None:
        self._database, self._store, self._metrics = database, store, metrics
        self.interruption = Interruption()

    def stop(self) -> None:
        """Stop for good before the next version; what was found so far is kept."""
        self.interruption.stop()

    def is_due(self) -> bool:
        """Return whether a version waits for ``extract_next``."""
        with self._database.reading() as session:
            return bool(_load_batch(session))

    def extract_next(self) -> bool:
        """Look at the files of one batch of a team's versions; return False if none waits, or if this was interrupted.

        Raises:
            StoreUnavailable: the store does not answer at all.
        """
        with self._database.reading() as session:
            versions = _load_batch(session)
            blobs = {version.blob_id: session.get_one(BlobRow, version.blob_id) for version in versions}
        results: dict[_Key, _Result] = {}
        written: dict[str, str | None] = {}
        with suppress(ReadStopped):
            for version in versions:
                if self.interruption.wait(PAUSE_SECONDS):
                    break
                results[version.model_id, version.number] = self._search(blobs[version.blob_id], written)
        if results:
            self._record(versions[0].team_id, results)
        return bool(results) and not self.interruption.is_set()

    def _search(self, blob: BlobRow, written: dict[str, str | None]) -> _Result:
        """Search a file for its picture, and store that; return the result.

        ``written`` has the keys of the batch's pictures by hash, and gets new ones. A picture that cannot be used is
        logged. Other failures are logged, and postpone the search.

        Raises:
            StoreUnavailable: the store does not answer at all.
            ReadStopped
        """
        try:
            picture = self._read_picture(blob)
            if picture is None:
                return _Result("none")
            if picture.sha256 not in written:
                written[picture.sha256] = write_picture(self._database, self._store, blob.team_id, picture)
            return _Result("file", picture, written[picture.sha256])
        except PictureRefused as refused:
            log.info("the picture in a file cannot be used", extra={"blob": str(blob.id), "why": refused.detail})
            return _Result("failed")
        except DecoderFailed as failed:
            return _postpone(blob, failed.detail, RETRY_PAUSE)
        except Unavailable as busy:
            return _postpone(blob, busy.detail, BUSY_PAUSE)
        except StoreError as error:
            if not isinstance(error, NoSuchKey):
                check_store_answers(self._store)
            return _postpone(blob, error.detail, RETRY_PAUSE)

    def _read_picture(self, blob: BlobRow) -> Picture | None:
        """Return the picture in the header of a file, or None.

        Raises:
            PictureRefused: it cannot be used.
            Unavailable: see ``find_embedded_picture``.
            StoreError, ReadStopped
        """
        header = _read_header(ObjectRangeReader(self._store, blob.store_key, blob.size))
        if not may_have_picture(header):
            return None
        return find_embedded_picture(header, self._raise_if_stopped, blob=str(blob.id))

    def _raise_if_stopped(self) -> None:
        """Raise ``ReadStopped`` if the job has to end."""
        if self.interruption.is_set():
            raise ReadStopped("The search for pictures was stopped.")

    def _record(self, team_id: UUID, results: dict[_Key, _Result]) -> None:
        """Store the results of a batch with its versions, and count them in the metrics."""
        without_picture = [key for key, result in results.items() if result.found == "none"]
        others = {key: result for key, result in results.items() if result.found != "none"}
        with self._database.writing(team_id) as session:
            none_found = _record_none(session, without_picture)
            recorded = [_record_version(session, team_id, key, result) for key, result in others.items()]
        self._metrics.preview_searches.labels("none").inc(none_found)
        for found in recorded:
            if found is not None:
                self._metrics.preview_searches.labels(found).inc()


def _load_batch(session: Session) -> list[ModelVersionRow]:
    """Return the newest versions that were not looked at of the team that has the newest one."""
    may_try = or_(ModelVersionRow.preview_retry_at.is_(None), ModelVersionRow.preview_retry_at <= now())
    query = select(ModelVersionRow).where(UNPREVIEWED, may_try).order_by(ModelVersionRow.created_at.desc())
    versions = session.scalars(query.limit(BATCH)).all()
    return [version for version in versions if version.team_id == versions[0].team_id]


def _postpone(blob: BlobRow, why: str, pause: timedelta) -> _Result:
    """Log that a file could not be searched, and build the result of a search that is repeated after ``pause``."""
    log.warning("a file could not be searched for a picture", extra={"blob": str(blob.id), "why": why})
    return _Result("failed", retry_pause=pause)


def _record_none(session: Session, keys: Sequence[_Key]) -> int:
    """Note that files have no picture, with one statement; return of how many versions.

    What a model shows stays the same: a version that was not looked at has no picture. Any other is left out.
    """
    found = tuple_(ModelVersionRow.model_id, ModelVersionRow.number).in_(keys) & ModelVersionRow.preview_source.is_(
        None
    )
    values = {"preview_source": "none", "preview_retry_at": None}
    return execute_and_count(session, update(ModelVersionRow).where(found).values(values)) if keys else 0


def _record_version(session: Session, team_id: UUID, key: _Key, result: _Result) -> str | None:
    """Set the picture that was found, or that there is none, or when to search again; return what is counted.

    A picture that turns out to be a stock picture is not used, see ``remove_if_stock``. None if the version has a
    picture by now, or was deleted.
    """
    version = session.get(ModelVersionRow, key)
    if version is None or version.preview_source is not None:
        return None
    version.preview_retry_at = None if result.retry_pause is None else now() + result.retry_pause
    if result.retry_pause is not None:
        return "failed"
    model = session.get_one(ModelRow, version.model_id)
    if result.picture is None:
        set_version_preview(session, model, version, None, "none")
        return result.found
    if remove_if_stock(session, team_id, result.picture.sha256, version.model_id):
        set_version_preview(session, model, version, None, "none")
        return "stock"
    try:
        row = use_picture(session, team_id, result.picture, result.stored)
    except Unavailable:
        version.preview_retry_at = now() + BUSY_PAUSE
        return "failed"
    set_version_preview(session, model, version, (row.sha256, row.color), "file")
    return "file"


def _read_header(content: Reader) -> bytes:
    """Return the JSON header of a safetensors file; b"" for any other file, and for a header above 16 MiB."""
    head = content.read(0, 9)
    if not looks_like_safetensors(head):
        return b""
    length = int(struct.unpack_from("<Q", head)[0])
    return b"" if length > MAX_HEADER else content.read(8, length)
