"""Repair models whose stored object was missing or corrupt after a new upload of the same content."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.models.tables import ModelRow
from modelyard.server.uploads.tables import BlobRow

# These were verified once, so their content has the format of their path, and only the hash must be equal.
_DAMAGED = select(ModelRow).where(
    ModelRow.team_id == bindparam("team"),
    ModelRow.file_hash == bindparam("file_hash"),
    ModelRow.verification == "failed",
    ModelRow.verified_at.is_not(None),
    ModelRow.blob_id != bindparam("blob"),
)


def repair_models_with_content(
    session: Session, blob: BlobRow, actor: audit.Actor, damaged_blob_id: UUID, changed: Mapping[str, Any]
) -> None:
    """Give each model of a damaged blob the new ``blob``, which may be pending, and set the fields of ``changed``.

    The caller increments the team's revision.
    """
    for model in session.scalars(select(ModelRow).where(ModelRow.blob_id == damaged_blob_id)):
        for name, value in changed.items():
            setattr(model, name, value)
        _repair(session, model, blob, actor)


def repair_damaged_models(session: Session, blob: BlobRow, actor: audit.Actor) -> None:
    """Give the team's damaged models with the same content the verified ``blob``, also those in the trash.

    The caller increments the team's revision.
    """
    values = {"team": blob.team_id, "file_hash": f"sha256:{blob.sha256}", "blob": blob.id}
    for model in session.scalars(_DAMAGED, values):
        _repair(session, model, blob, actor)


def _repair(session: Session, model: ModelRow, blob: BlobRow, actor: audit.Actor) -> None:
    """Give a model another blob and that blob's verification state, and record the audit event ``model.repaired``."""
    model.blob_id = blob.id
    model.verification, model.verification_error = blob.verification, None
    model.verified_at = model.verified_at or blob.verified_at
    model.blake3_hash = blob.blake3_hash
    model.etag_counter += 1
    audit.record(session, actor, model.team_id, "model.repaired", model.id, model_path=model.model_path)
