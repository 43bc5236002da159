"""The progress of requested models that the manifest does not name yet."""

from uuid import UUID, uuid5

import pytest

from modelyard.agent.local_api.progress import MANIFEST_SECONDS, PENDING_SECONDS, KnownStates, RequestTracker
from modelyard.agent.status import TeamFacts

INK = uuid5(UUID(int=0), "ink")
OIL = uuid5(UUID(int=0), "oil")
CONNECTED = KnownStates({}, {}, None)


@pytest.fixture
def tracker() -> RequestTracker:
    """A tracker of a model that is pending and one that is not, requested at 100."""
    tracker = RequestTracker()
    tracker.record([INK, OIL], 100.0, [INK])
    return tracker


def test_pending_model_stays_queued_with_the_reason(tracker: RequestTracker) -> None:
    late = 100.0 + 100 * MANIFEST_SECONDS
    found = [tracker.describe(model_id, CONNECTED, late) for model_id in (INK, OIL)]
    assert [progress.state for progress in found] == ["queued", "absent"]
    assert "verification" in (found[0].problem or "")


def test_model_that_is_no_longer_pending_and_not_listed_is_absent_after_a_while(tracker: RequestTracker) -> None:
    tracker.set_pending(tracker.begin_pending_request(199.0), [], 200.0)
    assert tracker.describe(INK, CONNECTED, 201.0).state == "queued"
    assert tracker.describe(INK, CONNECTED, 200.0 + MANIFEST_SECONDS).state == "absent"


def test_pending_models_are_due_again_after_they_were_asked_for(tracker: RequestTracker) -> None:
    assert not tracker.is_pending_due([INK], 101.0)
    due = 100.0 + PENDING_SECONDS
    assert (tracker.is_pending_due([INK, OIL], due), tracker.is_pending_due([OIL], due)) == (True, False)
    asked = tracker.begin_pending_request(due)
    assert not tracker.is_pending_due([INK], due + 1)
    tracker.set_pending(asked, [INK], due + 1)
    assert tracker.describe(INK, CONNECTED, due + 1).state == "queued"


def test_model_that_was_requested_while_the_registry_was_asked_stays_pending(tracker: RequestTracker) -> None:
    asked = tracker.begin_pending_request(200.0)
    tracker.record([OIL], 201.0, [OIL])
    tracker.set_pending(asked, [], 202.0)
    late = 202.0 + 100 * MANIFEST_SECONDS
    assert [tracker.describe(model_id, CONNECTED, late).state for model_id in (INK, OIL)] == ["absent", "queued"]


def test_team_facts_before_the_first_heartbeat_do_not_say_whether_models_may_be_requested() -> None:
    assert TeamFacts().may_request_models is None
