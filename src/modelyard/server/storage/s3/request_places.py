"""The limit on this process's concurrent calls to the bucket.

A bucket that stalls holds every calling thread until its timeout. Calls beyond the limit fail soon, so that the
remaining threads can serve requests that need no bucket.
"""

from functools import partial

from modelyard.server.fairness.thread_places import ThreadPlaces
from modelyard.server.fairness.usage import Limits
from modelyard.server.storage.blob_store import StoreUnavailable

MAX_CALLS = 24
_WAIT_SECONDS = 0.25


def build_request_places(most: int = MAX_CALLS) -> ThreadPlaces:
    """Build the places of calls; one that gets none raises ``StoreUnavailable``."""
    refusal = partial(StoreUnavailable, f"The bucket is slow: {most} requests are waiting for it.", code="Slow")
    return ThreadPlaces(Limits(most, per_person=most, per_team=most), _WAIT_SECONDS, refusal)
