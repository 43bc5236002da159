"""What a lease costs does not grow with the deliveries that wait."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from modelyard.server.database.base import now
from modelyard.server.database.session import insert_rows
from modelyard.server.webhooks.delivery_leases import lease_next_delivery, release_delivery
from modelyard.server.webhooks.sender_share import SenderShare
from modelyard.server.webhooks.tables import WebhookDeliveryRow, WebhookRow
from tests.server.environments import only_on
from tests.server.query_plans import count_sqlite_steps
from tests.server.webhooks.conftest import Steps, create_webhook
from tests.server.webhooks.receiver import Receiver

pytestmark = pytest.mark.slow

WEBHOOKS = 4


def add_deliveries(steps: Steps, number: int) -> None:
    """Let so many more deliveries of each webhook be due."""
    with steps.database.writing() as session:
        for webhook in session.scalars(select(WebhookRow)).all():
            fixed = {
                "team_id": webhook.team_id,
                "webhook_id": webhook.id,
                "event_type": "model.registered",
                "body": "{}",
            }
            rows = [{"id": uuid4(), "event_id": uuid4(), "next_attempt_at": now()} for _ in range(number)]
            insert_rows(session, WebhookDeliveryRow, [fixed | row for row in rows])


def count_lease(steps: Steps) -> int:
    """Return how many steps of SQLite's virtual machine a lease takes, with what is read for it."""
    with count_sqlite_steps(steps.database.engine) as counted:
        leased = lease_next_delivery(steps.database, SenderShare())
    assert leased is not None
    release_delivery(steps.database, leased)
    return counted.steps


@only_on("sqlite", reason="it counts SQLite's steps: PostgreSQL chooses its plan by statistics")
@pytest.mark.parametrize("is_held", [False, True])
def test_lease_among_2000_deliveries_of_each_webhook_takes_no_more_steps_than_among_20(
    steps: Steps, receiver: Receiver, is_held: bool
) -> None:
    webhooks = [create_webhook(steps.owner, receiver.url, display_name=str(number))[0] for number in range(WEBHOOKS)]
    if is_held:
        with steps.database.writing() as session:
            for row in session.scalars(select(WebhookRow)).all():
                row.held_until = now() + timedelta(hours=1)
    add_deliveries(steps, 20)
    requested = UUID(steps.owner.post(f"{webhooks[0]}/test").json()["id"])
    few = count_lease(steps)
    add_deliveries(steps, 2_000)
    assert count_lease(steps) <= few + 200
    leased = lease_next_delivery(steps.database, SenderShare())
    assert leased is not None
    assert leased.row.id == requested
