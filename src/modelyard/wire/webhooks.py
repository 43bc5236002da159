"""API schemas of webhooks: addresses of a team that get its events, and the deliveries to them."""

from datetime import datetime
from typing import Annotated, Literal, get_args
from uuid import UUID

from pydantic import AfterValidator, Field, StrictBool, StringConstraints

from modelyard.wire.schemas import EXAMPLE_ID, EXAMPLE_PAGE, EXAMPLE_TIME, Name, PageMeta, PartialUpdate, Schema
from modelyard.wire.texts.rules import LINE_PATTERN
from modelyard.wire.versions import Creator

MAX_WEBHOOKS = 20
# Of one webhook: those that ended, and those that wait.
MAX_DELIVERIES = 10_000
MAX_WAITING_DELIVERIES = 10_000
KEPT_DELIVERY_DAYS = 30
SECRET_GRACE_HOURS = 24

# Actions of the audit log.
EventType = Literal[
    "model.registered",
    "model.verified",
    "model.failed",
    "model.corrupted",
    "model.repaired",
    "version.promoted",
    "version.activated",
    "agent.unhealthy",
    "collection.rollout_finished",
    "quota.reached_80_percent",
]
EVENT_TYPES: tuple[str, ...] = get_args(EventType)
TEST_EVENT = "webhook.test"
DeliveryState = Literal["pending", "delivered", "failed"]

EXAMPLE_URL = "https://hooks.studio.example/modelyard"
_EXAMPLE_EVENTS = ["model.verified", "version.promoted"]


def _remove_duplicates(events: list[EventType]) -> list[EventType]:
    """Return the event types once each, in the order of ``EVENT_TYPES``."""
    return sorted(set(events), key=EVENT_TYPES.index)


WebhookUrl = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=2000, strip_whitespace=True, pattern=LINE_PATTERN)
]
EventList = Annotated[
    list[EventType], Field(min_length=1, max_length=len(EVENT_TYPES)), AfterValidator(_remove_duplicates)
]
_URL_DESCRIPTION = (
    "An https address on port 443 of a public host; other hosts and ports, and http, only if the operator lists them "
    "in `MODELYARD_WEBHOOK_HOSTS`."
)


class NewWebhook(Schema):
    """A webhook to create."""

    display_name: Name = Field(description="What it is for.", examples=["Studio chat"])
    url: WebhookUrl = Field(description=_URL_DESCRIPTION, examples=[EXAMPLE_URL])
    event_list: EventList = Field(description="The events that it gets.", examples=[_EXAMPLE_EVENTS])
    is_enabled: StrictBool = Field(default=True, description="Whether events are sent.", examples=[True])


class WebhookUpdate(PartialUpdate):
    """Changes of a webhook; absent fields are unchanged."""

    display_name: Name = Field(default="", description="What it is for.", examples=["Studio chat"])
    url: WebhookUrl = Field(default="", description=_URL_DESCRIPTION, examples=[EXAMPLE_URL])
    event_list: EventList = Field(default=[], description="The events that it gets.", examples=[_EXAMPLE_EVENTS])
    is_enabled: StrictBool = Field(
        default=True,
        description="Whether events are sent. Deliveries that wait are sent once it is enabled again; events of the "
        "time between are not.",
        examples=[True],
    )


class CreatedWebhook(Schema):
    """A new webhook; ``secret`` is returned only this once."""

    id: UUID = Field(description="The webhook's id.", examples=[EXAMPLE_ID])
    secret: str = Field(description="The secret that signs its requests, returned only once.", examples=["whsec_…"])


class RotatedSecret(CreatedWebhook):
    """The new secret of a webhook; ``secret`` is returned only this once."""

    previous_secret_until: datetime = Field(
        description="Until when requests are signed with the old secret too.", examples=[EXAMPLE_TIME]
    )


class Webhook(Schema):
    """A webhook without its secret."""

    id: UUID = Field(description="The webhook's id.", examples=[EXAMPLE_ID])
    display_name: str = Field(description="What it is for.", examples=["Studio chat"])
    url: str = Field(description="The address that gets the events.", examples=[EXAMPLE_URL])
    event_list: list[EventType] = Field(description="The events that it gets.", examples=[_EXAMPLE_EVENTS])
    is_enabled: bool = Field(description="Whether events are sent.", examples=[True])
    disabled_reason: str | None = Field(
        description="Why the registry has disabled it; null if a person did, or it is enabled.", examples=[None]
    )
    disabled_at: datetime | None = Field(description="When it was disabled; null if it is enabled.", examples=[None])
    last_delivered_at: datetime | None = Field(
        description="When a delivery last succeeded; null if none has.", examples=[EXAMPLE_TIME]
    )
    last_error: str | None = Field(
        description="Why the last attempt failed; null if it succeeded, or there was none.", examples=[None]
    )
    previous_secret_until: datetime | None = Field(
        description="Until when requests are signed with the secret before the rotation too.", examples=[None]
    )
    created_at: datetime = Field(description="When it was created.", examples=[EXAMPLE_TIME])
    updated_at: datetime = Field(description="When it was last changed.", examples=[EXAMPLE_TIME])
    created_by: Creator = Field(
        description="Who created it.", examples=[{"kind": "user", "id": None, "display_name": "Ada"}]
    )


class WebhookList(Schema):
    """A page of webhooks."""

    webhook_list: list[Webhook] = Field(description="The webhooks, oldest first.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])


class WebhookDelivery(Schema):
    """An event on its way to a webhook."""

    id: UUID = Field(description="Its `webhook-id`, the same in all attempts.", examples=[EXAMPLE_ID])
    event_id: UUID | None = Field(description="The event of the audit log; null for a test.", examples=[EXAMPLE_ID])
    event_type: str = Field(description="The `type` of its body.", examples=["model.verified"])
    delivery_state: DeliveryState = Field(
        description="`pending`: it waits for its first or next attempt. `delivered`: the receiver answered with 2xx. "
        "`failed`: all attempts failed, or the receiver answered 410.",
        examples=["delivered"],
    )
    attempts: int = Field(description="How often it was sent.", examples=[1])
    response_status: int | None = Field(
        description="The HTTP status of the last attempt; null without a response.", examples=[204]
    )
    error: str | None = Field(description="Why the last attempt failed.", examples=[None])
    created_at: datetime = Field(description="When it was queued.", examples=[EXAMPLE_TIME])
    attempted_at: datetime | None = Field(description="When it was last sent.", examples=[EXAMPLE_TIME])
    next_attempt_at: datetime | None = Field(
        description="When it is sent next; null if it is not, or waits until the webhook is enabled.", examples=[None]
    )


class WebhookDeliveryList(Schema):
    """A page of deliveries."""

    delivery_list: list[WebhookDelivery] = Field(description="The deliveries, newest first.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])
