"""Leases of deliveries: one worker sends a delivery at a time, by the database's clock."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, false, not_, or_, select, true, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from modelyard.server.database.base import new_id
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.engine import DELIVERY_LEASES
from modelyard.server.database.session import Database
from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.usage import UNLIMITED, Usage
from modelyard.server.teams.tables import TeamRow
from modelyard.server.webhooks.sender_share import MAX_PER_TEAM, SenderShare
from modelyard.server.webhooks.tables import PENDING, WebhookDeliveryRow, WebhookRow

# An attempt takes 15 seconds, see ``SEND_LIMITS``, or as long as the system's resolver needs.
LEASE_LIFE = timedelta(minutes=2)
# Another worker may lease the chosen delivery first, each time.
MAX_TRIES = 20
# Whether its next delivery is requested, since when that is due, and the webhook.
_DueWebhook = tuple[bool, datetime, UUID]
Column = TypeVar("Column")


@dataclass(frozen=True)
class LeasedDelivery:
    """A delivery whose result this attempt may record, and its webhook."""

    row: WebhookDeliveryRow
    webhook: WebhookRow
    lease: UUID
    account: Account


def lease_next_delivery(database: Database, share: SenderShare, life: timedelta = LEASE_LIFE) -> LeasedDelivery | None:
    """Lease the next delivery; None if none is due, or those that are wait for others of their account or webhook.

    ``share`` orders the accounts; within one, deliveries that are requested come first, then the one that is due for
    the longest time. It is chosen before the writer is taken; if another worker was quicker, again.
    """
    for _ in range(MAX_TRIES):
        with database.reading() as session:
            chosen = _choose(session, share)
        if chosen is None:
            return None
        leased = _lease(database, *chosen, life)
        if leased is not None:
            return leased
    return None


def _choose(session: Session, share: SenderShare) -> tuple[Account, UUID] | None:
    """Return the next delivery, and the account that it is charged to; None if none may be sent."""
    moment = get_database_time(session)
    running, busy = _load_running(session, moment)
    webhooks = _list_due_webhooks(session, moment, busy)
    accounts = share.order_accounts(list(webhooks), running)
    if not accounts:
        return None
    is_requested, _, webhook_id = min(webhooks[accounts[0]], key=lambda each: (not each[0], each[1], each[2]))
    delivery_id = session.scalar(_select_next(WebhookDeliveryRow.id, webhook_id, moment, is_requested=is_requested))
    return None if delivery_id is None else (accounts[0], delivery_id)


def _lease(database: Database, account: Account, delivery_id: UUID, life: timedelta) -> LeasedDelivery | None:
    """Lease a delivery and count an attempt; None if it was sent or changed since, or its team or webhook is busy."""
    lease = new_id()
    # Leasing is serialised, since the limits count all leases.
    with database.writing(DELIVERY_LEASES) as session:
        moment = get_database_time(session)
        running, busy = _load_running(session, moment)
        if running.teams.get(account.team, 0) >= MAX_PER_TEAM:
            return None
        due = (
            select(WebhookDeliveryRow)
            .join(WebhookRow, WebhookRow.id == WebhookDeliveryRow.webhook_id)
            .join(TeamRow, TeamRow.id == WebhookDeliveryRow.team_id)
            .where(
                TeamRow.deleted_at.is_(None),
                WebhookDeliveryRow.id == delivery_id,
                _is_due(moment),
                WebhookDeliveryRow.webhook_id.not_in(busy),
            )
        )
        row = session.scalar(due.with_for_update(skip_locked=True, of=WebhookDeliveryRow))
        if row is None:
            return None
        row.lease, row.leased_until = lease, moment + life
        # Counted now, so that attempts whose results are never recorded are seen.
        row.attempts += 1
        return LeasedDelivery(row, session.get_one(WebhookRow, row.webhook_id), lease, account)


def _load_running(session: Session, moment: datetime) -> tuple[Usage, list[UUID]]:
    """Return the deliveries that all processes send, by account, and their webhooks."""
    running, busy = Usage(UNLIMITED), []
    columns = WebhookDeliveryRow.webhook_id, WebhookRow.creator_id, WebhookDeliveryRow.team_id
    query = select(*columns).join(WebhookRow, WebhookRow.id == WebhookDeliveryRow.webhook_id)
    for webhook_id, person, team_id in session.execute(query.where(_is_leased(moment))):
        running.add(Account(person, team_id))
        busy.append(webhook_id)
    return running, busy


def _list_due_webhooks(session: Session, moment: datetime, busy: list[UUID]) -> dict[Account, list[_DueWebhook]]:
    """Return the webhooks that have a due delivery and send none, by account: that of the user who created them.

    With an index, one look at each webhook, however many deliveries wait.
    """
    if session.scalar(select(WebhookDeliveryRow.id).where(PENDING, _is_time(moment)).limit(1)) is None:
        return {}
    requested, other = (
        _select_next(WebhookDeliveryRow.next_attempt_at, WebhookRow.id, moment, is_requested=is_requested)
        .correlate(WebhookRow)
        .scalar_subquery()
        for is_requested in (True, False)
    )
    unless_held = case((_is_held(moment), None), else_=other)
    query = (
        select(WebhookRow.creator_id, WebhookRow.team_id, WebhookRow.id, requested, unless_held)
        .join(TeamRow, TeamRow.id == WebhookRow.team_id)
        .where(TeamRow.deleted_at.is_(None), WebhookRow.id.not_in(busy))
        .order_by(WebhookRow.id)
    )
    found = defaultdict[Account, list[_DueWebhook]](list)
    for person, team_id, webhook_id, requested_since, other_since in session.execute(query):
        if requested_since is not None or other_since is not None:
            due = requested_since is not None, requested_since or other_since, webhook_id
            found[Account(person, team_id)].append(due)
    return found


def _select_next(
    column: InstrumentedAttribute[Column],
    webhook: UUID | InstrumentedAttribute[UUID],
    moment: datetime,
    *,
    is_requested: bool,
) -> Select[Column]:
    """Build the query for a column of the delivery of a webhook that is due for the longest time."""
    is_of_webhook = WebhookDeliveryRow.webhook_id == webhook, PENDING, _is_time(moment)
    kind = WebhookDeliveryRow.is_requested == (true() if is_requested else false())
    order = WebhookDeliveryRow.next_attempt_at, WebhookDeliveryRow.id
    return select(column).where(*is_of_webhook, kind).order_by(*order).limit(1)


def _is_due(moment: datetime) -> ColumnElement[bool]:
    """Build the SQL condition for pending deliveries whose time has come, and that no worker sends.

    Those of a webhook that is held are due only if they are requested. The query joins the webhooks.
    """
    is_free = or_(WebhookDeliveryRow.leased_until.is_(None), WebhookDeliveryRow.leased_until <= moment)
    is_awaited = or_(not_(_is_held(moment)), WebhookDeliveryRow.is_requested)
    return and_(WebhookDeliveryRow.delivery_state == "pending", _is_time(moment), is_free, is_awaited)


def _is_time(moment: datetime) -> ColumnElement[bool]:
    """Build the SQL condition for deliveries whose time has come."""
    return WebhookDeliveryRow.next_attempt_at <= moment


def _is_held(moment: datetime) -> ColumnElement[bool]:
    """Build the SQL condition for webhooks whose deliveries wait after a failure."""
    return WebhookRow.held_until.is_not(None) & (WebhookRow.held_until > moment)


def _is_leased(moment: datetime) -> ColumnElement[bool]:
    """Build the SQL condition for deliveries that a worker sends."""
    return WebhookDeliveryRow.lease.is_not(None) & (WebhookDeliveryRow.leased_until > moment)


def release_delivery(database: Database, leased: LeasedDelivery) -> None:
    """Release the lease of a delivery that was not sent, so that any worker can send it at once."""
    own = (WebhookDeliveryRow.id == leased.row.id) & (WebhookDeliveryRow.lease == leased.lease)
    with database.writing(leased.row.team_id) as session:
        values = {"lease": None, "leased_until": None, "attempts": WebhookDeliveryRow.attempts - 1}
        session.execute(
            update(WebhookDeliveryRow).where(own).values(values).execution_options(synchronize_session=False)
        )
