"""What people and keys do with the preview of a version: set it, remove it."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.models.versions.operations import get_version_to_change
from modelyard.server.models.versions.previews import PreviewSource, set_version_preview
from modelyard.server.models.versions.states import find_newest_version
from modelyard.server.previews.decoder import Picture
from modelyard.server.previews.pictures import PictureStorage, find_picture, use_picture, write_picture
from modelyard.server.previews.tables import PreviewRow
from modelyard.server.settings import Settings
from modelyard.server.teams.context import TeamContext, reload_team_context
from modelyard.server.teams.permissions import Operation
from modelyard.server.uploads.limits import check_quota
from modelyard.wire import problems
from modelyard.wire.versions import Preview, build_preview_url


def is_picture_wanted(database: Database, team: TeamContext, place: tuple[UUID, int], *, replace: bool) -> bool:
    """Return whether ``set_preview`` would use a picture, so that others need not be decoded.

    Raises:
        ModelNotFound, VersionNotFound, RoleTooLow: see ``get_version_to_change``.
    """
    with database.reading() as session:
        _, version = get_version_to_change(session, team, *place)
        return replace or not _is_decided(version)


def set_preview(
    storage: PictureStorage, team: TeamContext, place: tuple[UUID, int], picture: Picture | None, *, replace: bool
) -> Preview:
    """Make a picture the preview of a version, given by its model's id and its number, and record that.

    Without ``replace``, a version that has a preview, or whose preview a user or key has removed, stays as it is.
    None is a picture that was not wanted.

    Raises:
        ModelNotFound, VersionNotFound, RoleTooLow: see ``get_version_to_change``.
        QuotaExceeded: it does not fit into the team's quota.
        NotAMember, RoleTooLow, KeyNotAllowed, Unauthenticated: see ``reload_team_context``.
        Unavailable, StoreFull, StoreUnavailable
    """
    database = storage.database
    if picture is None:
        with database.reading() as session:
            return _build_preview(get_version_to_change(session, team, *place)[1])
    with database.reading() as session:
        _check_quota(session, team, storage.settings, picture)
    key = write_picture(database, storage.store, team.team_id, picture)
    with database.writing(team.team_id) as session:
        team = reload_team_context(session, team, Operation.MODELS_EDIT)
        model, version = get_version_to_change(session, team, *place)
        if replace or not _is_decided(version):
            _check_quota(session, team, storage.settings, picture)
            _use_as_preview(session, team, (model, version), picture, key, "person")
        return _build_preview(version)


def is_source_preview_wanted(database: Database, team: TeamContext, model_id: UUID, file_hash: str) -> bool:
    """Return whether ``set_source_preview`` would use a picture; raises as that."""
    with database.reading() as session:
        return _find_undecided(session, team, model_id, file_hash) is not None


def set_source_preview(
    storage: PictureStorage, team: TeamContext, model_id: UUID, file_hash: str, picture: Picture
) -> bool:
    """Make a picture of an import's source the preview of the model's newest version, and record that.

    Return whether it is. It is not if that version has another content or a preview, or if a user or key has set or
    removed the picture of any version of the model: the model would show another one.

    Raises:
        ModelNotFound, VersionNotFound, RoleTooLow: see ``get_version_to_change``.
        QuotaExceeded: it does not fit into the team's quota.
        NotAMember, RoleTooLow, KeyNotAllowed, Unauthenticated: see ``reload_team_context``.
        Unavailable, StoreFull, StoreUnavailable
    """
    database = storage.database
    with database.reading() as session:
        _check_quota(session, team, storage.settings, picture)
    key = write_picture(database, storage.store, team.team_id, picture)
    with database.writing(team.team_id) as session:
        team = reload_team_context(session, team, Operation.MODELS_EDIT)
        place = _find_undecided(session, team, model_id, file_hash)
        if place is None:
            return False
        _check_quota(session, team, storage.settings, picture)
        _use_as_preview(session, team, place, picture, key, "source")
        return True


def _find_undecided(
    session: Session, team: TeamContext, model_id: UUID, file_hash: str
) -> tuple[ModelRow, ModelVersionRow] | None:
    """Return a model and its newest version if that may get the picture of its source, else None."""
    newest = find_newest_version(session, model_id)
    model, version = get_version_to_change(session, team, model_id, newest.number)
    of_persons = select(ModelVersionRow.number).where(
        ModelVersionRow.model_id == model_id, ModelVersionRow.preview_source == "person"
    )
    is_taken = version.preview_sha256 is not None or session.scalar(of_persons.limit(1)) is not None
    return None if is_taken or version.file_hash != file_hash else (model, version)


def _is_decided(version: ModelVersionRow) -> bool:
    """Return whether a version has a preview, or a user or key has removed it."""
    return version.preview_sha256 is not None or version.preview_source == "person"


def _use_as_preview(
    session: Session,
    team: TeamContext,
    place: tuple[ModelRow, ModelVersionRow],
    picture: Picture,
    key: str | None,
    source: PreviewSource,
) -> None:
    """Make a picture with the object of this key the preview of a version, and record that in the audit log.

    Does nothing if a user or key has set the same picture before. One that was found in the file belongs to the user
    from then on: it stays if it is a stock picture. The picture before may become unused.
    """
    model, version = place
    if (version.preview_sha256, version.preview_source) == (picture.sha256, "person"):
        return
    row = use_picture(session, team.team_id, picture, key)
    _set(session, model, version, (row.sha256, row.color), source)
    audit.record(
        session,
        team.actor,
        team.team_id,
        "version.preview_set",
        model.id,
        version=version.number,
        preview_sha256=row.sha256,
    )


def remove_preview(session: Session, team: TeamContext, model_id: UUID, number: int) -> None:
    """Remove the preview of a version, and record that; the one in its file does not come back.

    Raises:
        ModelNotFound, VersionNotFound, RoleTooLow: see ``get_version_to_change``.
        PreviewNotFound: the version has none.
    """
    model, version = get_version_to_change(session, team, model_id, number)
    if version.preview_sha256 is None:
        raise problems.PreviewNotFound("This version has no preview.")
    _set(session, model, version, None, "person")
    audit.record(session, team.actor, team.team_id, "version.preview_removed", model.id, version=number)


def _build_preview(version: ModelVersionRow) -> Preview:
    """Return the API's representation of a version's preview."""
    return Preview(preview_url=build_preview_url(version.preview_sha256), preview_color=version.preview_color)


def _check_quota(session: Session, team: TeamContext, settings: Settings, picture: Picture) -> None:
    """Check that a picture fits into the team's quota, unless the team has it already; raises ``QuotaExceeded``."""
    if find_picture(session, team.team_id, picture.sha256) is None:
        check_quota(session, team, settings, len(picture.small) + len(picture.large))


def _set(
    session: Session,
    model: ModelRow,
    version: ModelVersionRow,
    picture: tuple[str, str] | None,
    source: PreviewSource,
) -> None:
    """Set or remove the picture of a version, and mark the one before as unused if no version shows it now."""
    before = version.preview_sha256
    set_version_preview(session, model, version, picture, source)
    if before is not None:
        mark_unused_picture(session, model.team_id, before)


def mark_unused_picture(session: Session, team_id: UUID, sha256: str) -> None:
    """Start the grace time of a picture, unless a version shows it."""
    shown = select(ModelVersionRow.number).where(
        ModelVersionRow.team_id == team_id, ModelVersionRow.preview_sha256 == sha256
    )
    row = find_picture(session, team_id, sha256)
    if isinstance(row, PreviewRow) and session.scalar(shown.limit(1)) is None:
        row.unused_since = row.unused_since or now()
