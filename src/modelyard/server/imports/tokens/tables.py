"""The table of tokens of sources."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import Row, now


class SourceTokenRow(Row):
    """The token that a team sends to a host, encrypted for this team and host."""

    __tablename__ = "source_tokens"

    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), primary_key=True)
    host: Mapped[str] = mapped_column(primary_key=True)  # in lower case, with its port unless that is 443
    encrypted_token: Mapped[str]
    creator_kind: Mapped[str]
    creator_id: Mapped[UUID | None]
    creator_name: Mapped[str]
    set_at: Mapped[datetime] = mapped_column(default=now)
