"""Which models have the content of which files of repositories at Hugging Face."""

import logging
import re
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.database.clock import get_database_time
from modelyard.server.imports.sources.links import Endpoints, HuggingFaceLink, parse_link
from modelyard.server.imports.tables import ImportRow
from modelyard.server.models.repositories.operations import record_repository_file
from modelyard.server.models.repositories.tables import ImportedFileRow
from modelyard.server.uploads.tables import BlobRow, UploadRow

_commit = re.compile(r"[0-9a-f]{40}")
log = logging.getLogger("modelyard.imports")


@dataclass(frozen=True)
class ImportedContent:
    """What a model got from an import: the SHA-256 as hex, and the commit that has it by the source, where known."""

    model_id: UUID
    sha256: str | None = None
    revision: str | None = None


def record_imported_file(session: Session, row: ImportRow, content: ImportedContent, endpoints: Endpoints) -> None:
    """Record from which file of a repository an import's model is; does nothing for other sources. Idempotent.

    The commit is that of the link, as drafts have it, else the one that the source named. Without both there is no
    record: such a link names other content after the next commit.
    """
    link = parse_link(row.url, endpoints)
    if not isinstance(link, HuggingFaceLink) or link.is_folder:
        return
    revision = link.revision if _commit.fullmatch(link.revision) else content.revision
    sha256 = content.sha256 or find_registered_sha256(session, row.storage_key)
    if revision is None or sha256 is None:
        log.info("an import has no known commit", extra={"import": str(row.id), "url": row.url})
        return
    record_repository_file(
        session,
        ImportedFileRow(
            model_id=content.model_id,
            repository_key=link.repository.lower(),
            repository_revision=revision,
            path=link.path,
            team_id=row.team_id,
            repository=link.repository,
            file_hash=f"sha256:{sha256}",
            imported_at=get_database_time(session),
        ),
    )


def find_registered_sha256(session: Session, storage_key: str) -> str | None:
    """Return the SHA-256 of a registered upload as hex, or None."""
    return session.scalar(
        select(BlobRow.sha256)
        .join(UploadRow, UploadRow.blob_id == BlobRow.id)
        .where(UploadRow.storage_key == storage_key)
    )
