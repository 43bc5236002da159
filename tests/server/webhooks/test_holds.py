"""Holds: after a failure a webhook gets no further delivery for a time, so that others are not delayed."""

from datetime import timedelta

import pytest

from modelyard.server.database.base import now
from modelyard.server.webhooks import schedule
from tests.server.webhooks.conftest import Steps, create_webhook, list_deliveries
from tests.server.webhooks.receiver import Receiver


@pytest.fixture(autouse=True)
def long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first pause, which is that of the hold too, be so long that it is not over during a test."""
    monkeypatch.setattr(schedule, "PAUSES", (timedelta(hours=1), *schedule.PAUSES[1:]))


def fail_once(steps: Steps, receiver: Receiver, events: int = 3) -> str:
    """Create a webhook with so many events, the first of which fails; return its path."""
    webhook, _ = create_webhook(steps.owner, receiver.url)
    receiver.answers.append((500, {}))
    for _ in range(events):
        steps.register()
    assert steps.send_all_due() == 1
    return webhook


def test_failed_delivery_holds_the_others_of_its_webhook_and_later_ones(
    steps: Steps, receiver: Receiver, other_receiver: Receiver
) -> None:
    webhook = fail_once(steps, receiver)
    create_webhook(steps.owner, other_receiver.url)
    steps.register()
    assert steps.send_all_due() == 1
    assert (len(receiver.messages), len(other_receiver.messages)) == (1, 1)
    waiting = list_deliveries(steps.owner, webhook)
    assert len(waiting) == 4
    assert all(each["next_attempt_at"] > each["created_at"] for each in waiting)
    steps.make_due()
    assert steps.send_all_due() == 4


def test_retry_after_holds_all_deliveries_of_the_webhook(steps: Steps, receiver: Receiver) -> None:
    webhook, _ = create_webhook(steps.owner, receiver.url)
    receiver.answers.append((429, {"Retry-After": "3600"}))
    for _ in range(2):
        steps.register()
    assert steps.send_all_due() == 1
    until = (now() + timedelta(minutes=50)).isoformat()
    assert all(each["next_attempt_at"] > until for each in list_deliveries(steps.owner, webhook))


def test_test_is_sent_during_a_hold_and_ends_it_if_it_arrives(steps: Steps, receiver: Receiver) -> None:
    webhook = fail_once(steps, receiver)
    steps.owner.post(f"{webhook}/test")
    assert steps.send_all_due() == 3
    assert [message.document["type"] for message in receiver.messages][1] == "webhook.test"


def test_redelivery_is_sent_during_a_hold_before_the_others(steps: Steps, receiver: Receiver) -> None:
    webhook = fail_once(steps, receiver)
    newest = list_deliveries(steps.owner, webhook)[0]["id"]
    receiver.answers.append((500, {}))
    steps.owner.post(f"{webhook}/deliveries/{newest}/redeliver")
    assert steps.send_all_due() == 1
    assert receiver.messages[-1].id == newest


def test_new_address_ends_the_hold(steps: Steps, receiver: Receiver, other_receiver: Receiver) -> None:
    webhook = fail_once(steps, receiver)
    steps.owner.put(webhook, url=other_receiver.url)
    assert steps.send_all_due() == 2
    assert len(other_receiver.messages) == 2
