"""Earlier imports of a file that a client asks for, and the content that they brought: whether to import it again."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database
from modelyard.server.hub.addresses import HubAddress
from modelyard.server.imports.tables import ImportRow
from modelyard.server.models.repositories.operations import (
    find_served_model,
    list_models_of_file,
    record_held_file,
)
from modelyard.server.models.repositories.tables import ImportedFileRow
from modelyard.server.models.tables import ModelRow
from modelyard.server.models.versions.states import find_version_with_hash
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems

# After this, a file whose import has failed is imported anew when it is asked for.
FAILURE_KEPT = timedelta(minutes=10)
# Clients try again five times, after as many seconds each time as the header says.
MIN_RETRY_SECONDS, MAX_RETRY_SECONDS, BYTES_A_SECOND = 2, 60, 50_000_000
# Why an import fails whose caller may not import any more: another caller may.
_ACCESS_LOST = ("unauthenticated", "not_a_member", "key_not_allowed", "role_too_low")


def check_earlier_import(database: Database, team: TeamContext, address: HubAddress, url: str) -> None:
    """Check that a file at a commit may be imported: it is not being imported, and was not refused or removed.

    ``url`` is that of an import of the file.

    Raises:
        Unavailable: it is being imported, or verified.
        RepositoryFileNotFound, NotAModelFile: see ``_check_model``.
        SourceChanged and others: why the last import failed, in the last ten minutes.
    """
    query = select(ImportRow).where(ImportRow.team_id == team.team_id, ImportRow.url == url, _concerns(team))
    with database.reading() as session:
        row = session.scalars(query.order_by(ImportRow.id.desc()).limit(1)).first()
        if row is None:
            return
        if row.import_state in ("queued", "running"):
            raise build_importing(row.file_size, row.bytes_done)
        if row.import_state == "done" and row.model_id is not None and row.file_hash is not None:
            if find_served_model(session, team.team_id, row.file_hash) is None:
                _check_model(session, row.model_id, row.file_hash, address)
        elif row.finished_at is not None and row.finished_at > get_database_time(session) - FAILURE_KEPT:
            raise _build_failure(row)


def use_held_content(database: Database, team: TeamContext, address: HubAddress, sha256: str) -> bool:
    """Record that a model of the team has the content of a file at a commit; return False if none has it.

    A read changes nothing else of a model, and not what `main` is. Idempotent.

    Raises:
        Unavailable, RepositoryFileNotFound, NotAModelFile: the content was imported from another commit of the file,
            see ``_check_model``.
    """
    file_hash, key = f"sha256:{sha256}", address.repository.lower()
    with database.writing(team.team_id) as session:
        model_id = find_served_model(session, team.team_id, file_hash)
        if model_id is None:
            for imported in list_models_of_file(session, team.team_id, key, address.path, file_hash):
                _check_model(session, imported, file_hash, address)
            return False
        file = ImportedFileRow(
            model_id=model_id,
            repository_key=key,
            repository_revision=address.revision,
            path=address.path,
            team_id=team.team_id,
            repository=address.repository,
            file_hash=file_hash,
        )
        record_held_file(session, file)
    return True


def _concerns(team: TeamContext) -> ColumnElement[bool]:
    """Build the SQL condition for imports that say something about the file, not only about another caller's access."""
    is_own = ImportRow.credential_id.is_not_distinct_from(team.caller.credential_id) & (
        ImportRow.creator_id.is_not_distinct_from(team.creator.id)
    )
    other_failure = ImportRow.error_code.is_(None) | ImportRow.error_code.not_in(_ACCESS_LOST)
    return or_(ImportRow.import_state != "failed", other_failure, is_own)


def _check_model(session: Session, model_id: UUID, file_hash: str, address: HubAddress) -> None:
    """Check that a model whose content is asked for was purged, has other content, or needs the content again.

    Raises:
        RepositoryFileNotFound: it or its version is in the trash, or it is disabled.
        NotAModelFile: verification has refused the content.
        Unavailable: the content is being verified.
    """
    model = session.get(ModelRow, model_id)
    if model is None:
        return
    if model.deleted_at is not None:
        raise problems.RepositoryFileNotFound(
            "This model is in the trash of the registry. Restore it to download it; to keep a file from being imported "
            "again, disable its model instead of deleting it.",
            revision=address.revision,
        )
    version = find_version_with_hash(session, model_id, file_hash, with_trash=True)
    if version is None:
        return
    # The object of content that was verified once was found damaged: the import repairs it.
    if version.verification == "failed" and version.verified_at is None:
        raise problems.NotAModelFile(version.verification_error or "The registry refused this file.")
    if version.deleted_at is not None:
        raise problems.RepositoryFileNotFound(
            f"Version {version.number} of a model has this content, and is in the trash of the registry. Restore it to "
            "download it.",
            revision=address.revision,
        )
    if model.model_status != "active":
        raise problems.RepositoryFileNotFound("This model is disabled in the registry.", revision=address.revision)
    if version.verification == "pending":
        raise problems.Unavailable(
            version.verification_error
            or "The registry has imported this file, and is verifying it. Repeat the download.",
            retry_after=MAX_RETRY_SECONDS if version.verification_error else MIN_RETRY_SECONDS,
        )


def _build_failure(row: ImportRow) -> problems.Problem:
    """Build the problem of an import that has failed or was cancelled."""
    if row.import_state == "cancelled":
        return problems.LinkRefused("The import of this file from Hugging Face was cancelled. Ask for it again later.")
    kinds = {kind.slug.replace("-", "_"): kind for kind in problems.list_problem_classes()}
    kind = kinds.get(row.error_code or "", problems.LinkRefused)
    if kind.status in (401, 403):
        # The caller of now is another, or has access again.
        kind = problems.LinkRefused
    return kind(f"The import of this file from Hugging Face has failed: {row.error}")


def build_importing(size: int, bytes_done: int = 0) -> problems.Unavailable:
    """Build the problem of a file that is being imported, to be asked for again when it may be complete."""
    seconds = MIN_RETRY_SECONDS + max(size - bytes_done, 0) // BYTES_A_SECOND
    return problems.Unavailable(
        f"The registry is importing this file from Hugging Face ({bytes_done} of {size} bytes). Repeat the download.",
        retry_after=min(seconds, MAX_RETRY_SECONDS),
    )
