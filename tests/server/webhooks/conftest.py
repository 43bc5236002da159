"""Registries whose operator lists two receivers, and steps of the jobs of webhooks, one at a time."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from modelyard.server.database.base import now
from modelyard.server.identity.state import Identity
from modelyard.server.outbound.client import Limits
from modelyard.server.resources import Resources, open_resources
from modelyard.server.scheduler import jobs
from modelyard.server.settings import Settings
from modelyard.server.webhooks.publishing import publish_events
from modelyard.server.webhooks.sender import Sender
from modelyard.server.webhooks.tables import WebhookDeliveryRow, WebhookRow
from tests.server.conftest import CHEAP
from tests.server.environments import PATIENT, Environments
from tests.server.harness import ApiCaller, Harness
from tests.server.webhooks.receiver import Receiver, run_receiver
from tests.waiting import PATIENCE_SECONDS

# For receivers that answer, and for one that does not, which ends an attempt soon.
LIMITS = Limits(PATIENCE_SECONDS, PATIENCE_SECONDS, PATIENCE_SECONDS)
IMPATIENT = Limits(connect_seconds=5.0, read_seconds=0.3, head_seconds=0.3)
# Listed by the operator, with port 443; nothing listens there.
INTERNAL_HOST = "127.0.0.2"


def create_webhook(caller: ApiCaller, url: str, **changed: Any) -> tuple[str, str]:
    """Create a webhook that gets registrations; return its path and its secret."""
    body = {"display_name": "Chat", "url": url, "event_list": ["model.registered"]} | changed
    created = caller.post("/webhooks", **body)
    assert created.status_code == 201, created.text
    return f"/webhooks/{created.json()['id']}", created.json()["secret"]


def list_deliveries(caller: ApiCaller, webhook: str) -> list[dict[str, Any]]:
    """Return the deliveries of a webhook, newest first."""
    return list(caller.get(f"{webhook}/deliveries").json()["delivery_list"])


class Steps:
    """Publishes and sends in the thread of the test, in a registry that runs no jobs."""

    def __init__(self, registry: Harness, settings: Settings) -> None:
        self.registry, self.owner = registry, registry.owner
        self.database = registry.resources.database
        self.sender = Sender(self.database, settings, registry.resources.cipher, LIMITS)
        self._count = 0

    def register(self) -> None:
        """Register one more model, which is an event."""
        self._count += 1
        self.owner.register(path=f"loras/{self._count}.safetensors")

    def publish(self) -> None:
        while publish_events(self.database):
            pass

    def send_all_due(self) -> int:
        """Publish events, and send all that is due; return the number of attempts."""
        self.publish()
        attempts = 0
        while self.sender.send_next():
            attempts += 1
        return attempts

    def make_due(self) -> None:
        """Let the pauses of all deliveries, and the holds of all webhooks, be over."""
        waits = WebhookDeliveryRow.next_attempt_at.is_not(None)
        with self.database.writing() as session:
            session.execute(update(WebhookRow).values(held_until=None))
            values = {"next_attempt_at": now()}
            session.execute(
                update(WebhookDeliveryRow).where(waits).values(values).execution_options(synchronize_session=False)
            )


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with run_receiver() as receiver:
        yield receiver


@pytest.fixture
def other_receiver() -> Iterator[Receiver]:
    with run_receiver() as receiver:
        yield receiver


@pytest.fixture
def settings(
    environments: Environments, tmp_path: Path, receiver: Receiver, other_receiver: Receiver
) -> Iterator[Settings]:
    """Settings of an empty registry that may reach both receivers and an internal host."""
    hosts = (receiver.host, other_receiver.host, INTERNAL_HOST)
    with environments.create_settings(tmp_path, webhook_hosts=hosts) as settings:
        yield settings


@pytest.fixture
def patient_senders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the jobs of registries that start later wait for receivers as long as a test may take."""
    monkeypatch.setattr(jobs, "Sender", partial(Sender, limits=LIMITS))


@pytest.fixture
def resources(settings: Settings) -> Iterator[Resources]:
    with open_resources(settings, Identity(CHEAP), PATIENT) as resources:
        yield resources


@pytest.fixture
def steps(resources: Resources, settings: Settings) -> Iterator[Steps]:
    """A registry without jobs, whose events are published and sent by the test."""
    with Harness.without_jobs(resources) as registry:
        yield Steps(registry, settings)
