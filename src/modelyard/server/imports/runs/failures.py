"""Failures of runs: recorded with the import, which is tried again if they may pass."""

import logging
from contextlib import suppress

from modelyard.server.audit import operations as audit
from modelyard.server.audit.operations import SYSTEM
from modelyard.server.imports.callers import describe_problem
from modelyard.server.imports.import_leases import FailedTry, LeasedImport, finish_import, postpone_import
from modelyard.server.imports.sources.requests import SourceLimited
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.storage.blob_store import StoreError
from modelyard.server.uploads.multipart import release_own_upload
from modelyard.wire import problems

# Tries in a row that do not continue a download, about half an hour in all.
MAX_TRIES = 12
LONGEST_PAUSE_SECONDS = 3600.0
# These pass by themselves, or after a pause.
PASSING = (
    problems.SourceUnavailable,
    problems.Unavailable,
    problems.VerificationQueueFull,
    problems.UploadIncomplete,
)
log = logging.getLogger("modelyard.imports")


def record_full_disk(objects: ObjectChecks, leased: LeasedImport, detail: str) -> None:
    """Postpone an import until there may be disk space; one of a file of unknown size fails for good."""
    problem = problems.StorageFull(f"The registry's disk is full: {detail}")
    # Another try of a file of unknown size would fill the disk again.
    (record_failure if _is_of_unknown_size(leased) else try_later)(objects, leased, problem)


def _is_of_unknown_size(leased: LeasedImport) -> bool:
    """Return whether the source has not said the size of an import's file."""
    return leased.row.derived_from is None and leased.row.request.get("file_size") is None


def try_later(objects: ObjectChecks, leased: LeasedImport, problem: problems.Problem) -> None:
    """Postpone an import after a failure that may pass; it fails for good after ``MAX_TRIES`` without progress.

    If its source limits requests, no other import asks its host before.
    """
    tries = leased.row.tries + 1
    if tries >= MAX_TRIES:
        record_failure(objects, leased, problem)
        return
    pause = min(float(problem.facts.get("retry_after", 0)), LONGEST_PAUSE_SECONDS)
    failure = FailedTry(tries, problem.detail, problem.slug.replace("-", "_"), isinstance(problem, SourceLimited))
    postpone_import(objects.database, leased, failure, pause_seconds=pause)


def record_failure(objects: ObjectChecks, leased: LeasedImport, problem: problems.Problem) -> None:
    """Record that an import has failed for good, and free the quota that it reserves."""
    code, key, error = problem.slug.replace("-", "_"), leased.row.storage_key, describe_problem(leased.row, problem)
    with objects.database.writing(leased.row.team_id) as session:
        if not finish_import(session, leased, "failed", error=error, error_code=code):
            return
        facts = {"model_path": leased.row.request["model_path"], "error": error}
        audit.record(session, SYSTEM, leased.row.team_id, "import.failed", leased.row.id, **facts)
        multipart_id = release_own_upload(session, leased.row.team_id, key)
    with suppress(StoreError):
        if multipart_id is not None:
            objects.store.abort_multipart(key, multipart_id)
    log.info("an import failed", extra={"import": str(leased.row.id), "why": error})
