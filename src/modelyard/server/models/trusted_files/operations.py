"""Operations on trusted files: what the scan found in a version, allow a file, list, withdraw."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.audit import operations as audit
from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.http.paging import Order, Page, list_page
from modelyard.server.inspection.pickles import ALLOWED, REFUSED
from modelyard.server.models.objects.verification_state import verify_again
from modelyard.server.models.tables import FolderFileRow, ModelVersionRow
from modelyard.server.models.trusted_files.rules import find_trusted_file, is_allowed
from modelyard.server.models.trusted_files.tables import TrustedFileRow
from modelyard.server.models.versions.access import find_readable_model, get_readable_version
from modelyard.server.teams.context import TeamContext, reload_team_context
from modelyard.server.teams.operations import load_pickle_policy
from modelyard.server.teams.permissions import Operation
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire import problems
from modelyard.wire.pickles.trusted_files import (
    PickleImport,
    ScanFindings,
    TrustedFile,
    TrustedFileList,
    VersionFindings,
)
from modelyard.wire.versions import Creator

_NEWEST_FIRST = Order((TrustedFileRow.created_at, TrustedFileRow.sha256), is_descending=True)
# Contents that a transaction puts back into the verification queue, each with its versions: 60 milliseconds.
BLOBS_PER_TRANSACTION = 50
_SHA256 = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.IGNORECASE)


def parse_sha256(text: str) -> str:
    """Return the hex digest of a request path, with or without ``sha256:``; raises ``TrustedFileNotFound``."""
    found = _SHA256.fullmatch(text)
    if found is None:
        raise _build_not_found()
    return found[1].lower()


def get_findings(session: Session, team: TeamContext, model_id: UUID, number: int) -> VersionFindings:
    """Return what the scan found in a version.

    Raises:
        ModelNotFound, VersionNotFound: see ``find_readable_model`` and ``get_readable_version``.
    """
    model = find_readable_model(session, team, model_id)
    version = get_readable_version(session, team, model, number)
    trusted = find_trusted_file(session, team.team_id, version.file_hash.removeprefix("sha256:"))
    return VersionFindings(
        **_build_findings(version.facts, version.verification, version.verification_error).model_dump(),
        file_hash=version.file_hash,
        verification=version.verification,
        trusted=None if trusted is None else build_trusted_file(trusted),
    )


def _build_findings(metadata: Mapping[str, Any], verification: str, error: str | None) -> ScanFindings:
    """Build the findings from a file's metadata: of a refusal with its ``error``, or of an inspection.

    The error of a file that is pending is none of the scan.
    """
    refusal, extra = metadata.get("refusal", {}), metadata.get("extra", {})
    imports = metadata.get("imports") or {}
    result = refusal.get("pickle_scan") or extra.get("pickle_scan")
    return ScanFindings(
        pickle_scan=result,
        finding=(error if verification == "failed" else None) or extra.get("pickle_finding"),
        import_list=[PickleImport.model_validate(each) for each in imports.get("names", [])],
        is_complete=imports.get("is_complete", result not in (REFUSED, ALLOWED)),
    )


def allow_file(
    database: Database, team: TeamContext, sha256: str, reason: str, most_blobs: int = BLOBS_PER_TRANSACTION
) -> TrustedFile:
    """Allow a file that the scan has refused, and verify its failed versions again; repeated, it changes the reason.

    A transaction looks at ``most_blobs`` contents that have failed; others write in between, and the caller is checked
    again in each. If the last one does not come, the file is allowed, and the rest is verified when this is repeated.

    Each change is recorded in the audit log.

    Raises:
        TrustedFileNotFound: the team has no file with this hash that the scan has refused.
        TrustNotAllowed: the team's policy for pickle files does not permit it.
        NotAMember, RoleTooLow, KeyNotAllowed, Unauthenticated: see ``reload_team_context``.
    """
    with database.writing(team.team_id) as session:
        allowed = build_trusted_file(_allow(session, team, sha256, reason))
        last = _verify_failed_blobs(session, team.team_id, sha256, None, most_blobs)
    while last is not None:
        with database.writing(team.team_id) as session:
            team = reload_team_context(session, team, Operation.TRUSTED_FILES_CHANGE)
            if find_trusted_file(session, team.team_id, sha256) is None:
                break
            last = _verify_failed_blobs(session, team.team_id, sha256, last, most_blobs)
    return allowed


def _allow(session: Session, team: TeamContext, sha256: str, reason: str) -> TrustedFileRow:
    """Write that a file is allowed, unless it is with this reason already; raises as ``allow_file``."""
    row = find_trusted_file(session, team.team_id, sha256)
    refused = _find_refused_file(session, team.team_id, sha256)
    if row is None and refused is None:
        raise problems.TrustedFileNotFound(
            "The pickle scan has refused no file with this hash in this team. Push it first, and look at the findings."
        )
    if load_pickle_policy(session, team.team_id) != "trusted":
        raise problems.TrustNotAllowed(
            "This team's policy for pickle files permits no exceptions. To allow files by their hash: "
            "modelyard team settings --pickle-policy trusted"
        )
    if row is None or row.reason != reason:
        row = _write(session, team, row or _build_row(team, sha256, refused), reason)
    return row


def _find_refused_file(session: Session, team_id: UUID, sha256: str) -> ScanFindings | None:
    """Return the findings in the newest file outside the trash with this content that the scan has refused.

    Also if it is allowed. Models of one file come before files of folders.
    """
    of_content = ModelVersionRow.team_id == team_id, ModelVersionRow.deleted_at.is_(None)
    columns = ModelVersionRow.facts, ModelVersionRow.verification, ModelVersionRow.verification_error
    with_content = select(*columns).where(*of_content, ModelVersionRow.file_hash == f"sha256:{sha256}")
    found = [*session.execute(with_content.order_by(ModelVersionRow.created_at.desc()))]
    is_its_version = and_(
        ModelVersionRow.model_id == FolderFileRow.model_id, ModelVersionRow.number == FolderFileRow.number
    )
    in_folders = select(FolderFileRow.facts, BlobRow.verification, BlobRow.verification_error)
    in_folders = in_folders.select_from(FolderFileRow)
    in_folders = in_folders.join(ModelVersionRow, is_its_version).join(BlobRow, BlobRow.id == FolderFileRow.blob_id)
    is_file = FolderFileRow.team_id == team_id, FolderFileRow.file_hash == f"sha256:{sha256}"
    found += session.execute(in_folders.where(*of_content, *is_file, FolderFileRow.facts.is_not(None)))
    return next((_build_findings(*columns) for columns in found if _is_refused(columns[0])), None)


def _is_refused(metadata: Mapping[str, Any]) -> bool:
    """Return whether metadata is of a file that the scan has refused, also if an admin has allowed it."""
    return is_allowed(metadata) or metadata.get("refusal", {}).get("pickle_scan") == REFUSED


def _build_row(team: TeamContext, sha256: str, refused: ScanFindings | None) -> TrustedFileRow:
    """Build the row of a file that becomes trusted now."""
    findings = {} if refused is None else refused.model_dump(mode="json")
    return TrustedFileRow(team_id=team.team_id, sha256=sha256, findings=findings)


def _write(session: Session, team: TeamContext, row: TrustedFileRow, reason: str) -> TrustedFileRow:
    """Set reason, admin and time of a row, and record the audit event."""
    row.reason, row.created_at = reason, now()
    row.creator_kind, row.creator_id, row.creator_name = team.creator.kind, team.creator.id, team.creator.name
    session.add(row)
    facts = {"file_hash": f"sha256:{row.sha256}", "reason": reason, "finding": row.findings.get("finding")}
    audit.record(session, team.actor, team.team_id, "file.trusted", f"sha256:{row.sha256}", **facts)
    return row


def _verify_failed_blobs(
    session: Session, team_id: UUID, sha256: str, after: UUID | None, most_blobs: int
) -> UUID | None:
    """Put the next blobs with this content whose versions the scan has refused back into the verification queue.

    Returns the last of them, after which there may be more; None if there are none.
    """
    failed = select(BlobRow).where(
        BlobRow.team_id == team_id,
        BlobRow.sha256 == sha256,
        BlobRow.verification == "failed",
        BlobRow.verified_at.is_(None),
    )
    if after is not None:
        failed = failed.where(BlobRow.id > after)
    blobs = session.scalars(failed.order_by(BlobRow.id).limit(most_blobs)).all()
    refused = _list_refused(session, [blob.id for blob in blobs])
    for blob in blobs:
        if blob.id in refused:
            verify_again(session, blob)
    if refused:
        revisions.increment_revision(session, team_id)
    return blobs[-1].id if len(blobs) == most_blobs else None


def _list_refused(session: Session, blob_ids: list[UUID]) -> set[UUID]:
    """Return those of some blobs that the scan has refused, as files of their own or in folders."""
    of_versions = select(ModelVersionRow.blob_id, ModelVersionRow.facts).where(ModelVersionRow.blob_id.in_(blob_ids))
    in_folders = select(FolderFileRow.blob_id, FolderFileRow.facts).where(
        FolderFileRow.blob_id.in_(blob_ids), FolderFileRow.facts.is_not(None)
    )
    found = [*session.execute(of_versions), *session.execute(in_folders)]
    return {blob_id for blob_id, metadata in found if _is_refused(metadata)}


def find_file(session: Session, team: TeamContext, sha256: str) -> TrustedFileRow:
    """Return a trusted file of the team; raises ``TrustedFileNotFound``."""
    row = find_trusted_file(session, team.team_id, sha256)
    if row is None:
        raise _build_not_found()
    return row


def list_files(session: Session, team: TeamContext, page: Page) -> TrustedFileList:
    """Return the trusted files of the team, newest first, one page at a time."""
    query = select(TrustedFileRow).where(TrustedFileRow.team_id == team.team_id)
    rows, meta = list_page(session, query, page, _NEWEST_FIRST)
    return TrustedFileList(trusted_file_list=[build_trusted_file(row[0]) for row in rows], page_meta=meta)


def withdraw_trust(session: Session, team: TeamContext, sha256: str) -> None:
    """End the trust in a file, so that new registrations of it are refused, and record that in the audit log.

    Versions that have the file stay.

    Raises:
        TrustedFileNotFound: it is not trusted.
    """
    row = find_file(session, team, sha256)
    facts = {"file_hash": f"sha256:{sha256}", "reason": row.reason}
    session.delete(row)
    audit.record(session, team.actor, team.team_id, "file.untrusted", f"sha256:{sha256}", **facts)


def build_trusted_file(row: TrustedFileRow) -> TrustedFile:
    """Build the API's view of a trusted file."""
    return TrustedFile(
        file_hash=f"sha256:{row.sha256}",
        reason=row.reason,
        created_by=Creator(kind=row.creator_kind, id=row.creator_id, display_name=row.creator_name),
        created_at=row.created_at,
        findings=ScanFindings.model_validate(row.findings),
    )


def _build_not_found() -> problems.TrustedFileNotFound:
    """Build the problem for a file that is not trusted in this team."""
    return problems.TrustedFileNotFound("There is no trusted file with this hash.")
