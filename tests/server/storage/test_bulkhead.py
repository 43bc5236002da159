"""Places of storage calls: a store that stalls for one team leaves calls to others."""

from contextlib import ExitStack

import pytest

from modelyard.server.fairness.accounts import Account
from modelyard.server.storage.blob_store import StoreUnavailable
from modelyard.server.storage.bulkhead import RUNNING, build_call_places


def test_calls_of_one_team_at_its_limit_leave_calls_to_others() -> None:
    places, team = build_call_places(queue_seconds=0), Account(team="studio")
    with ExitStack() as stalled:
        for _ in range(RUNNING.per_team):
            stalled.enter_context(places.hold(team))
        with pytest.raises(StoreUnavailable), places.hold(team):
            pass
        with places.hold(Account(team="lab")):
            pass
    assert RUNNING.per_team < RUNNING.total


def test_calls_beyond_the_total_fail_for_every_team() -> None:
    places = build_call_places(queue_seconds=0)
    with ExitStack() as stalled:
        for number in range(RUNNING.total):
            stalled.enter_context(places.hold(Account(team=f"team {number % 4}")))
        with pytest.raises(StoreUnavailable), places.hold(Account(team="lab")):
            pass
