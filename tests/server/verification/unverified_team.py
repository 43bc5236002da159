"""A team whose uploads are verified only when the test runs the verifier, and helpers to change its rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, update

from modelyard.server.database.base import now
from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.identity.state import Identity
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.resources import open_resources
from modelyard.server.settings import Settings
from modelyard.server.uploads.tables import PENDING, BlobRow, DiscardedRow
from modelyard.server.verification.worker import Verifier
from tests.rclone import RunningRclone
from tests.seaweed import RunningSeaweed
from tests.server.conftest import CHEAP
from tests.server.environments import PATIENT
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file

# Both have an endpoint and keys.
BucketService = RunningSeaweed | RunningRclone
CONTENT, OTHER = make_model_file("ink"), make_model_file("lie")


@contextmanager
def open_bucket_team(
    data_dir: Path, bucket: str, service: BucketService, *, endpoint: str | None = None
) -> Iterator["UnverifiedTeam"]:
    """Open a registry on a bucket without running jobs, with a new team; ``endpoint`` may be a proxy of the service."""
    settings = Settings(
        data_dir=data_dir,
        public_url="http://registry.test",
        storage_url=f"s3://{bucket}",
        storage_endpoint=endpoint or service.endpoint,
        storage_access_key=service.access_key,
        storage_secret_key=service.secret_key,
    )
    with open_resources(settings, Identity(CHEAP), PATIENT) as resources, Harness.without_jobs(resources) as registry:
        yield UnverifiedTeam(registry)


class UnverifiedTeam:
    """A new team. Content is uploaded in one part, since the response to a single PUT would wait for a digest."""

    def __init__(self, registry: Harness, **changed: Any) -> None:
        self.registry = registry
        self.resources = replace(registry.resources, **changed)
        self.client = registry.client
        self.metrics = Metrics()
        self.verifier = self.new_verifier()
        self.owner = registry.create_team()

    def new_verifier(self, **options: Any) -> Verifier:
        """Return a verifier that shares no state with the first, like that of another process."""
        resources = self.resources
        database, store, requests = resources.database, resources.store, resources.recheck_requests
        objects = ObjectChecks(database, store, self.metrics, requests)
        return Verifier(objects, resources.capabilities, self.metrics, **options)

    def send(self, content: bytes, owner: ApiCaller | None = None) -> str:
        """Upload the content without registering it; return the storage key."""
        team = owner or self.owner
        key = str(team.presign(content, f"loras/{uuid4()}.safetensors").json()["storage_key"])
        upload = team.post("/uploads/multipart/initiate", storage_key=key, file_size=len(content)).json()
        upload_ids = {"storage_key": key, "upload_id": upload["upload_id"]}
        numbers = list(range(1, upload["part_count"] + 1))
        tickets = team.post("/uploads/multipart/presign", **upload_ids, part_numbers=numbers).json()["part_list"]
        parts = [self._put_part(ticket, content, upload["part_size"]) for ticket in tickets]
        completed = team.post("/uploads/multipart/complete", **upload_ids, part_list=parts)
        assert completed.status_code == 200, completed.text
        return key

    def _put_part(self, ticket: dict[str, Any], content: bytes, part_size: int) -> dict[str, Any]:
        start = (ticket["part_number"] - 1) * part_size
        part = content[start : start + part_size]
        response = self.client.put(ticket["upload_url"], content=part, headers=ticket["upload_headers"])
        return {"part_number": ticket["part_number"], "etag": response.headers["ETag"]}

    def register(self, content: bytes = CONTENT, path: str = "loras/ink.safetensors", **changed: Any) -> str:
        """Upload and register a model without verifying it; return its id."""
        owner = changed.pop("owner", self.owner)
        key = changed.pop("storage_key", None) or self.send(content, owner)
        return str(owner.register(content, path, storage_key=key, **changed))

    def register_wrong_hash(self, path: str = "loras/lie.safetensors") -> str:
        """Register content with the hash of other content; return the model's id."""
        return self.register(OTHER, path, file_hash=hash_of(CONTENT))

    def split(self, model_id: str) -> UUID:
        """Give the model a verified blob of its own, with the same content; return its id."""
        blob = self.blob(model_id)
        values = {name: getattr(blob, name) for name in BlobRow.__table__.columns.keys()}  # noqa: SIM118 - columns, not a dict
        copy = BlobRow(**(values | {"id": uuid4(), "store_key": f"models/{blob.team_id}/{uuid4()}"}))
        self.resources.store.copy(blob.store_key, copy.store_key)
        with self.resources.database.writing() as session:
            session.add(copy)
            model = session.get_one(ModelRow, UUID(model_id))
            session.get_one(ModelVersionRow, (model.id, model.shown_version)).blob_id = copy.id
            model.blob_id = copy.id
        return copy.id

    def find_store_key(self, model_id: str, version: int) -> str:
        """Return the key of the object with a version's content."""
        with self.resources.database.reading() as session:
            blob_id = session.get_one(ModelVersionRow, (UUID(model_id), version)).blob_id
            return session.get_one(BlobRow, blob_id).store_key

    def verify(self) -> bool:
        """Verify one blob; return False if none waits."""
        return self.verifier.verify_next()

    def verify_all(self) -> None:
        """Verify all blobs that wait."""
        while self.verify():
            pass

    def finish(self) -> None:
        """Verify what waits; what cannot be verified now is not tried in later tests, which share the registry."""
        self.verify_all()
        self.lease(now() + timedelta(days=1))

    def model(self, model_id: str) -> dict[str, Any]:
        model: dict[str, Any] = self.owner.get(f"/models/{model_id}").json()
        return model

    def state(self, model_id: str) -> str:
        return str(self.model(model_id)["verification"])

    def row(self, model_id: str) -> ModelRow:
        with self.resources.database.reading() as session:
            return session.get_one(ModelRow, UUID(model_id))

    def blob(self, model_id: str) -> BlobRow:
        with self.resources.database.reading() as session:
            return session.scalars(select(BlobRow).join(ModelRow).where(ModelRow.id == UUID(model_id))).one()

    def download(self, model_id: str) -> bytes:
        url = self.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
        answer = self.client.get(url)
        assert answer.status_code == 200, answer.text
        return answer.content

    def lease(self, until: datetime) -> None:
        """Lease the team's pending blobs to another worker."""
        self._change(lease=uuid4(), leased_until=until)

    def expire_pauses(self) -> None:
        """Expire the pauses of blobs that were postponed."""
        self._change(leased_until=now() - timedelta(seconds=1))

    def expire_leases(self) -> None:
        """Expire the leases of dead workers, and the time for which their copies are kept."""
        self.expire_pauses()
        with self.resources.database.writing() as session:
            session.execute(update(DiscardedRow).values(since=now() - timedelta(seconds=1)))

    def forget(self, model_id: str) -> None:
        """Delete the model's row, but not its blob."""
        with self.resources.database.writing() as session:
            session.delete(session.get_one(ModelRow, UUID(model_id)))

    def age(self, days: float) -> None:
        """Set the last check of the team's blobs to so many days ago."""
        of_team = update(BlobRow).where(BlobRow.team_id == UUID(self.owner.team_id))
        with self.resources.database.writing() as session:
            session.execute(of_team.values(checked_at=now() - timedelta(days=days)))

    def events(self, model_id: str) -> list[str]:
        """Return the audit events of the model, newest first."""
        events = self.owner.get("/audit-events", object_id=model_id).json()["audit_event_list"]
        return [event["action"] for event in events]

    def _change(self, **values: Any) -> None:
        """Update the team's pending blobs."""
        of_team = update(BlobRow).where(PENDING, BlobRow.team_id == UUID(self.owner.team_id))
        with self.resources.database.writing() as session:
            session.execute(of_team.values(values))
