"""Sending deliveries: signatures, retries, refusals, and one receiver that does not answer."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select
from standardwebhooks import Webhook, WebhookVerificationError

from modelyard.server.database.base import now
from modelyard.server.encryption import SecretCipher
from modelyard.server.resources import Resources
from modelyard.server.settings import Settings
from modelyard.server.webhooks.delivery_leases import lease_next_delivery
from modelyard.server.webhooks.schedule import PAUSES
from modelyard.server.webhooks.sender import Sender
from modelyard.server.webhooks.sender_share import MAX_PER_PERSON, MAX_PER_TEAM, SenderShare
from modelyard.server.webhooks.tables import WebhookRow
from tests.server.harness import ApiCaller, Harness
from tests.server.outbound.connect_proxy import ConnectProxy
from tests.server.webhooks.conftest import IMPATIENT, INTERNAL_HOST, LIMITS, Steps, create_webhook, list_deliveries
from tests.server.webhooks.receiver import Receiver

pytestmark = pytest.mark.slow


def list_actions(caller: ApiCaller) -> list[str]:
    """Return the actions of the team's audit trail."""
    return [event["action"] for event in caller.get("/audit-events", per_page=100).json()["audit_event_list"]]


def test_model_registered_and_verified_reach_the_receiver_with_valid_signatures(
    registry: Harness, receiver: Receiver
) -> None:
    _, secret = create_webhook(registry.owner, receiver.url, event_list=["model.registered", "model.verified"])
    model_id = registry.owner.register()
    receiver.wait_for_message()
    receiver.wait_for_message()
    found = {message.document["type"]: message for message in receiver.messages}
    assert set(found) == {"model.registered", "model.verified"}
    for message in found.values():
        document = Webhook(secret).verify(message.body, message.headers)
        assert document["data"]["object_id"] == model_id
        assert document["data"]["team_id"] == registry.team_id
        assert message.headers["content-type"] == "application/json"
    assert found["model.registered"].document["data"]["actor_id"] == registry.owner.user_id
    event = registry.owner.get("/audit-events", action="model.registered").json()["audit_event_list"][0]
    assert found["model.registered"].document["data"]["id"] == event["id"]


def test_webhook_gets_only_its_events(steps: Steps, receiver: Receiver) -> None:
    webhook, _ = create_webhook(steps.owner, receiver.url, event_list=["model.failed"])
    steps.register()
    assert steps.send_all_due() == 0
    assert list_deliveries(steps.owner, webhook) == []


def test_webhook_does_not_get_events_from_before_its_creation(steps: Steps, receiver: Receiver) -> None:
    steps.register()
    create_webhook(steps.owner, receiver.url)
    assert steps.send_all_due() == 0


def test_receiver_with_500_gets_the_same_message_again_after_a_pause(steps: Steps, receiver: Receiver) -> None:
    webhook, secret = create_webhook(steps.owner, receiver.url)
    receiver.answers += [(500, {}), (503, {})]
    steps.register()
    assert steps.send_all_due() == 1
    [waiting] = list_deliveries(steps.owner, webhook)
    assert (waiting["delivery_state"], waiting["attempts"], waiting["response_status"]) == ("pending", 1, 500)
    assert waiting["error"] == "The receiver answered 500."
    assert steps.owner.get(webhook).json()["last_error"] == "The receiver answered 500."
    steps.make_due()
    assert steps.send_all_due() == 1
    steps.make_due()
    assert steps.send_all_due() == 1
    [delivered] = list_deliveries(steps.owner, webhook)
    assert (delivered["delivery_state"], delivered["attempts"], delivered["error"]) == ("delivered", 3, None)
    assert {message.id for message in receiver.messages} == {delivered["id"]}
    assert len({message.body for message in receiver.messages}) == 1
    for message in receiver.messages:
        Webhook(secret).verify(message.body, message.headers)
    assert steps.owner.get(webhook).json()["last_error"] is None


