"""Two collectors that never rest, beside clients who upload, abandon, register and delete: no litter and no murder."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
from sqlalchemy import select, update

import modelyard.server.app  # noqa: F401 - imports every slice, so that every table is known
from modelyard.server.cleanup.collecting import collect_garbage
from modelyard.server.cleanup.rounds import Collected, Plan
from modelyard.server.database.session import Database
from modelyard.server.parts import opened_beside
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import BlobStore
from modelyard.server.uploads.tables import BlobRow, DiscardedRow, UploadRow
from tests.journeys.large import large
from tests.journeys.load import all_of, caller
from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tests.server.world import Someone, a_model_file, hash_of

CLIENTS, COLLECTORS = 3, 2
GRACE = timedelta(seconds=1)


class Yard(NamedTuple):
    """A server, and its database and store as whoever cleans up beside it opens them."""

    server: RunningServer
    settings: Settings
    database: Database
    store: BlobStore
    cycles: int

    def collect(self, grace: timedelta) -> Collected:
        return collect_garbage(self.database, self.store, self.settings, Plan(grace))


@pytest.fixture(params=["small", "large"])
def yard(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_server: RunningPostgres, seaweed_server: RunningSeaweed
) -> Iterator[Yard]:
    with ExitStack() as stack:
        is_large = request.param == "large"
        settings = stack.enter_context(large(postgres_server, seaweed_server)) if is_large else {}
        # What is deleted goes at once, but for the grace time of its bytes.
        settings |= {"trash_days": "0", "open_uploads": "100000"}
        server = stack.enter_context(RunningServer(tmp_path / "data", port=0, **settings))
        known = Settings.model_validate(settings | {"data_dir": tmp_path / "data"})
        yield Yard(server, known, *stack.enter_context(opened_beside(known)), cycles=120 if is_large else 300)


class Client:
    """Does one thing after the other with files, and knows which models it has left."""

    def __init__(self, who: Someone, name: str) -> None:
        self.kept: dict[str, str] = {}
        self.abandoned: list[str] = []
        self._who, self._name = who, name

    def cycle(self, number: int) -> None:
        name = f"{self._name}-{number}"
        own, shared = a_model_file(name), a_model_file(f"shared-{self._name}")
        match number % 6:
            case 0:
                self.kept[self._register(own, name)] = hash_of(own)
            case 1:
                self._delete(self._register(own, name))
            case 2:
                self._abandon(self._who.upload(own, f"loras/{name}.safetensors"))
            case 3:
                key = self._who.presign(own, f"loras/{name}.safetensors").json()["storage_key"]
                begun = self._who.post("/uploads/multipart/initiate", storage_key=key, file_size=len(own))
                assert begun.status_code == 200, begun.text
                self._abandon(key)
            case 4:
                self._delete(self._register(own, name))
                self.kept[self._register(own, f"{name}-again")] = hash_of(own)
            case _:
                # The last name of these bytes goes, and comes again when they may be on their way out.
                self._delete(self._register(shared, name))

    def _abandon(self, key: str) -> None:
        self.abandoned.append(key)

    def _register(self, content: bytes, name: str) -> str:
        path = f"loras/{name}.safetensors"
        while True:
            key = self._who.upload(content, path, file_hash=hash_of(content))
            answer = self._who.post("/models", **self._who.new_model(content, path, storage_key=key))
            if answer.is_success:
                return str(answer.json()["id"])
            # The registry had the bytes when it was asked, and they went meanwhile: then they are sent once more.
            assert answer.json()["error_code"] == "upload_incomplete", answer.text

    def _delete(self, model_id: str) -> None:
        answer = self._who.delete(f"/models/{model_id}")
        assert answer.is_success, answer.text


@contextmanager
def collecting(yard: Yard) -> Iterator[list[Collected]]:
    """Two collectors, each in one round after the other, until the block ends; what the rounds did."""
    is_over, rounds = threading.Event(), list[Collected]()

    def go_on() -> None:
        while not is_over.is_set():
            rounds.append(yard.collect(GRACE))

    with ThreadPoolExecutor(COLLECTORS) as threads:
        running = [threads.submit(go_on) for _ in range(COLLECTORS)]
        try:
            yield rounds
        finally:
            is_over.set()
        for each in running:
            each.result()


def work(yard: Yard, who: Someone, number: int) -> dict[str, str]:
    """All the cycles of one client; the models that it has left, and their hashes."""
    with caller(yard.server, who) as someone:
        client = Client(someone, f"c{number}")
        for cycle in range(yard.cycles // CLIENTS):
            client.cycle(cycle)
            if len(client.abandoned) >= 5:
                forget_for_days(yard.database, client.abandoned)
                client.abandoned.clear()
        forget_for_days(yard.database, client.abandoned)
    return client.kept


def forget_for_days(database: Database, keys: list[str]) -> None:
    """Let eight days pass for these uploads."""
    with database.writing() as session:
        old = datetime.now(UTC) - timedelta(days=8)
        session.execute(update(UploadRow).where(UploadRow.storage_key.in_(keys)).values(touched_at=old))


def test_at_the_end_there_are_the_bytes_of_all_models_and_no_others(yard: Yard) -> None:
    owner = yard.server.owner()
    with collecting(yard) as rounds, ThreadPoolExecutor(CLIENTS) as threads:
        working = [threads.submit(work, yard, owner, number) for number in range(CLIENTS)]
        kept = {model_id: sha256 for each in working for model_id, sha256 in each.result().items()}
    assert sum(each.files for each in rounds) > 0

    wait_until_read(owner)
    ends = time.monotonic() + 30
    while not is_clean(yard.collect(timedelta(0))):
        assert time.monotonic() < ends, "There is always something left."
    with yard.database.reading() as session:
        assert session.scalars(select(DiscardedRow)).all() == []
        needed = set(session.scalars(select(BlobRow.store_key)))
    assert {found.key for found in yard.store.keys("")} == needed
    assert list(yard.store.open_uploads(datetime.now(UTC) + timedelta(days=1))) == []
    listed = {model["id"]: model["file_hash"] for model in all_of(owner, "/models", "model_list")}
    assert listed == kept
    assert {hash_of(downloaded(owner, model_id)) for model_id in kept} == set(kept.values())


def wait_until_read(who: Someone) -> None:
    for model in all_of(who, "/models", "model_list", verification="pending"):
        who.wait_until_read(model["id"])


def is_clean(collected: Collected) -> bool:
    """Whether a round had nothing to do."""
    assert collected.unknown_files == 0
    assert collected.failures == 0
    return (collected.models, collected.uploads, collected.files) == (0, 0, 0)


def downloaded(who: Someone, model_id: str) -> bytes:
    answer: httpx2.Response = who.get(f"/models/{model_id}/download", redirect=False)
    assert answer.status_code == 200, answer.text
    return who.client.get(answer.json()["download_url"]).content
