"""A team with bytes that nobody has read yet, and a worker that works when the test says so."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, update

from modelyard.server.database.base import now
from modelyard.server.models.tables import ModelRow
from modelyard.server.observed import Metrics
from modelyard.server.uploads.tables import PENDING, BlobRow, DiscardedRow
from modelyard.server.verification.worker import Verifier
from tests.server.world import Someone, World, a_model_file, hash_of

CONTENT, OTHER = a_model_file("ink"), a_model_file("lie")


class Unread:
    """A fresh team. Bytes are sent in one part, since the answer to a whole PUT would wait for a digest."""

    def __init__(self, world: World, **changed: Any) -> None:
        self.world = world
        self.parts = replace(world.parts, **changed)
        self.client = world.client
        self.metrics = Metrics()
        self.verifier = self.new_verifier()
        self.owner = world.new_team()

    def new_verifier(self, **how: Any) -> Verifier:
        """A worker of another process, for all that it knows."""
        return Verifier(self.parts.database, self.parts.store, self.parts.trust, self.metrics, **how)

    def send(self, content: bytes, owner: Someone | None = None) -> str:
        """The storage key of bytes that have come."""
        team = owner or self.owner
        key = str(team.presign(content, f"loras/{uuid4()}.safetensors").json()["storage_key"])
        begun = team.post("/uploads/multipart/initiate", storage_key=key, file_size=len(content)).json()
        named = {"storage_key": key, "upload_id": begun["upload_id"]}
        [ticket] = team.post("/uploads/multipart/presign", **named, part_numbers=[1]).json()["part_list"]
        sent = self.client.put(ticket["upload_url"], content=content, headers=ticket["upload_headers"])
        part_list = [{"part_number": 1, "etag": sent.headers["ETag"]}]
        done = team.post("/uploads/multipart/complete", **named, part_list=part_list)
        assert done.status_code == 200, done.text
        return key

    def register(self, content: bytes = CONTENT, path: str = "loras/ink.safetensors", **changed: Any) -> str:
        """A model whose bytes nobody has read; its id."""
        owner = changed.pop("owner", self.owner)
        key = changed.pop("storage_key", None) or self.send(content, owner)
        return str(owner.register(content, path, storage_key=key, **changed))

    def register_lie(self, path: str = "loras/lie.safetensors") -> str:
        """Bytes registered under the hash of others."""
        return self.register(OTHER, path, file_hash=hash_of(CONTENT))

    def split(self, model_id: str) -> UUID:
        """Give the model a verified blob of its own, with the same bytes; its id."""
        shared = self.blob(model_id)
        values = {name: getattr(shared, name) for name in BlobRow.__table__.columns.keys()}  # noqa: SIM118 - columns, not a dict
        twin = BlobRow(**(values | {"id": uuid4(), "store_key": f"models/{shared.team_id}/{uuid4()}"}))
        self.parts.store.copy(shared.store_key, twin.store_key)
        with self.parts.database.writing() as session:
            session.add(twin)
            session.get_one(ModelRow, UUID(model_id)).blob_id = twin.id
        return twin.id

    def verify(self) -> bool:
        return self.verifier.verify_next()

    def verify_all(self) -> None:
        while self.verify():
            pass

    def model(self, model_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.owner.get(f"/models/{model_id}").json()
        return found

    def state(self, model_id: str) -> str:
        return str(self.model(model_id)["verification"])

    def row(self, model_id: str) -> ModelRow:
        with self.parts.database.reading() as session:
            return session.get_one(ModelRow, UUID(model_id))

    def blob(self, model_id: str) -> BlobRow:
        with self.parts.database.reading() as session:
            return session.scalars(select(BlobRow).join(ModelRow).where(ModelRow.id == UUID(model_id))).one()

    def download(self, model_id: str) -> bytes:
        url = self.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
        answer = self.client.get(url)
        assert answer.status_code == 200, answer.text
        return answer.content

    def upload_of(self, model_id: str) -> str:
        """The key that was presigned for the model's bytes."""
        return str(self.model(model_id)["storage_key"])

    def lease(self, until: datetime) -> None:
        """Let somebody else have all that waits."""
        self._change(lease=uuid4(), leased_until=until)

    def end_pauses(self) -> None:
        """Let the time pass for which put-off blobs wait."""
        self._change(leased_until=now() - timedelta(seconds=1))

    def end_leases(self) -> None:
        """Let the leases of workers that died end, and with them what they kept of their copies."""
        self.end_pauses()
        with self.parts.database.writing() as session:
            session.execute(update(DiscardedRow).values(since=now() - timedelta(seconds=1)))

    def age(self, days: float) -> None:
        """Let all blobs have been read so long ago."""
        with self.parts.database.writing() as session:
            session.execute(update(BlobRow).values(checked_at=now() - timedelta(days=days)))

    def events(self, model_id: str) -> list[str]:
        """What happened to the model, the last first."""
        events = self.owner.get("/audit-events", object_id=model_id).json()["audit_event_list"]
        return [event["action"] for event in events]

    def _change(self, **values: Any) -> None:
        with self.parts.database.writing() as session:
            session.execute(update(BlobRow).where(PENDING).values(values))