def test_receiver_that_fails_all_attempts_is_disabled_with_a_notice(steps: Steps, receiver: Receiver) -> None:
    webhook, _ = create_webhook(steps.owner, receiver.url)
    receiver.answers += [(500, {})] * (len(PAUSES) + 1)
    steps.register()
    for _ in range(len(PAUSES) + 1):
        assert steps.send_all_due() == 1
        steps.make_due()
    assert steps.send_all_due() == 0
    found = steps.owner.get(webhook).json()
    assert not found["is_enabled"]
    assert found["disabled_reason"] == "10 attempts in three days failed. The receiver answered 500."
    assert found["disabled_at"] is not None
    assert "webhook.disabled" in list_actions(steps.owner)
    assert [each["delivery_state"] for each in list_deliveries(steps.owner, webhook)] == ["failed"]

    assert steps.owner.put(webhook, is_enabled=True).status_code == 200
    found = steps.owner.get(webhook).json()
    assert (found["is_enabled"], found["disabled_reason"], found["disabled_at"]) == (True, None, None)


def test_receiver_that_answers_410_is_disabled_at_once_and_the_rest_waits(steps: Steps, receiver: Receiver) -> None:
    webhook, _ = create_webhook(steps.owner, receiver.url)
    receiver.answers.append((410, {}))
    steps.register()
    steps.register()
    assert steps.send_all_due() == 1
    assert steps.owner.get(webhook).json()["disabled_reason"] == "The receiver answered 410: it wants no more requests."
    states = [each["delivery_state"] for each in list_deliveries(steps.owner, webhook)]
    assert states == ["pending", "failed"]
    steps.owner.put(webhook, is_enabled=True)
    assert steps.send_all_due() == 1


@pytest.mark.parametrize("location", ["http://169.254.169.254/latest/meta-data", "/elsewhere"])
def test_redirect_is_a_failure_and_is_not_followed(steps: Steps, receiver: Receiver, location: str) -> None:
    webhook, _ = create_webhook(steps.owner, receiver.url)
    receiver.answers.append((307, {"Location": location}))
    steps.register()
    assert steps.send_all_due() == 1
    [found] = list_deliveries(steps.owner, webhook)
    assert (found["delivery_state"], found["response_status"]) == ("pending", 307)
    assert len(receiver.messages) == 1


def test_retry_after_is_honoured_if_it_is_longer_than_the_pause(steps: Steps, receiver: Receiver) -> None:
    webhook, _ = create_webhook(steps.owner, receiver.url)
    receiver.answers.append((429, {"Retry-After": "3600"}))
    steps.register()
    steps.send_all_due()
    [row] = list_deliveries(steps.owner, webhook)
    assert row["next_attempt_at"] > (now() + timedelta(minutes=50)).isoformat()


def test_receiver_that_never_answers_ends_the_attempt(steps: Steps, settings: Settings, receiver: Receiver) -> None:
    steps.sender = Sender(steps.database, settings, steps.registry.resources.cipher, IMPATIENT)
    webhook, _ = create_webhook(steps.owner, receiver.url)
    receiver.pause()
    steps.register()
    assert steps.send_all_due() == 1
    [row] = list_deliveries(steps.owner, webhook)
    assert (row["delivery_state"], row["response_status"]) == ("pending", None)
    assert row["error"].startswith("'127.0.0.1' did not answer")


def test_private_address_that_the_operator_lists_no_more_is_not_connected_to(steps: Steps) -> None:
    webhook, _ = create_webhook(steps.owner, f"https://{INTERNAL_HOST}/hooks")
    steps.register()
    unlisted = steps.registry.resources.settings.model_copy(update={"webhook_hosts": ()})
    steps.publish()
    assert Sender(steps.database, unlisted, steps.registry.resources.cipher, LIMITS).send_next()
    [row] = list_deliveries(steps.owner, webhook)
    assert row["delivery_state"] == "pending"
    assert "has an address that is not public" in row["error"]


def test_worker_that_dies_while_it_sends_leaves_the_delivery_to_another_one_with_the_same_id(
    steps: Steps, receiver: Receiver
) -> None:
    webhook, _ = create_webhook(steps.owner, receiver.url)
    steps.register()
    steps.publish()
    leased = lease_next_delivery(steps.database, SenderShare(), timedelta(0))
    assert leased is not None
    assert steps.send_all_due() == 1
    [row] = list_deliveries(steps.owner, webhook)
    assert (row["delivery_state"], row["id"], row["attempts"]) == ("delivered", str(leased.row.id), 2)
    assert [message.id for message in receiver.messages] == [row["id"]]


