"""A team that leaves garbage behind, and runs of garbage collection without a grace time."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, update

from modelyard.server.database.base import Row, now
from modelyard.server.garbage.collection import collect_garbage
from modelyard.server.garbage.run_state import CollectionResult, RunOptions
from modelyard.server.models.tables import ModelRow
from modelyard.server.previews.tables import PreviewRow
from modelyard.server.storage.blob_store import BlobStore
from modelyard.server.uploads.tables import BlobRow, DiscardedRow, UploadRow
from tests.server.harness import Harness, make_model_file

NO_GRACE = timedelta(0)


class GarbageTeam:
    """A new team of a registry, with helpers that leave garbage behind and collect it."""

    def __init__(self, registry: Harness) -> None:
        self.registry = registry
        self.resources = registry.resources
        self.owner = registry.create_team()
        self.team_id = str(self.owner.team_id)

    def collect(self, *, store: BlobStore | None = None, **options: Any) -> CollectionResult:
        """Run garbage collection without a grace time, unless ``options`` set one."""
        parts = self.resources
        run_options = replace(RunOptions(NO_GRACE), **options)
        return collect_garbage(parts.database, store or parts.store, parts.settings, run_options)

    def list_objects(self) -> set[str]:
        """Return the store's objects of this team by key, and its multipart uploads by key and upload id."""
        store, soon = self.resources.store, now() + timedelta(minutes=1)
        names = {stored.key for stored in store.list_keys("")}
        names |= {f"{upload.key} {upload.upload}" for upload in store.list_open_uploads(soon)}
        return {name for name in names if self.team_id in name}

    def register_and_delete(self, word: str) -> bytes:
        """Register a model and delete it; return its content."""
        content = make_model_file(word)
        model_id = self.owner.register(content, f"loras/{word}.safetensors")
        self.owner.delete(f"/models/{model_id}")
        return content

    def begin_multipart(self, word: str) -> tuple[bytes, dict[str, str]]:
        """Begin a multipart upload; return its content, and its storage key and upload id."""
        content = make_model_file(word)
        key = self.owner.presign(content).json()["storage_key"]
        initiated = self.owner.post("/uploads/multipart/initiate", storage_key=key, file_size=len(content)).json()
        return content, {"storage_key": key, "upload_id": initiated["upload_id"]}

    def upload_part(self, content: bytes, ids: dict[str, str]) -> Any:
        """Upload the only part of a multipart upload, and return the response."""
        [ticket] = self.owner.post("/uploads/multipart/presign", **ids, part_numbers=[1]).json()["part_list"]
        return self.registry.client.put(ticket["upload_url"], content=content, headers=ticket["upload_headers"])

    def age_uploads(self, days: float = 8) -> None:
        """Set the time of last use of the team's uploads to so many days ago."""
        self._change(UploadRow, touched_at=now() - timedelta(days=days))

    def delete_rows(self, table: type[Row]) -> None:
        """Delete the rows of the team, as if an older copy of the database was restored."""
        with self.resources.database.writing(UUID(self.team_id)) as session:
            session.execute(delete(table).where(table.__table__.c.team_id == UUID(self.team_id)))

    def clear(self) -> None:
        """Delete all rows and objects of the team."""
        for table in (ModelRow, UploadRow, BlobRow, PreviewRow, DiscardedRow):
            self.delete_rows(table)
        store = self.resources.store
        for name in self.list_objects():
            key, _, upload = name.partition(" ")
            store.abort_multipart(key, upload) if upload else store.delete(key)

    def _change(self, table: type[Row], **values: Any) -> None:
        with self.resources.database.writing(UUID(self.team_id)) as session:
            session.execute(update(table).where(table.__table__.c.team_id == UUID(self.team_id)).values(values))


def build_new_key(team_id: str, purpose: str = "models") -> str:
    """Return a new storage key of the team."""
    return f"{purpose}/{team_id}/{uuid4()}"
