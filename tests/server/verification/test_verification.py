"""Bytes that nobody has read yet: pending, then verified or failed by the worker, and what a push does to them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import update

from modelyard.server.database.base import now
from modelyard.server.identity.state import Identity
from modelyard.server.observed import Metrics
from modelyard.server.parts import opened
from modelyard.server.storage.local import LocalStore
from modelyard.server.uploads.tables import BlobRow
from modelyard.server.verification.worker import Verifier
from tests.server.conftest import CHEAP
from tests.server.places import Places
from tests.server.world import World, a_model_file, hash_of

CONTENT, OTHER = a_model_file("ink"), a_model_file("lie")


class Unread:
    """A team that has uploaded two files which nobody has read yet; the worker works when the test says so."""

    def __init__(self, world: World) -> None:
        self.parts = world.parts
        self.client = world.client
        self.verifier = Verifier(self.parts.database, self.parts.store, self.parts.trust, Metrics())
        self.owner = world.new_team()
        self.keys = {"true": self.send(CONTENT), "lie": self.send(OTHER)}

    def send(self, content: bytes) -> str:
        """The storage key of bytes sent in one part: the answer to a whole PUT would wait for a digest."""
        key = str(self.owner.presign(content, f"loras/{uuid4()}.safetensors").json()["storage_key"])
        begun = self.owner.post("/uploads/multipart/initiate", storage_key=key, file_size=len(content)).json()
        named = {"storage_key": key, "upload_id": begun["upload_id"]}
        [ticket] = self.owner.post("/uploads/multipart/presign", **named, part_numbers=[1]).json()["part_list"]
        sent = self.client.put(ticket["upload_url"], content=content, headers=ticket["upload_headers"])
        part_list = [{"part_number": 1, "etag": sent.headers["ETag"]}]
        done = self.owner.post("/uploads/multipart/complete", **named, part_list=part_list)
        assert done.status_code == 200, done.text
        return key

    def verify(self) -> bool:
        return self.verifier.verify_next()

    def model(self, model_id: str) -> dict[str, object]:
        found: dict[str, object] = self.owner.get(f"/models/{model_id}").json()
        return found

    def lease(self, until: datetime) -> None:
        with self.parts.database.writing() as session:
            session.execute(update(BlobRow).where(BlobRow.verification == "pending").values(leased_until=until))


@pytest.fixture(scope="module")
def forgetful(places: Places, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A registry that knows of its bytes what it knows after a restart, nothing; and no chore runs by itself."""
    with places.fresh(tmp_path_factory.mktemp("forgetful")) as settings, opened(settings, Identity(CHEAP)) as parts:
        # No hashing thread follows an upload any more, and chores belong to a lifespan, which is not run.
        if isinstance(parts.store, LocalStore):
            parts.store.close()
        world = World(parts)
        world.owner = world.sign_in("owner@studio.test", world.team_id)
        yield world


@pytest.fixture
def unread(forgetful: World) -> Iterator[Unread]:
    unread = Unread(forgetful)
    yield unread
    while unread.verify():
        pass


def register_lie(unread: Unread) -> str:
    """Bytes registered under the hash of others."""
    return unread.owner.register(
        OTHER, "loras/lie.safetensors", storage_key=unread.keys["lie"], file_hash=hash_of(CONTENT)
    )


def test_unread_bytes_are_pending_and_downloads_wait_until_the_worker_has_read_them(unread: Unread) -> None:
    model_id = unread.owner.register(CONTENT, storage_key=unread.keys["true"])
    pending = unread.model(model_id)
    assert (pending["verification"], pending["blake3_hash"]) == ("pending", None)
    refused = unread.owner.get(f"/models/{model_id}/download")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "model_not_verified")

    assert unread.verify() is True
    verified = unread.model(model_id)
    assert verified["verification"] == "verified"
    assert str(verified["blake3_hash"]).startswith("blake3:")
    assert unread.owner.get(f"/models/{model_id}/download").status_code == 307
    assert unread.verify() is False


