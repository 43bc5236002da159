"""The verification state of a folder version as a whole: verified once its manifest and all of its files are."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, TextClause, select, update
from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.database.base import now
from modelyard.server.database.session import execute_and_count
from modelyard.server.models.tables import FolderFileRow, ModelRow, ModelVersionRow
from modelyard.server.models.versions.promotion import promote_if_pending, update_shown_content
from modelyard.server.uploads.tables import DOUBTFUL, FAILED, PENDING, BlobRow

# Of a folder that fails with these, the audit trail has the event; of one that is verified, all others.
_FAILURES = ("model.failed", "model.corrupted")
# The first file that failed is searched among so many of them.
_MOST_FAILED = 500


class FolderState(NamedTuple):
    """The verification of a folder version, and what is wrong with it."""

    verification: str
    error: str | None = None


def update_folder_versions(session: Session, blob: BlobRow, action: str | None, actor: audit.Actor) -> bool:
    """Set the state of each folder version that uses a blob whose state has just changed; return if one changed.

    A version whose state becomes that of the audit event ``action`` gets that event, and a pending version becomes
    current if it is verified. The caller increments the team's revision.
    """
    session.flush()
    changed = [
        update_folder_version(session, version, action, actor) for version in list_folder_versions(session, blob.id)
    ]
    return any(changed)


def list_folder_versions(session: Session, blob_id: UUID) -> Collection[ModelVersionRow]:
    """Return the folder versions whose manifest or one of whose files has this blob, in the trash or not."""
    of_files = select(FolderFileRow.model_id, FolderFileRow.number).where(FolderFileRow.blob_id == blob_id)
    keys = [(row.model_id, row.number) for row in session.execute(of_files.distinct())]
    is_manifest = (ModelVersionRow.blob_id == blob_id) & ModelVersionRow.file_count.is_not(None)
    found = {
        (version.model_id, version.number): version
        for version in session.scalars(select(ModelVersionRow).where(is_manifest))
    }
    for key in keys:
        found.setdefault(key, session.get_one(ModelVersionRow, key))
    return found.values()


def find_folder_state(session: Session, version: ModelVersionRow) -> FolderState:
    """Return the state of a folder version by those of its blobs: the first file that failed decides.

    Of a pending one, the first file that has to be tried again gives the reason. The queries begin at the pending and
    failed blobs of the team, never at the files.
    """
    manifest = session.get_one(BlobRow, version.blob_id)
    if manifest.verification == "failed":
        return FolderState("failed", f"The manifest: {manifest.verification_error}")
    failed = session.scalars(_select_blobs(version, FAILED).limit(_MOST_FAILED)).all()
    if failed:
        return FolderState("failed", _describe_first_file(session, version, failed))
    # The queue is in this order, so a pending file of this version is among the first.
    in_order = _select_blobs(version, PENDING).order_by(BlobRow.tries, BlobRow.created_at)
    is_pending = manifest.verification == "pending" or session.scalar(in_order.limit(1)) is not None
    if not is_pending:
        return FolderState("verified")
    return FolderState("pending", _find_pending_reason(session, version, manifest))


def _select_blobs(version: ModelVersionRow, state: TextClause) -> Select[UUID]:
    """Build the query for the ids of those blobs in a state that a version has for a file."""
    of_version = FolderFileRow.model_id == version.model_id, FolderFileRow.number == version.number
    uses = select(FolderFileRow.position).where(FolderFileRow.blob_id == BlobRow.id, *of_version).exists()
    return select(BlobRow.id).where(BlobRow.team_id == version.team_id, state, uses)


def has_doubtful_content(session: Session, version: ModelVersionRow) -> bool:
    """Return whether a blob of a version is doubtful: its only one, or in a folder the manifest's or a file's."""
    if session.get_one(BlobRow, version.blob_id).is_doubtful:
        return True
    return version.is_folder and session.scalar(_select_blobs(version, DOUBTFUL).limit(1)) is not None


def has_unverified_content(session: Session, version: ModelVersionRow) -> bool:
    """Return whether a blob of a version was never verified: its only one, the manifest's, or that of a file."""
    if session.get_one(BlobRow, version.blob_id).verified_at is None:
        return True
    never_verified = (_select_blobs(version, state).where(BlobRow.verified_at.is_(None)) for state in (FAILED, PENDING))
    return version.is_folder and any(session.scalar(query.limit(1)) is not None for query in never_verified)


