"""Teams with many models, inserted as rows without uploads, to test lists and searches quickly."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert

from modelyard.server.database.base import Row, new_id
from modelyard.server.database.session import Database, get_table
from modelyard.server.http.paging import Page
from modelyard.server.identity.authentication import Caller
from modelyard.server.models.listing.pages import ModelPage, list_models
from modelyard.server.models.tables import ModelRow, ModelTagRow, build_search_text
from modelyard.server.revisions import TeamTotalsRow
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.tables import TeamRow
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire.model_filter import ModelFilter
from modelyard.wire.teams import Role

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ModelSpec:
    """A model to insert; ``second`` is its time of creation in seconds after ``BEGAN``."""

    name: str
    second: int = 0
    tags: tuple[str, ...] = ()
    model_type: str = "loras"
    columns: dict[str, Any] = field(default_factory=dict)

    @property
    def searched(self) -> str:
        return build_search_text(self.name, "a", [*self.tags])


class TeamModels:
    """A new or existing team, to insert models into and to list them by calling the operation."""

    def __init__(self, database: Database, team_id: UUID | None = None) -> None:
        self.database = database
        self.team_id = team_id or new_id()
        self._blob_id = uuid4()
        caller = Caller("user", uuid4(), None, None, None, "write", "Ada Lovelace", None)
        self.team = TeamContext(caller, self.team_id, Role.OWNER)
        if team_id is None:
            self._insert_team()
        blob = {"id": self._blob_id, "team_id": self.team_id, "sha256": "0" * 64, "size": 1, "created_at": BEGAN}
        self._insert_rows(BlobRow, [blob | {"store_key": str(self._blob_id), "verification": "verified", "tries": 0}])

    def _insert_team(self) -> None:
        self._insert_rows(
            TeamRow, [{"id": self.team_id, "display_name": "Large", "pickle_policy": "block", "created_at": BEGAN}]
        )
        self._insert_rows(
            TeamTotalsRow, [{"team_id": self.team_id, "revision": 1, "living_models": 0, "stored_bytes": 0}]
        )

    def insert(self, models: Iterable[ModelSpec]) -> list[UUID]:
        """Insert models with their tags, and return their ids in the same order."""
        rows = [self._build_row(model) for model in models]
        self._insert_rows(ModelRow, rows)
        copied = ("team_id", "created_at")
        self._insert_rows(
            ModelTagRow,
            [
                {"model_id": row["id"], "tag": tag, "is_deleted": row["deleted_at"] is not None}
                | {name: row[name] for name in copied}
                for row in rows
                for tag in row["tags"]
            ],
        )
        return [row["id"] for row in rows]

    def list_page(self, page: Page, **filters: Any) -> ModelPage:
        """Return a page of the models that match the filters."""
        with self.database.reading() as session:
            return list_models(session, self.team, ModelFilter(**filters), page)

    def list_names(self, **filters: Any) -> list[str]:
        """Return the names of all models that match the filters, read by cursor in pages of three."""
        names: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = self.list_page(Page(1, 3, cursor), **filters)
            names += [model.display_name for model in page.models]
            cursor = page.meta.next_cursor
        return names

    def _insert_rows(self, table: type[Row], rows: list[dict[str, Any]]) -> None:
        if rows:
            with self.database.writing(self.team_id) as session:
                session.connection().execute(insert(get_table(table)), rows)

    def _build_row(self, model: ModelSpec) -> dict[str, Any]:
        created_at = BEGAN + timedelta(seconds=model.second)
        return {
            "id": new_id(),
            "team_id": self.team_id,
            "display_name": model.name,
            "model_type": model.model_type,
            "canonical_type": model.model_type,
            "model_path": "a",
            "path_key": str(uuid4()),
            "storage_key": "a",
            "blob_id": self._blob_id,
            "file_size": 1 + model.second * 7919 % 1000,
            "file_hash": "sha256:" + "0" * 64,
            "model_status": "active",
            "verification": "verified",
            "creator_kind": "user",
            "creator_name": "Ada Lovelace",
            "tags": [*model.tags],
            "required_labels": [],
            "facts": {},
            "searched": model.searched,
            "current_version": 1,
            "etag_counter": 1,
            "created_at": created_at,
            "updated_at": created_at,
            "deleted_at": None,
        } | model.columns
