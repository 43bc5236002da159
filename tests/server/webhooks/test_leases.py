"""Leases of deliveries: limits of a team and a webhook hold, however many workers lease at the same time."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from modelyard.server.webhooks.delivery_leases import LeasedDelivery, lease_next_delivery, release_delivery
from modelyard.server.webhooks.sender_share import SenderShare
from tests.server.webhooks.conftest import Steps, create_webhook, list_deliveries
from tests.server.webhooks.receiver import Receiver
from tests.waiting import PATIENCE_SECONDS

WORKERS, ROUNDS = 6, 8


def test_lease_by_six_workers_at_once_one_delivery_of_a_webhook_and_two_of_a_team(
    steps: Steps, receiver: Receiver
) -> None:
    for number in range(3):
        create_webhook(steps.owner, receiver.url, display_name=str(number))
    for _ in range(WORKERS):
        steps.register()
    steps.publish()
    barrier = threading.Barrier(WORKERS)

    def lease() -> LeasedDelivery | None:
        barrier.wait(PATIENCE_SECONDS)
        return lease_next_delivery(steps.database, SenderShare())

    for _ in range(ROUNDS):
        with ThreadPoolExecutor(WORKERS) as threads:
            futures = [threads.submit(lease) for _ in range(WORKERS)]
            leased = [found for future in futures if (found := future.result()) is not None]
        assert sorted(Counter(each.webhook.id for each in leased).values()) == [1, 1]
        for each in leased:
            release_delivery(steps.database, each)


def test_release_delivery_that_was_not_sent_is_no_attempt(steps: Steps, receiver: Receiver) -> None:
    webhook, _ = create_webhook(steps.owner, receiver.url)
    steps.register()
    steps.publish()
    leased = lease_next_delivery(steps.database, SenderShare())
    assert leased is not None
    assert list_deliveries(steps.owner, webhook)[0]["attempts"] == 1
    release_delivery(steps.database, leased)
    assert list_deliveries(steps.owner, webhook)[0]["attempts"] == 0
    assert steps.send_all_due() == 1


def test_deliveries_are_charged_to_the_user_who_created_the_webhook_also_with_a_device(
    steps: Steps, receiver: Receiver
) -> None:
    admin = steps.registry.create_member("admin")
    create_webhook(steps.owner, receiver.url)
    create_webhook(steps.registry.create_device(admin), receiver.url)
    steps.register()
    steps.publish()
    leased = [lease_next_delivery(steps.database, SenderShare()) for _ in range(2)]
    accounts = [tuple(map(str, each.account)) for each in leased if each is not None]
    team_id = steps.registry.team_id
    assert sorted(accounts) == sorted([(steps.owner.user_id, team_id), (admin.user_id, team_id)])
