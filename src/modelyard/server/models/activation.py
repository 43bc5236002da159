"""Activation of a version, after a check of its stored objects."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from modelyard.server.database.session import Database
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.models.tables import FolderFileRow
from modelyard.server.models.versions import operations
from modelyard.server.models.versions.access import find_readable_model, get_readable_version
from modelyard.server.teams.context import TeamContext
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire import problems

# Of a folder, so many objects are looked up in the store, which may be a request each; the largest first.
_MAX_CHECKED_FILES = 100
# A damaged object of which the team has an intact copy is replaced by that copy, which is checked next.
_MAX_CHECKS = 3


def activate_version(objects: ObjectChecks, team: TeamContext, model_id: UUID, number: int) -> None:
    """Make a version the current one, unless its stored content is damaged or doubtful as far as a check can tell.

    Raises:
        ModelNotFound, VersionNotFound, RoleTooLow, ModelNotVerified, ModelDamaged: see ``operations.activate_version``.
        StoreUnavailable: see ``ObjectChecks.is_intact``.
        Unavailable: the stored objects changed during each of three checks, or the database does not answer.
    """
    # Before the transaction, since it calls the store.
    _check_objects(objects, team, model_id, number)
    objects.record_doubts(team.team_id)
    with objects.database.writing(team.team_id) as session:
        operations.activate_version(session, team, model_id, number)


def _check_objects(objects: ObjectChecks, team: TeamContext, model_id: UUID, number: int) -> None:
    """Check the stored objects of a version, so that its rows say which are damaged or doubtful.

    Raises:
        ModelNotFound, VersionNotFound, StoreUnavailable, Unavailable: see ``activate_version``.
    """
    for _ in range(_MAX_CHECKS):
        blobs = _load_blobs(objects.database, team, model_id, number)
        if all(objects.is_intact(blob, is_cached=False) for blob in blobs):
            return
    raise problems.Unavailable("The stored content of this version is changing. Try again.", retry_after=2)


def _load_blobs(database: Database, team: TeamContext, model_id: UUID, number: int) -> Sequence[BlobRow]:
    """Return the blobs of a verified version, of a folder those of its manifest and largest files; else none."""
    with database.reading() as session:
        version = get_readable_version(session, team, find_readable_model(session, team, model_id), number)
        if version.verification != "verified":
            return []
        blob = session.get_one(BlobRow, version.blob_id)
        if not version.is_folder:
            return [blob]
        of_version = FolderFileRow.model_id == version.model_id, FolderFileRow.number == version.number
        files = select(BlobRow).where(BlobRow.id.in_(select(FolderFileRow.blob_id).where(*of_version)))
        return [blob, *session.scalars(files.order_by(BlobRow.size.desc()).limit(_MAX_CHECKED_FILES))]
