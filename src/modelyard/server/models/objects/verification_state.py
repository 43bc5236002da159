"""Setting the verification state of a blob, which is copied to every version with that blob."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.database.base import now
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.models.versions.promotion import promote_if_pending, update_shown_content
from modelyard.server.uploads.tables import BlobRow


def set_verification_state(
    session: Session,
    blob: BlobRow,
    error: str | None,
    action: str,
    metadata: Mapping[UUID, dict[str, Any]] | None = None,
) -> None:
    """Mark a blob that was just checked, and its versions, as verified, or with an ``error`` as failed.

    A verified version that is the pending one of its model becomes current. A request for a recheck is cleared. Each
    version gets an audit event ``action`` and, if its model has an entry by its id, new ``metadata``. The caller
    increments the team's revision. If a verified blob is damaged, ``verified_at`` and the BLAKE3 hash stay, so that
    machines keep their intact copies.
    """
    blob.verification = "failed" if error else "verified"
    blob.verification_error = error
    blob.checked_at = now()
    blob.recheck_since = None
    if error is None:
        blob.verified_at = blob.verified_at or blob.checked_at
    for version in session.scalars(select(ModelVersionRow).where(ModelVersionRow.blob_id == blob.id)).all():
        version.verification, version.verification_error = blob.verification, error
        version.blake3_hash = blob.blake3_hash or version.blake3_hash
        version.verified_at = version.verified_at or blob.verified_at
        version.facts = (metadata or {}).get(version.model_id, version.facts)
        model = session.get_one(ModelRow, version.model_id)
        facts = {"model_path": model.model_path, "version": version.number}
        audit.record(session, audit.SYSTEM, model.team_id, action, model.id, **facts)
        update_shown_content(session, model)
        promote_if_pending(session, model, version, audit.SYSTEM)