def test_slow_receiver_of_one_team_does_not_delay_another_team(
    patient_senders: None, registry: Harness, receiver: Receiver, other_receiver: Receiver
) -> None:
    receiver.pause()
    for number in range(5):
        create_webhook(registry.owner, receiver.url, display_name=str(number))
    registry.owner.register()
    receiver.wait_for_message()
    other = registry.create_team()
    create_webhook(other, other_receiver.url)
    other.register()
    other_receiver.wait_for_message()
    # The slow receiver has answered none of them yet.
    assert len(receiver.messages) <= 2
    receiver.resume()


def test_slow_receiver_of_three_teams_of_one_person_does_not_delay_the_team_of_another_person(
    patient_senders: None, registry: Harness, receiver: Receiver, other_receiver: Receiver
) -> None:
    receiver.pause()
    for team in [registry.owner, registry.create_team(), registry.create_team()]:
        for number in range(MAX_PER_TEAM):
            create_webhook(team, receiver.url, display_name=str(number))
        team.register()
    for _ in range(MAX_PER_PERSON):
        receiver.wait_for_message()
    other = registry.create_other_team()
    create_webhook(other, other_receiver.url)
    other.register()
    other_receiver.wait_for_message()
    # The slow receiver has answered none of them yet.
    assert len(receiver.messages) == MAX_PER_PERSON
    receiver.resume()


def test_rotated_secret_signs_beside_the_old_one_for_24_hours(
    steps: Steps, settings: Settings, receiver: Receiver
) -> None:
    webhook, old = create_webhook(steps.owner, receiver.url)
    rotated = steps.owner.post(f"{webhook}/rotate-secret")
    assert rotated.status_code == 200
    new = rotated.json()["secret"]
    assert new != old
    assert steps.owner.get(webhook).json()["previous_secret_until"] == rotated.json()["previous_secret_until"]
    steps.register()
    steps.send_all_due()
    [message] = receiver.messages
    assert len(message.headers["webhook-signature"].split()) == 2
    for secret in (old, new):
        Webhook(secret).verify(message.body, message.headers)

    steps.register()
    steps.publish()
    Sender(
        steps.database, settings, steps.registry.resources.cipher, clock=lambda: now() + timedelta(hours=25)
    ).send_next()
    assert len(receiver.messages[-1].headers["webhook-signature"].split()) == 1


def test_signature_of_changed_body_is_not_valid(steps: Steps, receiver: Receiver) -> None:
    _, secret = create_webhook(steps.owner, receiver.url)
    steps.register()
    steps.send_all_due()
    [message] = receiver.messages
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(message.body.replace(b"registered", b"deleted"), message.headers)


def test_secret_is_stored_encrypted_if_the_operator_has_set_a_key(
    resources: Resources, settings: Settings, receiver: Receiver
) -> None:
    cipher = SecretCipher((b"k" * 32,))
    with Harness.without_jobs(replace(resources, cipher=cipher)) as registry:
        webhook, old = create_webhook(registry.owner, receiver.url)
        new = registry.owner.post(f"{webhook}/rotate-secret").json()["secret"]
        steps = Steps(registry, settings)
        with steps.database.reading() as session:
            [row] = session.scalars(select(WebhookRow)).all()
        assert not {old, new} & {row.secret, row.previous_secret}
        steps.register()
        assert steps.send_all_due() == 1
        for secret in (old, new):
            Webhook(secret).verify(receiver.messages[0].body, receiver.messages[0].headers)
        steps.register()
        steps.publish()
        assert Sender(steps.database, settings, SecretCipher((b"o" * 32,))).send_next()
        assert "Rotate it" in list_deliveries(registry.owner, webhook)[0]["error"]
        assert len(receiver.messages) == 1


def test_webhook_with_egress_proxy_is_delivered_through_it(
    steps: Steps, resources: Resources, settings: Settings, receiver: Receiver
) -> None:
    proxy = ConnectProxy(receiver.server_port)
    try:
        webhook, secret = create_webhook(steps.owner, receiver.url)
        proxied = settings.model_copy(update={"egress_proxy": proxy.address})
        steps.sender = Sender(resources.database, proxied, resources.cipher, LIMITS)
        steps.register()
        assert steps.send_all_due() == 1
    finally:
        proxy.close()
    assert proxy.asked == [f"POST {receiver.url}"]
    [message] = receiver.messages
    assert Webhook(secret).verify(message.body, message.headers)["type"] == "model.registered"
    assert [each["delivery_state"] for each in list_deliveries(steps.owner, webhook)] == ["delivered"]
