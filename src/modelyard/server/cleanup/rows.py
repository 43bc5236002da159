"""Models and uploads that are past their time: found in pages, and looked at once more before they go."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import chain

from sqlalchemy import ColumnElement, and_, delete, or_, select
from sqlalchemy.orm import Session

from modelyard.server.cleanup.rounds import Round, by_team
from modelyard.server.cleanup.unused import brought_by, is_kept, mark_unused
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.tables import TeamRow
from modelyard.server.uploads.discarding import Useless, discard
from modelyard.server.uploads.tables import UploadRow


def empty_trash(this: Round) -> None:
    """Forget models whose time in the trash is over, and those of teams that can no longer be restored."""
    before = this.moment - timedelta(days=this.settings.trash_days)
    is_old = and_(ModelRow.deleted_at < before, ModelRow.stands_in_for.is_(None))
    is_young = is_kept(before)
    is_of_gone = ModelRow.team_id.in_(select(TeamRow.id).where(TeamRow.deleted_at < before))
    found = select(ModelRow.id, ModelRow.team_id, ModelRow.deleted_at)
    pages = chain(
        this.pages(found.where(is_old), ModelRow.deleted_at, ModelRow.id),
        this.pages(found.where(is_of_gone, is_young), ModelRow.id),
    )
    for page in pages:
        if this.plan.is_dry:
            this.collected.models += len(page)
            continue
        for team_id, models in by_team(page).items():
            same = ModelRow.id.in_([model.id for model in models])
            with this.database.writing(team_id) as session:
                this.collected.models += _forget_models(session, this, same & or_(is_old, is_of_gone))


def _forget_models(session: Session, this: Round, past: ColumnElement[bool]) -> int:
    models = session.execute(select(ModelRow.id, ModelRow.blob_id).where(past)).all()
    session.execute(delete(ModelRow).where(ModelRow.id.in_([model.id for model in models])))
    mark_unused(session, [model.blob_id for model in models], this)
    return len(models)


def expire_uploads(this: Round) -> Iterator[list[Useless]]:
    """Forget uploads that nobody touched for days and that became no model; gives what would be useless for it."""
    is_open = UploadRow.registered_at.is_(None)
    is_old = is_open & (UploadRow.touched_at < this.moment - timedelta(days=this.settings.upload_days))
    # An older modelyard kept such rows until their bytes were gone.
    is_given_up = UploadRow.registered_at.is_not(None) & UploadRow.blob_id.is_(None)
    yield from _forget_uploads(this, is_given_up, is_counted=False)
    yield from _forget_uploads(this, is_old, is_counted=True)


def _forget_uploads(this: Round, past: ColumnElement[bool], *, is_counted: bool) -> Iterator[list[Useless]]:
    for page in this.pages(select(UploadRow.id, UploadRow.team_id).where(past), UploadRow.id):
        for team_id, found in by_team(page).items():
            same = UploadRow.id.in_([upload.id for upload in found])
            with this.database.reading() if this.plan.is_dry else this.database.writing(team_id) as session:
                uploads = session.scalars(select(UploadRow).where(same, past)).all()
                this.collected.uploads += len(uploads) if is_counted else 0
                useless = [one for upload in uploads for one in brought_by(upload)]
                if not this.plan.is_dry:
                    discard(session, useless, this.moment)
                    session.execute(delete(UploadRow).where(UploadRow.id.in_([upload.id for upload in uploads])))
                    mark_unused(session, [upload.blob_id for upload in uploads if upload.blob_id], this)
            yield useless
