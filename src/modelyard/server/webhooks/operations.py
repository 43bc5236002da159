"""Operations on webhooks: create, list, read, change, delete, test, and rotate secrets."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.database.base import new_id, now
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database, announce
from modelyard.server.encryption import SecretCipher
from modelyard.server.http.paging import Order, Page, list_page
from modelyard.server.http.params import parse_uuid
from modelyard.server.outbound.errors import AddressRefused, OutboundError
from modelyard.server.outbound.policy import parse_url
from modelyard.server.outbound.transport import check_target
from modelyard.server.settings import Settings
from modelyard.server.teams.context import TeamContext
from modelyard.server.webhooks.attempts import release_hold, resume_deliveries, suspend_deliveries
from modelyard.server.webhooks.payloads import build_test_body
from modelyard.server.webhooks.publishing import DELIVERY_DUE, publish_team_events, publish_waiting_events
from modelyard.server.webhooks.sender import build_policy
from modelyard.server.webhooks.signing import create_secret, seal_secret
from modelyard.server.webhooks.tables import WebhookDeliveryRow, WebhookRow
from modelyard.wire import problems
from modelyard.wire.versions import Creator
from modelyard.wire.webhooks import (
    MAX_WEBHOOKS,
    SECRET_GRACE_HOURS,
    TEST_EVENT,
    CreatedWebhook,
    NewWebhook,
    RotatedSecret,
    Webhook,
    WebhookList,
    WebhookUpdate,
)

_OLDEST_FIRST = Order((WebhookRow.id,))


def parse_webhook_id(text: str) -> UUID:
    """Return the webhook id of a request path; raises ``WebhookNotFound`` if it is not a UUID."""
    return parse_uuid(text, _build_not_found())


def _build_not_found() -> problems.WebhookNotFound:
    """Build the problem for a webhook that does not exist or belongs to another team; both look the same."""
    return problems.WebhookNotFound("There is no such webhook.")


def check_url(settings: Settings, text: str) -> None:
    """Check that a webhook may have this address: it is resolved, and nothing is sent. May take seconds.

    A host without an address is accepted, since it may get one. Every address is checked again when a delivery is sent.

    Raises:
        InvalidRequest: the address may not be requested; the problem names the field ``url``.
    """
    try:
        check_target(build_policy(settings), parse_url(text), settings.egress_proxy)
    except AddressRefused as error:
        hint = "The operator lists hosts that may be reached in MODELYARD_WEBHOOK_HOSTS."
        message = f"{error} {hint}"
        raise problems.InvalidRequest(message, errors=[{"field": "url", "message": message}]) from None
    except OutboundError:
        return


def find_webhook(session: Session, team: TeamContext, webhook_id: UUID) -> WebhookRow:
    """Return a webhook of the team; raises ``WebhookNotFound``."""
    row = session.get(WebhookRow, webhook_id)
    if row is None or row.team_id != team.team_id:
        raise _build_not_found()
    return row


def create_webhook(
    database: Database, settings: Settings, cipher: SecretCipher | None, team: TeamContext, new: NewWebhook
) -> CreatedWebhook:
    """Create a webhook, and record that; it gets later events only. Return its secret, which no later response has.

    Deliveries of earlier events are made for the other webhooks first.

    Raises:
        InvalidRequest: see ``check_url``.
        WebhookLimitReached: the team has ``MAX_WEBHOOKS`` of them.
    """
    check_url(settings, new.url)
    creator, webhook_id, secret = team.creator, new_id(), create_secret()
    row = WebhookRow(
        id=webhook_id,
        team_id=team.team_id,
        **new.model_dump(),
        disabled_at=None if new.is_enabled else now(),
        secret=seal_secret(cipher, secret, webhook_id),
        creator_kind=creator.kind,
        creator_id=creator.id,
        creator_name=creator.name,
    )
    publish_waiting_events(database, team.team_id)
    with database.writing(team.team_id) as session:
        _check_count(session, team)
        publish_team_events(session, team.team_id)
        session.add(row)
        facts = {"display_name": new.display_name, "event_list": new.event_list, "is_enabled": new.is_enabled}
        audit.record(session, team.actor, team.team_id, "webhook.created", row.id, **facts)
    return CreatedWebhook(id=webhook_id, secret=secret)


def _check_count(session: Session, team: TeamContext) -> None:
    """Check that the team may have one more webhook; raises ``WebhookLimitReached``."""
    count = session.scalar(select(func.count()).where(WebhookRow.team_id == team.team_id)) or 0
    if count >= MAX_WEBHOOKS:
        raise problems.WebhookLimitReached(
            f"The team has {count} webhooks, and cannot have more. Delete unused webhooks.", limit=MAX_WEBHOOKS
        )


def list_webhooks(session: Session, team: TeamContext, page: Page) -> WebhookList:
    """Return one page of the team's webhooks, oldest first."""
    rows, meta = list_page(session, select(WebhookRow).where(WebhookRow.team_id == team.team_id), page, _OLDEST_FIRST)
    return WebhookList(webhook_list=[build_webhook(row[0]) for row in rows], page_meta=meta)


