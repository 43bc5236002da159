"""Activation of a version, after a check of its stored objects."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import case, select

from modelyard.server.database.session import Database
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.models.objects.recheck_requests import request_rechecks
from modelyard.server.models.tables import FolderFileRow
from modelyard.server.models.versions import operations
from modelyard.server.models.versions.access import find_readable_model, get_readable_version
from modelyard.server.teams.context import TeamContext
from modelyard.server.uploads.tables import DOUBTFUL, BlobRow

# Of a folder, so many objects are looked up in the store, which may be a request each: doubtful ones first, then the
# largest.
_MAX_CHECKED_FILES = 100


def activate_version(objects: ObjectChecks, team: TeamContext, model_id: UUID, number: int) -> None:
    """Make a version the current one after a check of its stored content.

    Content that the check finds doubtful is put first in the queue for a new verification, and damaged content is
    marked as such; both refuse the activation. While the store does not answer, the recorded state decides.

    Raises:
        ModelNotFound, VersionNotFound, RoleTooLow, ModelNotVerified, ModelDamaged: see ``operations.activate_version``.
        StoreUnavailable: see ``ObjectChecks.check``.
        Unavailable: the stored objects changed during each of three checks, or the database does not answer.
    """
    # Before the transaction, since it calls the store. What refuses the activation is verified first.
    _, doubtful = objects.check_until_undamaged(
        lambda: (number, _load_blobs(objects.database, team, model_id, number)), use_cache=False
    )
    request_rechecks(objects.database, team.team_id, [blob.id for blob in doubtful], goes_first=True)
    with objects.database.writing(team.team_id) as session:
        operations.activate_version(session, team, model_id, number)


def _load_blobs(database: Database, team: TeamContext, model_id: UUID, number: int) -> Sequence[BlobRow]:
    """Return the blobs of a verified version, of a folder those of its manifest and some files; else none."""
    with database.reading() as session:
        version = get_readable_version(session, team, find_readable_model(session, team, model_id), number)
        if version.verification != "verified":
            return []
        blob = session.get_one(BlobRow, version.blob_id)
        if not version.is_folder:
            return [blob]
        of_version = FolderFileRow.model_id == version.model_id, FolderFileRow.number == version.number
        files = select(BlobRow).where(BlobRow.id.in_(select(FolderFileRow.blob_id).where(*of_version)))
        in_order = files.order_by(case((DOUBTFUL, 0), else_=1), BlobRow.size.desc())
        return [blob, *session.scalars(in_order.limit(_MAX_CHECKED_FILES))]
