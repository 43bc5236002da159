"""A store that lets a signed PUT be replayed over verified content: downloads must still serve what was verified."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.journeys.client_load import is_unavailable_problem, open_caller
from tests.rclone import RunningRclone
from tests.running import RunningServer
from tests.server.harness import ApiCaller, hash_of, make_model_file
from tests.waiting import wait_until

SIZE = 2 << 20
REPLAYS = 100
GOOD, EVIL = make_model_file("good", SIZE), make_model_file("evil", SIZE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Run a registry on a store that checks neither checksums nor overwrites."""
    with RunningRclone() as rclone, rclone.bucket() as bucket:
        settings = {
            "storage_url": f"s3://{bucket}/studio",
            "storage_endpoint": rclone.endpoint,
            "storage_access_key": rclone.access_key,
            "storage_secret_key": rclone.secret_key,
        }
        with RunningServer(tmp_path_factory.mktemp("weak") / "data", port=0, **settings) as server:
            yield server


@pytest.fixture
def team(server: RunningServer) -> ApiCaller:
    return server.create_team()


class ReplayedPut:
    """Replays the signed PUT of one upload, with the right content and with other content of the same size."""

    def __init__(self, caller: ApiCaller) -> None:
        self.count = 0
        self.ticket: dict[str, Any] = caller.presign(GOOD, "loras/good.safetensors").json()
        self._is_over = threading.Event()

    def put(self, content: bytes) -> None:
        """Send the signed PUT with this content; fail unless the store accepts it."""
        response = httpx2.put(
            self.ticket["upload_url"], content=content, headers=self.ticket["upload_headers"], trust_env=False
        )
        assert response.status_code == 200, response.text
        self.count += 1

    @contextmanager
    def replaying(self) -> Iterator[None]:
        """Replay on two threads until the block ends; two of three times with other content."""
        threads = [threading.Thread(target=self._replay_until_over) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join()

    def wait_for_more_replays(self) -> None:
        desired = self.count + REPLAYS
        wait_until(lambda: self.count >= desired)

    def _replay_until_over(self) -> None:
        for content in itertools.cycle([EVIL, EVIL, GOOD]):
            if self._is_over.is_set():
                return
            self.put(content)


def get_download_hash(caller: ApiCaller, model_id: str) -> str | None:
    """Return the hash of the downloaded content, or None if the registry refuses the download."""
    response = caller.get(f"/models/{model_id}/download", redirect=False)
    if response.status_code != 200:
        return None
    return hash_of(caller.client.get(response.json()["download_url"]).content)


def test_readyz_and_log_report_what_the_store_does_not_enforce(server: RunningServer) -> None:
    capabilities = server.client().get("/readyz").json()["store_capabilities"]
    assert not capabilities["refuses_overwrite"]
    assert not capabilities["refuses_wrong_checksum"]
    [warning] = [line for line in server.log.read_text().splitlines() if '"store probed"' in line]
    assert '"level": "warning"' in warning.lower()


def test_download_from_overwritable_store_serves_verified_copy_after_replayed_put(
    team: ApiCaller, server: RunningServer
) -> None:
    replay = ReplayedPut(team)
    replay.put(GOOD)
    model_id = team.register(GOOD, "loras/good.safetensors", storage_key=replay.ticket["storage_key"])
    url = team.get(f"/models/{model_id}/download", redirect=False).json()["download_url"]
    assert "/studio/verified/" in urlsplit(url).path
    assert urlsplit(url).path != urlsplit(replay.ticket["upload_url"]).path

    with replay.replaying():
        replay.wait_for_more_replays()
        assert get_download_hash(team, model_id) == hash_of(GOOD)
    replay.put(EVIL)
    assert get_download_hash(team, model_id) == hash_of(GOOD)
    assert server.client().get(url).content == GOOD


def test_download_of_upload_overwritten_during_verification_serves_right_bytes_or_is_refused(
    team: ApiCaller, server: RunningServer
) -> None:
    replay = ReplayedPut(team)
    replay.put(GOOD)
    with open_caller(server, team) as reader, replay.replaying():
        replay.wait_for_more_replays()
        body = team.new_model(GOOD, "loras/good.safetensors", storage_key=replay.ticket["storage_key"])
        while (registered := team.post("/models", **body)).status_code != 201:
            # The object was being overwritten at that moment.
            assert is_unavailable_problem(registered), registered.text
        model_id = registered.json()["id"]
        hashes_while_pending = set[str | None]()
        while reader.get(f"/models/{model_id}").json()["verification"] == "pending":
            hashes_while_pending.add(get_download_hash(reader, model_id))
        hashes_afterwards = {get_download_hash(reader, model_id) for _ in range(20)}
        replay.wait_for_more_replays()
        hashes_afterwards |= {get_download_hash(reader, model_id) for _ in range(20)}
    is_verified = team.get(f"/models/{model_id}").json()["verification"] == "verified"
    assert hashes_afterwards == ({hash_of(GOOD)} if is_verified else {None})
    # It may have been verified between the status and the download.
    assert hashes_while_pending <= hashes_afterwards | {None}
