"""A whole round of clean-up, in its order."""

from collections.abc import Callable
from contextlib import suppress

from modelyard.server.cleanup.bytes import measure, remove_discarded
from modelyard.server.cleanup.rounds import Collected, GivenUp, Plan, Round
from modelyard.server.cleanup.rows import empty_trash, expire_uploads
from modelyard.server.cleanup.sweeping import sweep_store
from modelyard.server.cleanup.unused import forget_unused
from modelyard.server.database.session import Database
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import BlobStore, StoreUnavailable


def collect_garbage(
    database: Database,
    store: BlobStore,
    settings: Settings,
    plan: Plan | None = None,
    may_go_on: Callable[[], bool] = lambda: True,
) -> Collected:
    """Remove what is past its time, or with a dry plan only count it.

    May run while the service works and beside another round, and may be interrupted anywhere. A store that does not
    answer keeps its bytes, and the rows of them, for the next round.

    Raises:
        Unavailable, StorageFull: of the database.
    """
    this = Round(database, store, settings, plan or Plan(), may_go_on)
    this.collected.is_whole = False
    with suppress(GivenUp, StoreUnavailable):
        empty_trash(this)
        for useless in expire_uploads(this):
            # In a dry round these rows are there still; they count where their bytes would go at once.
            if this.plan.is_dry and this.moment <= this.before:
                measure(this, useless)
        for useless in forget_unused(this):
            measure(this, useless)
        remove_discarded(this)
        if this.plan.is_thorough:
            sweep_store(this)
        this.collected.is_whole = True
    this.finish()
    return this.collected
