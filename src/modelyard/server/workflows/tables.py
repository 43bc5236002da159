"""The table of loader nodes that machines report."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import Row
from modelyard.server.models.replicas.tables import NUMBER


class ReportedLoaderRow(Row):
    """An input of a node of a machine's ComfyUI that names a model of ``folder``, as the machine reported it last."""

    __tablename__ = "reported_loaders"
    __table_args__ = (
        Index("ix_reported_loaders_team_id", "team_id", "node_type"),
        {"sqlite_with_rowid": False},
    )

    agent_number: Mapped[int] = mapped_column(
        NUMBER, ForeignKey("agents.number", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    node_type: Mapped[str] = mapped_column(primary_key=True)
    input: Mapped[str] = mapped_column(primary_key=True)
    folder: Mapped[str]
    team_id: Mapped[UUID]
