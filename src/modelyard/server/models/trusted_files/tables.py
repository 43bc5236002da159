"""The table of trusted files."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import SORTED_TEXT, Row, now


class TrustedFileRow(Row):
    """A content that an admin has allowed: the reason, who, and the scan's findings, as of then."""

    __tablename__ = "trusted_files"

    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), primary_key=True)
    sha256: Mapped[str] = mapped_column(SORTED_TEXT, primary_key=True)
    reason: Mapped[str]
    findings: Mapped[dict[str, Any]]  # ``wire.pickles.trusted_files.ScanFindings`` in JSON
    creator_kind: Mapped[str]
    creator_id: Mapped[UUID | None]
    creator_name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
