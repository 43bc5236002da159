"""Tables of webhooks and their deliveries."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import Row, new_id, now

PENDING = text("delivery_state = 'pending'")
LEASED = text("lease IS NOT NULL")


class WebhookRow(Row):
    """A webhook of a team. ``disabled_reason`` is set by the registry only."""

    __tablename__ = "webhooks"
    __table_args__ = (Index("ix_webhooks_team_id_id", "team_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    display_name: Mapped[str]
    url: Mapped[str]
    event_list: Mapped[list[str]]
    is_enabled: Mapped[bool]
    disabled_reason: Mapped[str | None]
    disabled_at: Mapped[datetime | None]
    secret: Mapped[str]
    # Signs too until its time is over.
    previous_secret: Mapped[str | None]
    previous_secret_until: Mapped[datetime | None]
    last_delivered_at: Mapped[datetime | None]
    last_error: Mapped[str | None]
    # The first failure since a delivery last arrived; and until when no further one is sent, unless it is requested.
    failing_since: Mapped[datetime | None]
    held_until: Mapped[datetime | None]
    creator_kind: Mapped[str]
    creator_id: Mapped[UUID | None]
    creator_name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)


class WebhookDeliveryRow(Row):
    """An event for a webhook, whose body is the same in all attempts. ``delivery_state`` is a ``DeliveryState``."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("webhook_id", "event_id"),
        Index("ix_webhook_deliveries_webhook_id_id", "webhook_id", "id"),
        Index(
            "ix_webhook_deliveries_pending",
            "next_attempt_at",
            "team_id",
            "id",
            sqlite_where=PENDING,
            postgresql_where=PENDING,
        ),
        Index(
            "ix_webhook_deliveries_next",
            "webhook_id",
            "is_requested",
            "next_attempt_at",
            "id",
            sqlite_where=PENDING,
            postgresql_where=PENDING,
        ),
        Index("ix_webhook_deliveries_leased", "leased_until", sqlite_where=LEASED, postgresql_where=LEASED),
        Index("ix_webhook_deliveries_created_at", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    webhook_id: Mapped[UUID] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event_id: Mapped[UUID | None]
    event_type: Mapped[str]
    body: Mapped[str]
    delivery_state: Mapped[str] = mapped_column(default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    # Failed ones in a row, by which the schedule goes; sending a delivery again begins anew.
    tries: Mapped[int] = mapped_column(default=0)
    # A person wants its next attempt now: a test, or one that is sent again.
    is_requested: Mapped[bool] = mapped_column(default=False, server_default=false())
    # None while the webhook is disabled.
    next_attempt_at: Mapped[datetime | None]
    lease: Mapped[UUID | None]  # the attempt that may record its result; a new id each time
    leased_until: Mapped[datetime | None]
    response_status: Mapped[int | None]
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    attempted_at: Mapped[datetime | None]
