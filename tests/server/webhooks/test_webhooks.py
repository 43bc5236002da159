"""Managing webhooks: create, change, delete, test, and send again."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import insert, update

from modelyard.server.database.base import new_id, now
from modelyard.server.database.engine import Limits
from modelyard.server.database.job_run import JobRun
from modelyard.server.database.session import Database
from modelyard.server.resources import Resources
from modelyard.server.webhooks import publishing
from modelyard.server.webhooks.attempts import record_attempt
from modelyard.server.webhooks.deliveries import delete_old_deliveries
from modelyard.server.webhooks.delivery_leases import lease_next_delivery
from modelyard.server.webhooks.publishing import publish_events
from modelyard.server.webhooks.schedule import Outcome
from modelyard.server.webhooks.sender_share import SenderShare
from modelyard.server.webhooks.tables import WebhookDeliveryRow
from modelyard.wire.webhooks import EVENT_TYPES, KEPT_DELIVERY_DAYS, MAX_WAITING_DELIVERIES, MAX_WEBHOOKS
from tests.server.environments import only_on
from tests.server.harness import ApiCaller
from tests.server.webhooks.conftest import Steps, create_webhook, list_deliveries
from tests.server.webhooks.receiver import Receiver

pytestmark = pytest.mark.slow


def test_secret_is_returned_only_at_creation_and_rotation(steps: Steps, receiver: Receiver) -> None:
    webhook, secret = create_webhook(steps.owner, receiver.url)
    assert secret.startswith("whsec_")
    rotated = steps.owner.post(f"{webhook}/rotate-secret").json()["secret"]
    for path in (webhook, "/webhooks", "/audit-events"):
        text = steps.owner.get(path).text
        assert secret not in text
        assert rotated not in text


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/hooks",
        "https://10.1.2.3/hooks",
        "https://169.254.169.254/latest",
        "https://[::1]/hooks",
        "https://[::ffff:10.0.0.1]/hooks",
        "http://1.1.1.1/hooks",
        "https://1.1.1.1:8443/hooks",
        "https://user:password@1.1.1.1/hooks",
        "ftp://1.1.1.1/hooks",
        "hooks",
    ],
)
def test_create_and_change_address_that_may_not_be_requested_is_refused_naming_the_field(
    team: ApiCaller, url: str
) -> None:
    body = {"display_name": "Chat", "event_list": ["model.failed"]}
    refused = team.post("/webhooks", url=url, **body)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "url")
    webhook, _ = create_webhook(team, "https://1.1.1.1/hooks", is_enabled=False)
    refused = team.put(webhook, url=url)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "url")
    assert team.get(webhook).json()["url"] == "https://1.1.1.1/hooks"


def test_events_are_listed_once_in_one_order(team: ApiCaller) -> None:
    sent = ["model.failed", "model.registered", "model.failed"]
    webhook, _ = create_webhook(team, "https://1.1.1.1/hooks", is_enabled=False, event_list=sent)
    assert team.get(webhook).json()["event_list"] == ["model.registered", "model.failed"]
    assert team.put(webhook, event_list=[]).status_code == 422
    assert team.put(webhook, event_list=["model.deleted"]).status_code == 422


def test_create_more_than_the_limit_returns_409(team: ApiCaller) -> None:
    for _ in range(MAX_WEBHOOKS):
        create_webhook(team, "https://1.1.1.1/hooks", is_enabled=False)
    body = {"display_name": "Chat", "url": "https://1.1.1.1/hooks", "event_list": list(EVENT_TYPES)}
    refused = team.post("/webhooks", **body)
    assert (refused.status_code, refused.json()["error_code"]) == (409, "webhook_limit_reached")


def test_webhook_that_is_off_gets_no_later_events_and_its_waiting_ones_when_it_is_on(
    steps: Steps, receiver: Receiver
) -> None:
    webhook, _ = create_webhook(steps.owner, receiver.url)
    steps.register()
    assert steps.owner.put(webhook, is_enabled=False).status_code == 200
    steps.register()
    assert steps.send_all_due() == 0
    assert [each["next_attempt_at"] for each in list_deliveries(steps.owner, webhook)] == [None]
    assert steps.owner.put(webhook, is_enabled=True).status_code == 200
    assert steps.send_all_due() == 1
    assert [each["delivery_state"] for each in list_deliveries(steps.owner, webhook)] == ["delivered"]


def test_test_is_sent_once_also_to_a_webhook_that_is_off(steps: Steps, receiver: Receiver) -> None:
    webhook, _ = create_webhook(steps.owner, receiver.url, is_enabled=False)
    receiver.answers.append((410, {}))
    first = steps.owner.post(f"{webhook}/test")
    assert first.status_code == 201
    assert steps.send_all_due() == 1
    steps.make_due()
    assert steps.send_all_due() == 0
    second = steps.owner.post(f"{webhook}/test").json()["id"]
    assert steps.send_all_due() == 1
    found = [(each["id"], each["delivery_state"]) for each in list_deliveries(steps.owner, webhook)]
    assert found == [(second, "delivered"), (first.json()["id"], "failed")]
    assert receiver.messages[0].document["type"] == "webhook.test"
    assert steps.owner.get(webhook).json()["disabled_reason"] is None


def test_redelivery_has_the_same_id_and_body(steps: Steps, receiver: Receiver) -> None:
    webhook, _ = create_webhook(steps.owner, receiver.url)
    steps.register()
    steps.send_all_due()
    [row] = list_deliveries(steps.owner, webhook)
    again = steps.owner.post(f"{webhook}/deliveries/{row['id']}/redeliver")
    assert (again.status_code, again.json()["id"]) == (200, row["id"])
    assert steps.send_all_due() == 1
    first, second = receiver.messages
    assert (first.id, first.body) == (second.id, second.body)
    [row] = list_deliveries(steps.owner, webhook)
    assert (row["delivery_state"], row["attempts"]) == ("delivered", 2)


def test_redelivery_of_another_webhooks_delivery_returns_404(steps: Steps, receiver: Receiver) -> None:
    webhook, _ = create_webhook(steps.owner, receiver.url)
    other, _ = create_webhook(steps.owner, receiver.url, is_enabled=False)
    steps.register()
    steps.publish()
    [row] = list_deliveries(steps.owner, webhook)
    refused = steps.owner.post(f"{other}/deliveries/{row['id']}/redeliver")
    assert (refused.status_code, refused.json()["error_code"]) == (404, "webhook_delivery_not_found")


def test_deliveries_are_paged_by_cursor_newest_first(steps: Steps, receiver: Receiver) -> None:
    webhook, _ = create_webhook(steps.owner, receiver.url)
    for _ in range(3):
        steps.register()
    steps.publish()
    first = steps.owner.get(f"{webhook}/deliveries", per_page=2, cursor="").json()
    second = steps.owner.get(f"{webhook}/deliveries", per_page=2, cursor=first["page_meta"]["next_cursor"]).json()
    found = [each["id"] for each in [*first["delivery_list"], *second["delivery_list"]]]
    assert len(found) == 3
    assert found == sorted(found, reverse=True)


def test_delete_webhook_deletes_its_deliveries_and_is_audited(steps: Steps, receiver: Receiver) -> None:
    webhook, _ = create_webhook(steps.owner, receiver.url)
    steps.register()
    steps.publish()
    assert steps.owner.delete(webhook).status_code == 204
    assert steps.owner.get(webhook).status_code == 404
    assert steps.send_all_due() == 0
    events = steps.owner.get("/audit-events").json()["audit_event_list"]
    assert [event["action"] for event in events if event["action"].startswith("webhook.")] == [
        "webhook.deleted",
        "webhook.created",
    ]


def test_redelivery_during_an_attempt_is_sent_once_more(steps: Steps, receiver: Receiver) -> None:
    webhook, _ = create_webhook(steps.owner, receiver.url)
    steps.register()
    steps.publish()
    running = lease_next_delivery(steps.database, SenderShare())
    assert running is not None
    assert steps.owner.post(f"{webhook}/deliveries/{running.row.id}/redeliver").status_code == 200
    assert not record_attempt(steps.database, running, Outcome(204))
    assert steps.send_all_due() == 1
    [row] = list_deliveries(steps.owner, webhook)
    assert (row["delivery_state"], row["attempts"]) == ("delivered", 2)


def test_old_deliveries_that_ended_are_deleted_and_so_are_the_oldest_beyond_the_limit(
    steps: Steps, receiver: Receiver
) -> None:
    webhook, _ = create_webhook(steps.owner, receiver.url)
    for _ in range(4):
        steps.register()
    assert steps.send_all_due() == 4
    kept = [each["id"] for each in list_deliveries(steps.owner, webhook)]
    age(steps, kept[3:])
    delete_old_deliveries(JobRun(steps.database, "old deliveries"))
    assert [each["id"] for each in list_deliveries(steps.owner, webhook)] == kept[:3]
    delete_old_deliveries(JobRun(steps.database, "old deliveries"), limit=2)
    assert [each["id"] for each in list_deliveries(steps.owner, webhook)] == kept[:2]


def test_deliveries_that_wait_are_never_deleted(steps: Steps, receiver: Receiver) -> None:
    webhook, _ = create_webhook(steps.owner, receiver.url)
    for _ in range(3):
        steps.register()
    steps.publish()
    steps.owner.put(webhook, is_enabled=False)
    kept = [each["id"] for each in list_deliveries(steps.owner, webhook)]
    age(steps, kept)
    delete_old_deliveries(JobRun(steps.database, "old deliveries"), limit=1)
    assert [each["id"] for each in list_deliveries(steps.owner, webhook)] == kept


def age(steps: Steps, ids: list[str]) -> None:
    """Let deliveries be as old as those that are deleted."""
    chosen = WebhookDeliveryRow.id.in_([UUID(each) for each in ids])
    values = {"created_at": now() - timedelta(days=KEPT_DELIVERY_DAYS + 1)}
    with steps.database.writing() as session:
        session.execute(update(WebhookDeliveryRow).where(chosen).values(values))


def test_events_beyond_the_limit_of_waiting_deliveries_are_dropped_with_a_notice(
    steps: Steps, receiver: Receiver
) -> None:
    webhook, _ = create_webhook(steps.owner, receiver.url)
    other, _ = create_webhook(steps.owner, receiver.url, event_list=["model.registered", "model.failed"])
    fill(steps, webhook, MAX_WAITING_DELIVERIES - 1)
    for _ in range(3):
        steps.register()
    steps.publish()
    assert len(list_deliveries(steps.owner, other)) == 3
    dropped = steps.owner.get("/audit-events", action="webhook.events_dropped").json()["audit_event_list"]
    assert [(event["object_id"], event["facts"]["count"]) for event in dropped] == [(webhook.split("/")[-1], 2)]
    last_error = "2 events were dropped, since 10,000 deliveries wait. See the audit log."
    assert steps.owner.get(webhook).json()["last_error"] == last_error


def fill(steps: Steps, webhook: str, count: int) -> None:
    """Let so many deliveries wait for a webhook."""
    fixed = {"team_id": UUID(steps.registry.team_id), "webhook_id": UUID(webhook.rsplit("/", maxsplit=1)[-1])}
    with steps.database.writing() as session:
        rows = [fixed | {"event_id": new_id(), "event_type": "model.failed", "body": "{}"} for _ in range(count)]
        session.execute(insert(WebhookDeliveryRow), rows)


def test_change_after_many_events_makes_deliveries_of_all_of_them_first(
    steps: Steps, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "MAX_EVENTS", 2)
    webhook, _ = create_webhook(steps.owner, receiver.url)
    for _ in range(5):
        steps.register()
    later, _ = create_webhook(steps.owner, receiver.url)
    assert (len(list_deliveries(steps.owner, webhook)), list_deliveries(steps.owner, later)) == (5, [])


@only_on("postgresql", reason="SQLite has one writer at a time, of all teams")
def test_publish_team_that_is_locked_does_not_hold_up_another(
    resources: Resources, steps: Steps, receiver: Receiver
) -> None:
    other = steps.registry.create_team()
    for caller in (steps.owner, other):
        create_webhook(caller, receiver.url)
        caller.register()
    impatient = Database(resources.settings.database_url or "", Limits(busy=200))
    assert other.team_id is not None
    for locked in (steps.registry.team_id, other.team_id):
        with steps.database.writing(UUID(locked)):
            publish_events(impatient)
    impatient.close()
    assert steps.send_all_due() == 2
