"""Bytes that were wrong, lost or rotten and came again: every model that needs them has them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.models.tables import ModelRow
from modelyard.server.uploads.tables import BlobRow

# Once verified, so the content is what each path promises, and only the hash has to be right.
_ROTTEN = select(ModelRow).where(
    ModelRow.team_id == bindparam("team"),
    ModelRow.file_hash == bindparam("file_hash"),
    ModelRow.verification == "failed",
    ModelRow.verified_at.is_not(None),
    ModelRow.blob_id != bindparam("blob"),
)


def heal_claims(session: Session, blob: BlobRow, actor: audit.Actor, damaged: UUID, changed: Mapping[str, Any]) -> None:
    """Put a blob, which may still have to be read, behind every model of the damaged one."""
    for model in session.scalars(select(ModelRow).where(ModelRow.blob_id == damaged)):
        for name, value in changed.items():
            setattr(model, name, value)
        _heal(session, model, blob, actor)


def heal_rotten(session: Session, blob: BlobRow, actor: audit.Actor) -> None:
    """Put verified bytes behind every model of the team whose own, which were the same, have rotted."""
    wanted = {"team": blob.team_id, "file_hash": f"sha256:{blob.sha256}", "blob": blob.id}
    for model in session.scalars(_ROTTEN, wanted):
        _heal(session, model, blob, actor)


def _heal(session: Session, model: ModelRow, blob: BlobRow, actor: audit.Actor) -> None:
    model.blob_id = blob.id
    model.verification, model.verification_error = blob.verification, None
    model.verified_at = model.verified_at or blob.verified_at
    model.blake3_hash = blob.blake3_hash
    model.version += 1
    audit.record(session, actor, model.team_id, "model.healed", model.id, model_path=model.model_path)
