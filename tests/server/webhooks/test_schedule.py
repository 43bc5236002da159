"""What follows an attempt, the pause that a receiver asks for, and the bodies."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from modelyard.server.audit.tables import AuditEventRow
from modelyard.server.webhooks.payloads import MAX_BODY_BYTES, build_event_body
from modelyard.server.webhooks.schedule import JITTER, PAUSES, NextStep, Outcome, decide_hold, decide_next_step
from modelyard.server.webhooks.sender import parse_retry_after

MOMENT = datetime(2026, 11, 27, 12, tzinfo=UTC)
GONE = "The receiver answered 410: it wants no more requests."


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_decide_success_is_delivered(status: int) -> None:
    assert decide_next_step(Outcome(status), 1, 0.5, has_delivered_since=False) == NextStep("delivered")


@pytest.mark.parametrize("status", [100, 301, 302, 307, 400, 404, 429, 500, 503, None])
def test_decide_failure_is_tried_again_after_the_pauses_of_the_schedule(status: int | None) -> None:
    for tries, pause in enumerate(PAUSES, start=1):
        shortest = decide_next_step(Outcome(status), tries, 0.0, has_delivered_since=False)
        longest = decide_next_step(Outcome(status), tries, 1.0, has_delivered_since=False)
        assert (shortest, longest) == (NextStep("pending", pause), NextStep("pending", pause * (1 + JITTER)))


def test_schedule_has_ten_attempts_in_about_three_days() -> None:
    hours = (2, 5, 10, 14, 20, 24)
    assert [5, 300, 1800, *(3600 * each for each in hours)] == [pause.total_seconds() for pause in PAUSES]


def test_decide_last_failure_disables_the_webhook_unless_others_arrive() -> None:
    last = len(PAUSES) + 1
    alone = decide_next_step(Outcome(500), last, 0.0, has_delivered_since=False)
    assert (alone.state, alone.pause, alone.disabled_reason is not None) == ("failed", None, True)
    assert decide_next_step(Outcome(500), last, 0.0, has_delivered_since=True) == NextStep("failed")


def test_decide_410_disables_at_once() -> None:
    step = decide_next_step(Outcome(410), 1, 0.0, has_delivered_since=True)
    assert step == NextStep("failed", disabled_reason=GONE)


@pytest.mark.parametrize(
    ("failing_for", "retry_after", "hold"),
    [(0, 0, 5), (20, 0, 20), (600, 0, 600), (86_400, 0, 1800), (20, 120, 120), (20, 200_000, 86_400)],
)
def test_decide_hold_is_as_long_as_the_failures_so_far(failing_for: int, retry_after: int, hold: int) -> None:
    assert decide_hold(timedelta(seconds=failing_for), timedelta(seconds=retry_after)) == timedelta(seconds=hold)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("999999999", 86_400),
        ("Fri, 27 Nov 2026 12:02:00 GMT", 120),
        ("Fri, 27 Nov 2026 11:00:00 GMT", 0),
        ("Fri, 27 Nov 2026 12:02:00 -0000", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("", 0),
        ("٣", 0),
    ],
)
def test_parse_retry_after(text: str, seconds: int) -> None:
    assert parse_retry_after(text, MOMENT) == timedelta(seconds=seconds)


def _build_event(facts: dict[str, object]) -> AuditEventRow:
    return AuditEventRow(
        id=UUID(int=1),
        team_id=UUID(int=2),
        created_at=MOMENT,
        action="model.failed",
        object_id="3",
        actor_kind="system",
        actor_id=None,
        actor_name="Registry",
        facts=facts,
    )


def test_body_is_below_20_kilobytes_without_facts_that_are_too_long() -> None:
    short, long = (build_event_body(_build_event({"model_path": "é" * count})) for count in (10, MAX_BODY_BYTES))
    assert '"facts":{"model_path"' in short
    assert '"facts":null' in long
    assert len(long.encode()) < MAX_BODY_BYTES
    assert '"timestamp":"2026-11-27T12:00:00Z"' in short
