"""Setting the verification state of a blob, which is copied to every model with that blob."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.database.base import now
from modelyard.server.models.replicas import succession
from modelyard.server.models.tables import ModelRow
from modelyard.server.uploads.tables import BlobRow


def set_verification_state(
    session: Session,
    blob: BlobRow,
    error: str | None,
    action: str,
    metadata: Mapping[UUID, dict[str, Any]] | None = None,
) -> None:
    """Mark a blob that was just checked, and its models, as verified, or with an ``error`` as failed.

    A request for a recheck is cleared. Each model gets an audit event ``action`` and, if it has an entry by its id, new
    ``metadata``. The caller increments the team's revision. If a verified blob is damaged, ``verified_at`` and the
    BLAKE3 hash stay, so that machines keep their intact copies.
    """
    blob.verification = "failed" if error else "verified"
    blob.verification_error = error
    blob.checked_at = now()
    blob.recheck_since = None
    if error is None:
        blob.verified_at = blob.verified_at or blob.checked_at
    for model in session.scalars(select(ModelRow).where(ModelRow.blob_id == blob.id)):
        model.verification, model.verification_error = blob.verification, error
        model.blake3_hash = blob.blake3_hash
        model.verified_at = model.verified_at or blob.verified_at
        model.facts = (metadata or {}).get(model.id, model.facts)
        model.etag_counter += 1
        succession.let_go(session, model)
        audit.record(session, audit.SYSTEM, model.team_id, action, model.id, model_path=model.model_path)