def _find_pending_reason(session: Session, version: ModelVersionRow, manifest: BlobRow) -> str | None:
    """Return why the manifest, or else the first such file, has to be verified again; None if no attempt failed."""
    if manifest.verification_error is not None:
        return f"The manifest: {manifest.verification_error}"
    # The index of the queue has the number of attempts: few files have any.
    tried = _select_blobs(version, PENDING).where(BlobRow.tries > 0, BlobRow.verification_error.is_not(None))
    blobs = session.scalars(tried.limit(_MOST_FAILED)).all()
    return _describe_first_file(session, version, blobs) if blobs else None


def _describe_first_file(session: Session, version: ModelVersionRow, blobs: Collection[UUID]) -> str:
    """Return path and ``verification_error`` of the first file of a version that has one of these blobs."""
    of_version = FolderFileRow.model_id == version.model_id, FolderFileRow.number == version.number
    query = (
        select(FolderFileRow.path, BlobRow.verification_error)
        .join(BlobRow, BlobRow.id == FolderFileRow.blob_id)
        .where(*of_version, FolderFileRow.blob_id.in_(blobs))
    )
    path, error = session.execute(query.order_by(FolderFileRow.position).limit(1)).one()
    return f"'{path}': {error}"


def update_folder_version(session: Session, version: ModelVersionRow, action: str | None, actor: audit.Actor) -> bool:
    """Set the state of one folder version from the states of its blobs; return whether it changed.

    A change is copied into the model's row and may make the version current; see ``update_folder_versions``. A verified
    version does not become pending by a new check of its content.
    """
    session.flush()
    state = find_folder_state(session, version)
    # Content that is in use and checked once more stays verified until the result.
    if state.verification == "pending" and version.verification == "verified":
        return False
    if state == (version.verification, version.verification_error):
        return False
    version.verification, version.verification_error = state
    if state.verification == "verified":
        version.verified_at = version.verified_at or now()
        version.blake3_hash = session.get_one(BlobRow, version.blob_id).blake3_hash or version.blake3_hash
    model = session.get_one(ModelRow, version.model_id)
    if action is not None and state.verification == ("failed" if action in _FAILURES else "verified"):
        facts = {"model_path": model.model_path, "version": version.number}
        audit.record(session, actor, model.team_id, action, model.id, **facts)
    update_shown_content(session, model)
    promote_if_pending(session, model, version, actor)
    return True


def repair_folder_files(session: Session, blob: BlobRow) -> None:
    """Give files of folders whose content was verified once and is damaged the verified ``blob`` of equal content."""
    session.flush()
    damaged = select(BlobRow.id).where(
        BlobRow.team_id == blob.team_id,
        BlobRow.sha256 == blob.sha256,
        BlobRow.size == blob.size,
        BlobRow.verification == "failed",
        BlobRow.verified_at.is_not(None),
        BlobRow.id != blob.id,
    )
    execute_and_count(session, update(FolderFileRow).where(FolderFileRow.blob_id.in_(damaged)).values(blob_id=blob.id))


def set_folder_facts(session: Session, blob_id: UUID, facts_by_kind: Mapping[str, dict[str, Any] | None]) -> None:
    """Set the metadata of all files of folders with a blob, by the kind as which each was checked."""
    for kind, facts in facts_by_kind.items():
        of_kind = (FolderFileRow.blob_id == blob_id) & (FolderFileRow.kind == kind)
        execute_and_count(session, update(FolderFileRow).where(of_kind).values(facts=facts))


def find_folder_facts(session: Session, blob_id: UUID) -> dict[str, Any] | None:
    """Return the metadata of a file of a folder that has a blob as a model file, or None."""
    has_facts = (
        FolderFileRow.blob_id == blob_id,
        FolderFileRow.facts.is_not(None),
        FolderFileRow.kind.not_in(("json", "data")),
    )
    return session.scalar(select(FolderFileRow.facts).where(*has_facts).limit(1))


def is_in_folder(session: Session, blob_id: UUID) -> bool:
    """Return whether a folder uses a blob, for a file or for its manifest."""
    of_files = select(FolderFileRow.position).where(FolderFileRow.blob_id == blob_id).limit(1)
    is_manifest = ModelVersionRow.blob_id == blob_id, ModelVersionRow.file_count.is_not(None)
    of_manifests = select(ModelVersionRow.number).where(*is_manifest).limit(1)
    return session.scalar(of_files) is not None or session.scalar(of_manifests) is not None
