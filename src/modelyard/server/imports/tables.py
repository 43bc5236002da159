"""The table of imports."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, false, text
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import Row, new_id, now

WAITING = text("import_state IN ('queued', 'running')")
HELD = text("held_until IS NOT NULL")


class ImportRow(Row):
    """An import: what was confirmed, its upload, and how far it is. ``import_state`` is one of ``ImportState``."""

    __tablename__ = "imports"
    __table_args__ = (
        Index("ix_imports_team_id_id", "team_id", "id"),
        Index("ix_imports_finished_at", "finished_at"),
        Index("ix_imports_held_until", "held_until", sqlite_where=HELD, postgresql_where=HELD),
        Index("ix_imports_waiting", "team_id", "tries", "id", sqlite_where=WAITING, postgresql_where=WAITING),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    import_state: Mapped[str] = mapped_column(default="queued")
    url: Mapped[str]
    host: Mapped[str]  # of the url: requests to one host are limited; of a conversion, `model:` and the team
    request: Mapped[dict[str, Any]]  # the confirmed draft, as ``NewImport`` in JSON
    storage_key: Mapped[str]  # of its upload, which reserves the quota
    file_size: Mapped[int]
    file_hash: Mapped[str | None]
    # Of a conversion: its source, ``wire.pickles.conversions.DerivedFrom`` in JSON.
    derived_from: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    # A read started it: an existing model that has the content keeps its record.
    keeps_record: Mapped[bool] = mapped_column(default=False, server_default=false())
    etag: Mapped[str | None]  # strong, of the content that the stored parts are of
    bytes_done: Mapped[int] = mapped_column(default=0)
    # No hash is declared, and only the ETag says that the ranges of the download are of one content.
    relies_on_etag: Mapped[bool] = mapped_column(default=False, server_default=false())
    model_id: Mapped[UUID | None]
    error: Mapped[str | None]  # of the last try, in words
    error_code: Mapped[str | None]
    creator_kind: Mapped[str]
    creator_id: Mapped[UUID | None]
    creator_name: Mapped[str]
    credential_id: Mapped[UUID | None]  # the key that started it, if it was a key
    person_id: Mapped[UUID | None]  # ``Caller.person_id`` of who started it
    lease: Mapped[UUID | None]  # the run that may record its result; a new id each time
    leased_until: Mapped[datetime | None]  # without a lease: not to be tried before
    held_until: Mapped[datetime | None]  # its host limits requests: no import asks it before
    tries: Mapped[int] = mapped_column(default=0)  # in a row that brought no bytes
    created_at: Mapped[datetime] = mapped_column(default=now)
    finished_at: Mapped[datetime | None]


class SourceCheckRunRow(Row):
    """The last check of all models of a team for newer versions; ``check_state`` is one of ``SourceCheckState``."""

    __tablename__ = "source_check_runs"

    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), primary_key=True)
    id: Mapped[UUID] = mapped_column(default=new_id)  # a new one for each check
    check_state: Mapped[str] = mapped_column(default="running")
    model_count: Mapped[int]
    checked_count: Mapped[int] = mapped_column(default=0)
    newer_count: Mapped[int] = mapped_column(default=0)
    failure_count: Mapped[int] = mapped_column(default=0)
    failures: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)  # ``FailedSourceCheck``, the first ones
    last_model_id: Mapped[UUID | None]  # models are checked in the order of their ids
    tries: Mapped[int] = mapped_column(default=0)  # requests in a row for the next model
    # By host: ``tries``, requests in a row that it has not answered, ``error`` of the last, and when to ask it again.
    host_failures: Mapped[dict[str, dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))  # None for none
    due_at: Mapped[datetime | None]  # not to be continued before
    error: Mapped[str | None]  # why it has ended early
    creator_kind: Mapped[str]
    creator_id: Mapped[UUID | None]
    creator_name: Mapped[str]
    credential_id: Mapped[UUID | None]  # the key that started it, if it was a key
    created_at: Mapped[datetime] = mapped_column(default=now)
    asked_at: Mapped[datetime] = mapped_column(default=now)  # teams take turns by it
    finished_at: Mapped[datetime | None]
