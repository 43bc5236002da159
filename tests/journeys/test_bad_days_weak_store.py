"""A store that lets anybody write again over what was verified: what is downloaded stays what was verified."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.journeys.load import caller, is_honest_refusal
from tests.journeys.waiting import wait_for
from tests.rclone import RunningRclone
from tests.running import RunningServer
from tests.server.world import Someone, a_model_file, hash_of

SIZE = 2 << 20
REPLAYS = 100
GOOD, EVIL = a_model_file("good", SIZE), a_model_file("evil", SIZE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
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
def team(server: RunningServer) -> Someone:
    owner = server.owner()
    owner.team_id = owner.post("/teams", display_name="Bad days").json()["id"]
    return owner


class Replayed:
    """The one signed PUT of an upload, sent again and again, with good bytes and with others, by two clients."""

    def __init__(self, who: Someone) -> None:
        self.count = 0
        self.ticket: dict[str, Any] = who.presign(GOOD, "loras/good.safetensors").json()
        self._is_over = threading.Event()

    def put(self, content: bytes) -> None:
        answer = httpx2.put(
            self.ticket["upload_url"], content=content, headers=self.ticket["upload_headers"], trust_env=False
        )
        assert answer.status_code == 200, answer.text
        self.count += 1

    @contextmanager
    def again_and_again(self) -> Iterator[None]:
        """Send other bytes, and sometimes the right ones, until the block ends."""
        threads = [threading.Thread(target=self._go_on) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join()

    def wait_for_more(self) -> None:
        wanted = self.count + REPLAYS
        wait_for(lambda: self.count >= wanted)

    def _go_on(self) -> None:
        for content in itertools.cycle([EVIL, EVIL, GOOD]):
            if self._is_over.is_set():
                return
            self.put(content)


def downloaded(who: Someone, model_id: str) -> str | None:
    """The hash of what anybody gets, or None if the registry refuses."""
    answer = who.get(f"/models/{model_id}/download", redirect=False)
    if answer.status_code != 200:
        return None
    return hash_of(who.client.get(answer.json()["download_url"]).content)


def test_what_the_store_does_not_enforce_is_said_by_readyz_and_the_log(server: RunningServer) -> None:
    honesty = server.client().get("/readyz").json()["store_honesty"]
    assert not honesty["refuses_overwrite"]
    assert not honesty["refuses_wrong_checksum"]
    [said] = [line for line in server.log.read_text().splitlines() if '"store tried"' in line]
    assert '"level": "warning"' in said.lower()


def test_verified_bytes_are_served_from_a_key_that_nobody_was_ever_given(team: Someone, server: RunningServer) -> None:
    replayed = Replayed(team)
    replayed.put(GOOD)
    model_id = team.register(GOOD, "loras/good.safetensors", storage_key=replayed.ticket["storage_key"])
    url = team.get(f"/models/{model_id}/download", redirect=False).json()["download_url"]
    assert "/studio/verified/" in urlsplit(url).path
    assert urlsplit(url).path != urlsplit(replayed.ticket["upload_url"]).path

    with replayed.again_and_again():
        replayed.wait_for_more()
        assert downloaded(team, model_id) == hash_of(GOOD)
    replayed.put(EVIL)
    assert downloaded(team, model_id) == hash_of(GOOD)
    assert server.client().get(url).content == GOOD


def test_bytes_that_change_before_and_while_they_are_verified_are_the_right_ones_or_refused(
    team: Someone, server: RunningServer
) -> None:
    replayed = Replayed(team)
    replayed.put(GOOD)
    with caller(server, team) as reader, replayed.again_and_again():
        replayed.wait_for_more()
        body = team.new_model(GOOD, "loras/good.safetensors", storage_key=replayed.ticket["storage_key"])
        while (registered := team.post("/models", **body)).status_code != 201:
            # The file was not whole at that moment.
            assert is_honest_refusal(registered), registered.text
        model_id = registered.json()["id"]
        seen = set[str | None]()
        while reader.get(f"/models/{model_id}").json()["verification"] == "pending":
            seen.add(downloaded(reader, model_id))
        served = {downloaded(reader, model_id) for _ in range(20)}
        replayed.wait_for_more()
        served |= {downloaded(reader, model_id) for _ in range(20)}
    is_verified = team.get(f"/models/{model_id}").json()["verification"] == "verified"
    assert served == ({hash_of(GOOD)} if is_verified else {None})
    # It may have been verified between a look and a download.
    assert seen <= served | {None}
