"""A team that makes litter, and rounds of clean-up that know no grace time."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, update

from modelyard.server.cleanup.collecting import collect_garbage
from modelyard.server.cleanup.rounds import Collected, Plan
from modelyard.server.database.base import Row, now
from modelyard.server.models.tables import ModelRow
from modelyard.server.storage.blob_store import BlobStore
from modelyard.server.uploads.tables import BlobRow, DiscardedRow, UploadRow
from tests.server.world import World, a_model_file

NO_GRACE = timedelta(0)


class Litter:
    """A fresh team."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.parts = world.parts
        self.owner = world.new_team()
        self.team_id = str(self.owner.team_id)

    def clean(self, *, store: BlobStore | None = None, **how: Any) -> Collected:
        parts = self.parts
        plan = replace(Plan(NO_GRACE), **how)
        return collect_garbage(parts.database, store or parts.store, parts.settings, plan)

    def held(self) -> set[str]:
        """Everything that the store has of this team: objects, and uploads in parts."""
        store, soon = self.parts.store, now() + timedelta(minutes=1)
        held = {stored.key for stored in store.keys("")}
        held |= {f"{begun.key} {begun.upload}" for begun in store.open_uploads(soon)}
        return {one for one in held if self.team_id in one}

    def drop_model(self, word: str) -> bytes:
        """Register a model and delete it; its bytes."""
        content = a_model_file(word)
        model_id = self.owner.register(content, f"loras/{word}.safetensors")
        self.owner.delete(f"/models/{model_id}")
        return content

    def begin_parts(self, word: str) -> tuple[bytes, dict[str, str]]:
        """Begin an upload in parts and leave it; its bytes, and its two names."""
        content = a_model_file(word)
        key = self.owner.presign(content).json()["storage_key"]
        begun = self.owner.post("/uploads/multipart/initiate", storage_key=key, file_size=len(content)).json()
        return content, {"storage_key": key, "upload_id": begun["upload_id"]}

    def send_part(self, content: bytes, named: dict[str, str]) -> Any:
        """The answer to the one part of an upload."""
        [ticket] = self.owner.post("/uploads/multipart/presign", **named, part_numbers=[1]).json()["part_list"]
        return self.world.client.put(ticket["upload_url"], content=content, headers=ticket["upload_headers"])

    def age_uploads(self, days: float = 8) -> None:
        """Let nobody have touched the team's uploads for so long."""
        self._change(UploadRow, touched_at=now() - timedelta(days=days))

    def forget(self, table: type[Row]) -> None:
        """Lose rows, as an older copy of a database has."""
        with self.parts.database.writing() as session:
            session.execute(delete(table).where(table.__table__.c.team_id == UUID(self.team_id)))

    def clear(self) -> None:
        for table in (ModelRow, UploadRow, BlobRow, DiscardedRow):
            self.forget(table)
        store = self.parts.store
        for one in self.held():
            key, _, upload = one.partition(" ")
            store.abort(key, upload) if upload else store.delete(key)

    def _change(self, table: type[Row], **values: Any) -> None:
        with self.parts.database.writing() as session:
            session.execute(update(table).where(table.__table__.c.team_id == UUID(self.team_id)).values(values))


def new_key(team_id: str, purpose: str = "models") -> str:
    return f"{purpose}/{team_id}/{uuid4()}"
