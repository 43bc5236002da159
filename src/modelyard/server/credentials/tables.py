"""The table of open pairings. The keys themselves are rows of ``identity``."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, false
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import Row, new_id, now


class PairingRow(Row):
    """A pairing of a device or an agent. ``team_id`` and ``user_id`` are set when a user confirms it.

    ``key_seed`` is set when the keys are issued: with the device code, which is not stored, it gives them again.
    ``is_for_agent``: only a machine's key is issued, and ``device_name`` is the machine's, unless it was invented.
    ``agent_id``: the name that the machine will have without another one from the confirmation, if it said so.
    """

    __tablename__ = "pairings"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    device_code_hash: Mapped[str] = mapped_column(unique=True)
    user_code: Mapped[str] = mapped_column(unique=True)
    address: Mapped[str] = mapped_column(index=True)
    device_name: Mapped[str | None]
    is_for_agent: Mapped[bool] = mapped_column(default=False, server_default=false())
    agent_id: Mapped[str | None]
    team_id: Mapped[UUID | None] = mapped_column(ForeignKey("teams.id"))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    key_seed: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime] = mapped_column(index=True)
