"""Teams with models that nobody uploaded: rows alone, for lists that are longer than uploads would be quick."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert

from modelyard.server.changes import TeamTotalsRow
from modelyard.server.database.base import Row, new_id
from modelyard.server.database.session import Database, table_of
from modelyard.server.identity.bearer import Caller
from modelyard.server.models.listing.filters import ModelFilter
from modelyard.server.models.listing.pages import Listed, list_models
from modelyard.server.models.tables import ModelRow, ModelTagRow, searched_text
from modelyard.server.paging import Page
from modelyard.server.teams.acting import Acting
from modelyard.server.teams.tables import TeamRow
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire.teams import Role

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Kept:
    """A model of a shelf; ``second`` is when it was made."""

    name: str
    second: int = 0
    tags: tuple[str, ...] = ()
    model_type: str = "loras"
    columns: dict[str, Any] = field(default_factory=dict)

    @property
    def searched(self) -> str:
        return searched_text(self.name, "a", [*self.tags])


class Shelf:
    """A fresh team, and its lists as an operation gives them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.team_id = new_id()
        self._blob_id = uuid4()
        caller = Caller("user", uuid4(), None, None, None, "write", "Ada Lovelace", None)
        self.acting = Acting(caller, self.team_id, Role.OWNER)
        self._add(
            TeamRow, [{"id": self.team_id, "display_name": "Shelf", "pickle_policy": "block", "created_at": BEGAN}]
        )
        self._add(TeamTotalsRow, [{"team_id": self.team_id, "revision": 1, "living_models": 0, "stored_bytes": 0}])
        blob = {"id": self._blob_id, "team_id": self.team_id, "sha256": "0" * 64, "size": 1, "created_at": BEGAN}
        self._add(BlobRow, [blob | {"store_key": str(self._blob_id), "verification": "verified", "tries": 0}])

    def put(self, models: Iterable[Kept]) -> list[UUID]:
        """Their ids, in the order of what was given."""
        rows = [self._row(model) for model in models]
        self._add(ModelRow, rows)
        known = ("team_id", "created_at")
        self._add(
            ModelTagRow,
            [
                {"model_id": row["id"], "tag": tag, "is_deleted": row["deleted_at"] is not None}
                | {name: row[name] for name in known}
                for row in rows
                for tag in row["tags"]
            ],
        )
        return [row["id"] for row in rows]

    def listed(self, page: Page, **asked: Any) -> Listed:
        with self.database.reading() as session:
            return list_models(session, self.acting, ModelFilter(**asked), page)

    def names(self, **asked: Any) -> list[str]:
        """All that are found, read by a cursor in pages of three."""
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            listed = self.listed(Page(1, 3, cursor), **asked)
            found += [model.display_name for model in listed.models]
            cursor = listed.meta.next_cursor
        return found

    def _add(self, kind: type[Row], rows: list[dict[str, Any]]) -> None:
        if rows:
            with self.database.writing(self.team_id) as session:
                session.connection().execute(insert(table_of(kind)), rows)

    def _row(self, model: Kept) -> dict[str, Any]:
        made = BEGAN + timedelta(seconds=model.second)
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
            "version": 1,
            "created_at": made,
            "updated_at": made,
            "deleted_at": None,
        } | model.columns
