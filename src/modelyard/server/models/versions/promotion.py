"""Which version of a model is current, and the copy of its content in the model's row.

Every change of a version's content or of ``ModelRow.current_version`` ends in ``update_shown_content``, in the same
transaction: so a model that had a current version always has exactly one, and its row shows that one.
"""

from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.database.base import now
from modelyard.server.models.details import update_details
from modelyard.server.models.replicas import states
from modelyard.server.models.tables import CONTENT_COLUMNS, ModelRow, ModelVersionRow, find_shown_version
from modelyard.server.models.versions.history import update_history
from modelyard.server.models.versions.previews import copy_shown_preview


def promote_if_pending(session: Session, model: ModelRow, version: ModelVersionRow, actor: audit.Actor) -> None:
    """Make a version current if it is verified and the model's pending one; otherwise do nothing.

    See ``promote_version`` for what is written. Recorded in the audit log unless it is the model's first current
    version. The caller increments the team's revision.
    """
    if version.verification != "verified" or version.number != model.pending_version:
        return
    before = model.current_version
    promote_version(session, model, version)
    if before is not None:
        facts = {"version": version.number, "before": before, "model_path": model.model_path}
        audit.record(session, actor, model.team_id, "version.promoted", model.id, **facts)


def promote_version(session: Session, model: ModelRow, version: ModelVersionRow) -> None:
    """Make a verified version the current one, and leave no version pending.

    Updates the model's history of versions, its row and its times. If another version was current, sets the time from
    which that one is kept, deletes what machines have reported about the model (but for machines on which another
    version is pinned), and updates the counts of ready replicas. The caller holds the team's write lock, records the
    audit event, and increments the team's revision, with which machines get the version.
    """
    previous = model.current_version
    if previous is not None:
        # What was in use until now can be activated again for as long as a new upload.
        session.get_one(ModelVersionRow, (model.id, previous)).kept_from = now()
    update_history(session, model, version.number)
    model.current_version, model.pending_version = version.number, None
    model.updated_at = now()
    version.promoted_at = version.promoted_at or model.updated_at
    if previous is not None:
        session.flush()
        states.delete_states_of_replaced_content(session, model)
    update_shown_content(session, model)


def update_shown_content(session: Session, model: ModelRow) -> None:
    """Copy the content of the version that the model's record shows into its row, and count a change of the record.

    Details and the preview that follow from the content are set too. If the content has another hash than before, the
    note that the model's source has something newer is deleted: it was compared with the content before.
    """
    version = find_shown_version(session, model)
    if version.file_hash != model.file_hash:
        model.newer_at_source = None
    for name in CONTENT_COLUMNS:
        setattr(model, name, getattr(version, name))
    update_details(model, version)
    copy_shown_preview(session, model)
    model.etag_counter += 1
