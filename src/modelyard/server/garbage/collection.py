"""A complete run of garbage collection."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from modelyard.server.database.job_run import RunStopped
from modelyard.server.database.session import Database
from modelyard.server.garbage.expected_blobs import count_expected_blobs
from modelyard.server.garbage.expired_rows import delete_expired_uploads, empty_trash
from modelyard.server.garbage.expired_versions import purge_by_retention, purge_trash
from modelyard.server.garbage.removal import remove_discarded_objects
from modelyard.server.garbage.run_state import CollectionResult, CollectionRun, RunOptions
from modelyard.server.garbage.store_scan import scan_store
from modelyard.server.garbage.unused_blobs import delete_unused_blobs
from modelyard.server.garbage.unused_previews import delete_unused_previews
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import BlobStore, StoreUnavailable


def collect_garbage(
    database: Database,
    store: BlobStore,
    settings: Settings,
    options: RunOptions | None = None,
    may_continue: Callable[[], bool] = lambda: True,
) -> CollectionResult:
    """Remove what has expired and what nothing references, or only count it if ``options.is_dry``; log the result.

    In this order: the trash, versions past their retention, expired uploads, unused blobs and pictures, and the objects
    of all these in the store; with ``options.is_thorough``, the whole store is compared with the database. May run
    while requests are served and beside another run, and may be interrupted anywhere. A team whose rows cannot be
    removed is counted and left out, so that it does not keep the garbage of the others. The result is not complete if
    ``may_continue`` has returned False, or if the store does not answer: what is left is found by the next run.

    Raises:
        Unavailable, StorageFull: the database refuses, and not one team only.
    """
    run = CollectionRun(database, store, settings, options or RunOptions(), may_continue)
    run.collected.is_complete = False
    with suppress(RunStopped, StoreUnavailable):
        run.run_step(empty_trash)
        run.run_step(purge_trash)
        purged = run.run_step(purge_by_retention)
        run.run_step(delete_expired_uploads)
        run.run_step(delete_unused_blobs)
        if run.options.is_dry:
            for team in purged:
                run.call_for_team(team.team_id, partial(count_expected_blobs, run, team))
        run.run_step(delete_unused_previews)
        run.run_step(remove_discarded_objects)
        if run.options.is_thorough:
            scan_store(run)
        run.collected.is_complete = True
    run.collected.failed_teams = len(run.failed_teams)
    run.log_result()
    return run.collected