def test_a_lie_about_the_hash_is_found_out_and_never_served(unread: Unread) -> None:
    model_id = register_lie(unread)
    unread.verify()
    failed = unread.model(model_id)
    assert failed["verification"] == "failed"
    assert hash_of(OTHER) in str(failed["verification_error"])
    refused = unread.owner.get(f"/models/{model_id}/download")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "model_damaged")
    listed = unread.owner.get("/models", verification="failed").json()["model_list"]
    assert [model["id"] for model in listed] == [model_id]


def test_a_lie_is_never_offered_as_already_stored(unread: Unread) -> None:
    register_lie(unread)
    for _ in range(2):
        ticket = unread.owner.presign(OTHER, "loras/more.safetensors", file_hash=hash_of(CONTENT)).json()
        assert ticket["already_stored"] is False
        unread.verify()


def test_two_claims_of_one_hash_are_read_each_for_itself(unread: Unread) -> None:
    lie = register_lie(unread)
    true = unread.owner.register(CONTENT, storage_key=unread.keys["true"])
    while unread.verify():
        pass
    assert unread.model(lie)["verification"] == "failed"
    assert unread.model(true)["verification"] == "verified"


def test_the_right_bytes_pushed_again_heal_the_record(unread: Unread) -> None:
    model_id = register_lie(unread)
    unread.verify()
    body = unread.owner.new_model(CONTENT, "loras/lie.safetensors", storage_key=unread.keys["true"])
    healed = unread.owner.post("/models", **body)
    assert (healed.status_code, healed.json()) == (200, {"id": model_id})
    assert unread.model(model_id)["verification"] == "pending"
    unread.verify()
    model = unread.model(model_id)
    assert (model["verification"], model["verification_error"]) == ("verified", None)
    url = unread.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
    assert unread.client.get(url).content == CONTENT
    assert unread.owner.post("/models", **body).json() == {"id": model_id}


def test_bytes_that_are_gone_from_the_store_fail_with_words(unread: Unread) -> None:
    model_id = unread.owner.register(CONTENT, storage_key=unread.keys["true"])
    unread.parts.store.delete(unread.keys["true"])
    unread.verify()
    model = unread.model(model_id)
    assert (model["verification"], model["verification_error"]) == ("failed", "The bytes are gone from the store.")


def test_bytes_that_a_worker_is_reading_wait_for_it_or_for_the_end_of_its_lease(unread: Unread) -> None:
    unread.owner.register(CONTENT, storage_key=unread.keys["true"])
    unread.lease(now() + timedelta(minutes=1))
    assert unread.verify() is False
    unread.lease(now() - timedelta(seconds=1))
    assert unread.verify() is True


def test_verification_is_in_the_audit_trail_as_the_registrys_own_act(unread: Unread) -> None:
    model_id = register_lie(unread)
    unread.verify()
    events = unread.owner.get("/audit-events", object_id=model_id).json()["audit_event_list"]
    assert [(event["action"], event["actor_kind"]) for event in events] == [
        ("model.failed", "system"),
        ("model.registered", "user"),
    ]


def test_a_running_registry_verifies_by_itself(unread: Unread) -> None:
    model_id = unread.owner.register(CONTENT, storage_key=unread.keys["true"])
    assert unread.model(model_id)["verification"] == "pending"
    with unread.client:
        for _ in range(500):
            if unread.model(model_id)["verification"] == "verified":
                break
    assert unread.model(model_id)["verification"] == "verified"


def test_of_four_names_for_one_unread_upload_at_once_one_wins(unread: Unread) -> None:
    bodies = [
        unread.owner.new_model(CONTENT, f"loras/name-{number}.safetensors", storage_key=unread.keys["true"])
        for number in range(4)
    ]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda body: unread.owner.post("/models", **body), bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    refused = {answer.json()["error_code"] for answer in answers if answer.status_code == 409}
    assert refused == {"upload_used"}
