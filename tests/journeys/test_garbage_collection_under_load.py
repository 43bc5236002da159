"""Garbage collections beside clients that upload, abandon, register and delete: exactly the models' blobs remain."""

import threading
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
from modelyard.server.database.session import Database
from modelyard.server.garbage.collection import collect_garbage
from modelyard.server.garbage.run_state import CollectionResult, RunOptions
from modelyard.server.resources import open_store_beside_server
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import BlobStore
from modelyard.server.uploads.tables import BlobRow, DiscardedRow, UploadRow
from tests.journeys.client_load import list_all_pages, open_caller
from tests.journeys.postgres_and_bucket import create_database_and_bucket
from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tests.server.harness import ApiCaller, hash_of, make_model_file
from tests.waiting import wait_until

CLIENTS, COLLECTORS = 3, 2
GRACE = timedelta(seconds=1)


class CollectedRegistry(NamedTuple):
    """A server, and its database and store opened as a garbage collection beside the server opens them."""

    server: RunningServer
    settings: Settings
    database: Database
    store: BlobStore
    cycles: int

    def collect(self, grace: timedelta) -> CollectionResult:
        return collect_garbage(self.database, self.store, self.settings, RunOptions(grace))


@pytest.fixture(params=["small", "large"])
def collected(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_server: RunningPostgres, seaweed_server: RunningSeaweed
) -> Iterator[CollectedRegistry]:
    with ExitStack() as stack:
        is_large = request.param == "large"
        settings = stack.enter_context(create_database_and_bucket(postgres_server, seaweed_server)) if is_large else {}
        # Deleted models are purged at once, and their blobs after the grace time.
        settings |= {"trash_days": "0", "open_uploads": "100000"}
        server = stack.enter_context(RunningServer(tmp_path / "data", port=0, **settings))
        parsed_settings = Settings.model_validate(settings | {"data_dir": tmp_path / "data"})
        yield CollectedRegistry(
            server,
            parsed_settings,
            *stack.enter_context(open_store_beside_server(parsed_settings)),
            cycles=120 if is_large else 300,
        )


class Client:
    """Registers, deletes and abandons uploads; ``kept`` has the hashes of its models, ``abandoned`` storage keys."""

    def __init__(self, caller: ApiCaller, name: str) -> None:
        self.kept: dict[str, str] = {}
        self.abandoned: list[str] = []
        self._caller, self._name = caller, name

    def run_cycle(self, number: int) -> None:
        """Do one of six actions, chosen by the number."""
        name = f"{self._name}-{number}"
        own, shared = make_model_file(name), make_model_file(f"shared-{self._name}")
        match number % 6:
            case 0:
                self.kept[self._register(own, name)] = hash_of(own)
            case 1:
                self._delete(self._register(own, name))
            case 2:
                self._abandon(self._caller.upload(own, f"loras/{name}.safetensors"))
            case 3:
                key = self._caller.presign(own, f"loras/{name}.safetensors").json()["storage_key"]
                initiated = self._caller.post("/uploads/multipart/initiate", storage_key=key, file_size=len(own))
                assert initiated.status_code == 200, initiated.text
                self._abandon(key)
            case 4:
                self._delete(self._register(own, name))
                self.kept[self._register(own, f"{name}-again")] = hash_of(own)
            case _:
                # The last model of this blob is deleted, and the same content is uploaded while it may be collected.
                self._delete(self._register(shared, name))

    def _abandon(self, key: str) -> None:
        self.abandoned.append(key)

    def _register(self, content: bytes, name: str) -> str:
        """Upload and register a file, uploaded again if it was collected meanwhile; return the model's id."""
        path = f"loras/{name}.safetensors"
        while True:
            key = self._caller.upload(content, path, file_hash=hash_of(content))
            response = self._caller.post("/models", **self._caller.new_model(content, path, storage_key=key))
            if response.is_success:
                return str(response.json()["id"])
            # The registry had the blob at the presign, and it was collected meanwhile: upload it again.
            assert response.json()["error_code"] == "upload_incomplete", response.text

    def _delete(self, model_id: str) -> None:
        response = self._caller.delete(f"/models/{model_id}")
        assert response.is_success, response.text


@contextmanager
def collecting(collected: CollectedRegistry) -> Iterator[list[CollectionResult]]:
    """Run two threads that collect garbage again and again until the block ends; yield the results so far."""
    is_over, results = threading.Event(), list[CollectionResult]()

    def collect_until_over() -> None:
        while not is_over.is_set():
            results.append(collected.collect(GRACE))

    with ThreadPoolExecutor(COLLECTORS) as threads:
        running = [threads.submit(collect_until_over) for _ in range(COLLECTORS)]
        try:
            yield results
        finally:
            is_over.set()
        for thread in running:
            thread.result()


def run_client(collected: CollectedRegistry, caller: ApiCaller, number: int) -> dict[str, str]:
    """Run all cycles of one client; return the hashes of the models that it left, by their id."""
    with open_caller(collected.server, caller) as client_caller:
        client = Client(client_caller, f"c{number}")
        for cycle in range(collected.cycles // CLIENTS):
            client.run_cycle(cycle)
            if len(client.abandoned) >= 5:
                make_eight_days_old(collected.database, client.abandoned)
                client.abandoned.clear()
        make_eight_days_old(collected.database, client.abandoned)
    return client.kept


def make_eight_days_old(database: Database, keys: list[str]) -> None:
    """Make these uploads eight days old."""
    with database.writing() as session:
        old = datetime.now(UTC) - timedelta(days=8)
        session.execute(update(UploadRow).where(UploadRow.storage_key.in_(keys)).values(touched_at=old))


def test_concurrent_garbage_collections_under_load_keep_exactly_the_blobs_of_models(
    collected: CollectedRegistry,
) -> None:
    owner = collected.server.owner()
    with collecting(collected) as results, ThreadPoolExecutor(CLIENTS) as threads:
        clients = [threads.submit(run_client, collected, owner, number) for number in range(CLIENTS)]
        kept = {model_id: sha256 for thread in clients for model_id, sha256 in thread.result().items()}
    assert sum(result.files for result in results) > 0

    wait_until_verified(owner)
    wait_until(lambda: is_nothing_removed(collected.collect(timedelta(0))))
    with collected.database.reading() as session:
        assert session.scalars(select(DiscardedRow)).all() == []
        needed_keys = set(session.scalars(select(BlobRow.store_key)))
    assert {entry.key for entry in collected.store.list_keys("")} == needed_keys
    assert list(collected.store.list_open_uploads(datetime.now(UTC) + timedelta(days=1))) == []
    listed = {model["id"]: model["file_hash"] for model in list_all_pages(owner, "/models", "model_list")}
    assert listed == kept
    assert {hash_of(download(owner, model_id)) for model_id in kept} == set(kept.values())


def wait_until_verified(caller: ApiCaller) -> None:
    for model in list_all_pages(caller, "/models", "model_list", verification="pending"):
        caller.wait_until_verified(model["id"])


def is_nothing_removed(result: CollectionResult) -> bool:
    """Return whether a collection removed nothing; fail if it met an unknown file or an error."""
    assert result.unknown_files == 0
    assert result.failures == 0
    return (result.models, result.uploads, result.files) == (0, 0, 0)


def download(caller: ApiCaller, model_id: str) -> bytes:
    response: httpx2.Response = caller.get(f"/models/{model_id}/download", redirect=False)
    assert response.status_code == 200, response.text
    return caller.client.get(response.json()["download_url"]).content
