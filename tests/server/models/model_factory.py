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
from modelyard.server.identity.tables import CredentialRow
from modelyard.server.models.listing.pages import ModelPage, list_models
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.search_text import build_search_text
from modelyard.server.models.tables import ModelRow, ModelTagRow, ModelVersionRow
from modelyard.server.revisions import TeamTotalsRow
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.tables import TeamRow
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire.model_filter import ModelFilter
from modelyard.wire.people.roles import Role

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ModelSpec:
    """A model to insert; ``second`` is its time of creation in seconds after ``BEGAN``."""

    name: str
    second: int = 0
    tags: tuple[str, ...] = ()
    model_type: str = "loras"
    columns: dict[str, Any] = field(default_factory=dict)


class TeamModels:
    """A new or existing team, to insert models into and to list them by calling the operation."""

    def __init__(self, database: Database, team_id: UUID | None = None) -> None:
        self.database = database
        self.team_id = team_id or new_id()
        caller = Caller("user", uuid4(), None, None, None, "write", "Ada Lovelace", None)
        self.team = TeamContext(caller, self.team_id, Role.OWNER)
        if team_id is None:
            self._insert_team()
        self._blob_id = self.insert_blob()

    def insert_blob(self, **columns: Any) -> UUID:
        """Insert a verified blob with these hashes, and return its id."""
        [blob_id] = self.insert_blobs([columns])
        return blob_id

    def insert_blobs(self, blobs: Iterable[dict[str, Any]]) -> list[UUID]:
        """Insert verified blobs with these columns, the same of all, and return their ids."""
        rows = [build_blob_row(self.team_id, **columns) for columns in blobs]
        self._insert_rows(BlobRow, rows)
        return [row["id"] for row in rows]

    def _insert_team(self) -> None:
        self._insert_rows(TeamRow, [build_team_row(self.team_id)])
        self._insert_rows(TeamTotalsRow, [build_totals_row(self.team_id)])

    def insert(self, models: Iterable[ModelSpec]) -> list[UUID]:
        """Insert models with their tags, and return their ids in the same order."""
        return [row["id"] for row in self.insert_rows(models)]

    def insert_rows(self, models: Iterable[ModelSpec]) -> list[dict[str, Any]]:
        """Insert models with their tags, and return their column values in the same order."""
        rows = [build_model_row(self.team_id, self._blob_id, model) for model in models]
        self._insert_rows(ModelRow, rows)
        self._insert_rows(ModelVersionRow, [build_version_row(row) for row in rows])
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
        return rows

    def insert_versions(self, model: ModelSpec, blob_ids: Iterable[UUID]) -> UUID:
        """Insert a model with further versions, one of each blob, and return its id; its own version is number 1."""
        [row] = self.insert_rows([model])
        versions = [build_version_row(row, number, blob_id=blob_id) for number, blob_id in enumerate(blob_ids, 2)]
        self._insert_rows(ModelVersionRow, versions)
        model_id: UUID = row["id"]
        return model_id

    def insert_machines(self, count: int, label_set: str) -> TeamContext:
        """Insert machines with these labels that use one new key, and return the context of this key."""
        key_id = new_id()
        key = {"kind": "agent", "display_name": "farm", "key_prefix": "ak-", "key_hash": str(key_id), "access": "read"}
        self._insert_rows(CredentialRow, [key | {"id": key_id, "team_id": self.team_id}])
        self._insert_rows(AgentRow, [build_agent_row(self.team_id, key_id, label_set) for _ in range(count)])
        caller = Caller("agent", None, key_id, None, self.team_id, "read", "farm", None)
        return TeamContext(caller, self.team_id, None)

    def list_page(self, page: Page, **filters: Any) -> ModelPage:
        """Return a page of the models that match the filters, newest first unless they have another ``sort``."""
        with self.database.reading() as session:
            return list_models(session, self.team, ModelFilter(**{"sort": "-created_at"} | filters), page)

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


def build_team_row(team_id: UUID, **columns: Any) -> dict[str, Any]:
    """Return the row of a team."""
    return {"id": team_id, "display_name": "Large", "pickle_policy": "block", "created_at": BEGAN} | columns


def build_totals_row(team_id: UUID) -> dict[str, Any]:
    """Return the row of the totals of a team that has nothing yet."""
    return {"team_id": team_id, "revision": 1, "living_models": 0, "stored_bytes": 0}


def build_agent_row(team_id: UUID, credential_id: UUID, label_set: str) -> dict[str, Any]:
    """Return the row of an idle machine."""
    texts = dict.fromkeys(("agent_version", "platform_arch"), "") | {"agent_status": "idle", "sync_phase": "idle"}
    numbers = dict.fromkeys(("bytes_held", "removal_waiting"), 0)
    known = {"team_id": team_id, "credential_id": credential_id, "agent_id": str(uuid4()), "label_set": label_set}
    return {**texts, **numbers, **known, "last_heartbeat": BEGAN}


def build_blob_row(team_id: UUID, **columns: Any) -> dict[str, Any]:
    """Return the row of a verified blob."""
    blob_id = uuid4()
    row = {
        "id": blob_id,
        "team_id": team_id,
        "sha256": "0" * 64,
        "size": 1,
        "store_key": str(blob_id),
        "verification": "verified",
        "verified_at": BEGAN,
        "tries": 0,
        "created_at": BEGAN,
    }
    return row | columns


def build_model_row(team_id: UUID, blob_id: UUID, model: ModelSpec) -> dict[str, Any]:
    """Return the row of a model of a team whose content is a blob."""
    created_at = BEGAN + timedelta(seconds=model.second)
    row = {
        "id": new_id(),
        "team_id": team_id,
        "display_name": model.name,
        "model_type": model.model_type,
        "canonical_type": model.model_type,
        "model_path": "a",
        "path_key": str(uuid4()),
        "storage_key": "a",
        "blob_id": blob_id,
        "file_size": 1 + model.second * 7919 % 1000,
        "file_hash": "sha256:" + "0" * 64,
        "model_status": "active",
        "verification": "verified",
        "creator_kind": "user",
        "creator_name": "Ada Lovelace",
        "tags": [*model.tags],
        "required_labels": [],
        "facts": {},
        "current_version": 1,
        "etag_counter": 1,
        "created_at": created_at,
        "updated_at": created_at,
        "deleted_at": None,
    } | model.columns
    return row | {"searched": build_search_text(row)}


def build_version_row(model: dict[str, Any], number: int = 1, **columns: Any) -> dict[str, Any]:
    """Return the row of a version with the model's content."""
    copied = ("storage_key", "blob_id", "file_size", "file_hash", "facts", "verification", "created_at")
    row = {name: model[name] for name in (*copied, "team_id", "creator_kind", "creator_name")}
    mark = {"is_model_deleted": model["deleted_at"] is not None}
    return row | mark | {"model_id": model["id"], "number": number} | columns