def build_webhook(row: WebhookRow) -> Webhook:
    """Build the API's view of a webhook, without its secrets."""
    is_rotating = row.previous_secret_until is not None and row.previous_secret_until > now()
    return Webhook(
        id=row.id,
        display_name=row.display_name,
        url=row.url,
        event_list=row.event_list,
        is_enabled=row.is_enabled,
        disabled_reason=row.disabled_reason,
        disabled_at=row.disabled_at,
        last_delivered_at=row.last_delivered_at,
        last_error=row.last_error,
        previous_secret_until=row.previous_secret_until if is_rotating else None,
        created_at=row.created_at,
        updated_at=row.updated_at,
        created_by=Creator(kind=row.creator_kind, id=row.creator_id, display_name=row.creator_name),
    )


def update_webhook(
    database: Database, settings: Settings, team: TeamContext, webhook_id: UUID, change: WebhookUpdate
) -> UUID:
    """Set the fields of a webhook that the request has, record a change, and return its id.

    Enabling one clears the reason for which the registry has disabled it, and its pending deliveries are due. Disabling
    one lets them wait. Earlier events are delivered by the fields before.

    Raises:
        WebhookNotFound: see ``find_webhook``.
        InvalidRequest: see ``check_url``.
    """
    sent = {name: getattr(change, name) for name in change.model_fields_set}
    if "url" in sent:
        with database.reading() as session:
            is_new_url = find_webhook(session, team, webhook_id).url != sent["url"]
        if is_new_url:
            check_url(settings, sent["url"])
    publish_waiting_events(database, team.team_id)
    with database.writing(team.team_id) as session:
        row = find_webhook(session, team, webhook_id)
        changed = {name: value for name, value in sent.items() if getattr(row, name) != value}
        if not changed:
            return row.id
        publish_team_events(session, team.team_id)
        for name, value in changed.items():
            setattr(row, name, value)
        row.updated_at = now()
        if "url" in changed:
            release_hold(row)
        if "is_enabled" in changed:
            _switch(session, row)
        # An address may have a secret in its path.
        facts = {name: value for name, value in changed.items() if name != "url"} | {"has_new_url": "url" in changed}
        facts |= {"display_name": row.display_name}
        audit.record(session, team.actor, team.team_id, "webhook.changed", row.id, **facts)
    return row.id


def _switch(session: Session, row: WebhookRow) -> None:
    """Let the deliveries of a webhook that was just enabled be sent, or those of one that was disabled wait."""
    row.disabled_reason = None
    row.disabled_at = None if row.is_enabled else row.updated_at
    if row.is_enabled:
        resume_deliveries(session, row, get_database_time(session))
        announce(session, DELIVERY_DUE)
    else:
        suspend_deliveries(session, row)


def delete_webhook(session: Session, team: TeamContext, webhook_id: UUID) -> None:
    """Delete a webhook with its deliveries, and record that; raises ``WebhookNotFound``."""
    row = find_webhook(session, team, webhook_id)
    session.execute(delete(WebhookRow).where(WebhookRow.id == row.id))
    audit.record(session, team.actor, team.team_id, "webhook.deleted", webhook_id, display_name=row.display_name)


def queue_test(session: Session, team: TeamContext, webhook_id: UUID) -> UUID:
    """Queue a test, which is sent once, also to a disabled webhook, and record that; return the id of its delivery.

    Raises:
        WebhookNotFound: see ``find_webhook``.
    """
    row = find_webhook(session, team, webhook_id)
    moment = get_database_time(session)
    delivery = WebhookDeliveryRow(
        id=new_id(),
        team_id=team.team_id,
        webhook_id=row.id,
        event_type=TEST_EVENT,
        body=build_test_body(row.id, team.team_id, moment),
        is_requested=True,
        next_attempt_at=moment,
        created_at=moment,
    )
    session.add(delivery)
    audit.record(session, team.actor, team.team_id, "webhook.tested", row.id, display_name=row.display_name)
    announce(session, DELIVERY_DUE)
    return delivery.id


def rotate_secret(session: Session, cipher: SecretCipher | None, team: TeamContext, webhook_id: UUID) -> RotatedSecret:
    """Give a webhook a new secret, and record that; the one before signs requests too for ``SECRET_GRACE_HOURS``.

    Of several rotations in that time, only the last two secrets sign.

    Raises:
        WebhookNotFound: see ``find_webhook``.
    """
    row = find_webhook(session, team, webhook_id)
    until = now() + timedelta(hours=SECRET_GRACE_HOURS)
    row.previous_secret, row.previous_secret_until = row.secret, until
    secret = create_secret()
    row.secret = seal_secret(cipher, secret, row.id)
    row.updated_at = now()
    audit.record(session, team.actor, team.team_id, "webhook.secret_rotated", row.id, display_name=row.display_name)
    return RotatedSecret(id=row.id, secret=secret, previous_secret_until=until)
