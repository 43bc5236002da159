"""Leases of deliveries: one worker sends a delivery at a time, by the database's clock."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, func, not_, or_, select, update
from sqlalchemy.orm import Session

from modelyard.server.database.base import new_id
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.engine import DELIVERY_LEASES
from modelyard.server.database.session import Database
from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.usage import UNLIMITED, Usage
from modelyard.server.teams.tables import TeamRow
from modelyard.server.webhooks.sender_share import SenderShare
from modelyard.server.webhooks.tables import WebhookDeliveryRow, WebhookRow

# An attempt takes 15 seconds, see ``SEND_LIMITS``, or as long as the system's resolver needs.
LEASE_LIFE = timedelta(minutes=2)
# The person that a delivery is charged to created its webhook, also with a device. The query joins the webhooks.
_person = WebhookRow.creator_id


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
    the longest time.
    """
    with database.reading() as session:
        if not share.order_accounts(_list_waiting(session, get_database_time(session)), Usage(UNLIMITED)):
            return None
    lease = new_id()
    # Leasing is serialised, since the limits count all leases.
    with database.writing(DELIVERY_LEASES) as session:
        moment = get_database_time(session)
        running, busy = _load_running(session, moment)
        for account in share.order_accounts(_list_waiting(session, moment), running):
            row = _lock_next(session, account, moment, busy)
            if row is not None:
                row.lease, row.leased_until = lease, moment + life
                # Counted now, so that attempts whose results are never recorded are seen.
                row.attempts += 1
                return LeasedDelivery(row, session.get_one(WebhookRow, row.webhook_id), lease, account)
    return None


def _load_running(session: Session, moment: datetime) -> tuple[Usage, list[UUID]]:
    """Return the deliveries that all processes send, by account, and their webhooks."""
    running, busy = Usage(UNLIMITED), []
    columns = WebhookDeliveryRow.webhook_id, _person, WebhookDeliveryRow.team_id
    query = select(*columns).join(WebhookRow, WebhookRow.id == WebhookDeliveryRow.webhook_id)
    for webhook_id, person, team_id in session.execute(query.where(_is_leased(moment))):
        running.add(Account(person, team_id))
        busy.append(webhook_id)
    return running, busy


def _list_waiting(session: Session, moment: datetime) -> list[Account]:
    """Return the accounts that have a due delivery, those with the oldest one first."""
    account = _person, WebhookDeliveryRow.team_id
    due = (
        select(*account)
        .join(WebhookRow, WebhookRow.id == WebhookDeliveryRow.webhook_id)
        .join(TeamRow, TeamRow.id == WebhookDeliveryRow.team_id)
        .where(_is_due(moment), TeamRow.deleted_at.is_(None))
        .group_by(*account)
        .order_by(func.min(WebhookDeliveryRow.next_attempt_at))
    )
    return [Account(*row) for row in session.execute(due)]


def _lock_next(session: Session, account: Account, moment: datetime, busy: list[UUID]) -> WebhookDeliveryRow | None:
    """Return an account's next delivery, locked; rows that another worker has locked are skipped."""
    is_of_account = WebhookDeliveryRow.team_id == account.team, _person == account.person
    due = (
        select(WebhookDeliveryRow)
        .join(WebhookRow, WebhookRow.id == WebhookDeliveryRow.webhook_id)
        .where(*is_of_account, _is_due(moment), WebhookDeliveryRow.webhook_id.not_in(busy))
    )
    order = (WebhookDeliveryRow.is_requested.desc(), WebhookDeliveryRow.next_attempt_at, WebhookDeliveryRow.id)
    locked = due.order_by(*order).limit(1).with_for_update(skip_locked=True, of=WebhookDeliveryRow)
    return session.scalar(locked)


def _is_due(moment: datetime) -> ColumnElement[bool]:
    """Build the SQL condition for pending deliveries whose time has come, and that no worker sends.

    Those of a webhook that is held are due only if they are requested. The query joins the webhooks.
    """
    is_free = or_(WebhookDeliveryRow.leased_until.is_(None), WebhookDeliveryRow.leased_until <= moment)
    is_pending = WebhookDeliveryRow.delivery_state == "pending"
    is_held = WebhookRow.held_until.is_not(None) & (WebhookRow.held_until > moment)
    return (
        is_pending
        & (WebhookDeliveryRow.next_attempt_at <= moment)
        & is_free
        & or_(not_(is_held), WebhookDeliveryRow.is_requested)
    )


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
