"""A disk that fills up: refusals that say so, nothing acknowledged lost, and service again once there is room."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.running import RunningServer
from tests.server.world import Someone, a_model_file

DISK_BYTES = 40 << 20
FILE_BYTES = 2 << 20


class Disk:
    """A small file system of its own, which can be filled to the last byte and freed again."""

    def __init__(self, mount_point: Path) -> None:
        self.path = mount_point
        self._filler = mount_point / "filler"

    def fill(self) -> None:
        with self._filler.open("ab", buffering=0) as filler:
            for size in (1 << 20, 4096, 1):
                try:
                    while filler.write(b"\0" * size):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    mount_point = tmp_path / "data"
    mount_point.mkdir()
    options = f"size={DISK_BYTES},mode=0700"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(mount_point)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.fail(f"Missing: the right to mount a tmpfs (run as root): {mounted.stderr.decode()}")
    try:
        yield Disk(mount_point)
    finally:
        subprocess.run(["umount", "--lazy", str(mount_point)], check=True)


@pytest.fixture
def server(disk: Disk) -> Iterator[RunningServer]:
    with RunningServer(disk.path) as running:
        yield running


class Studio:
    """An owner whose work was acknowledged, and work that waits for a full disk."""

    def __init__(self, server: RunningServer) -> None:
        self.owner: Someone = server.owner()
        self.served = a_model_file("served", FILE_BYTES)
        self.model_id = self.owner.register(self.served, "loras/served.safetensors")
        self.arrived = a_model_file("arrived", FILE_BYTES)
        self.arrived_body = self.owner.new_model(self.arrived, "loras/arrived.safetensors")
        self.coming = a_model_file("coming", FILE_BYTES)
        self.ticket: dict[str, Any] = self.owner.presign(self.coming, "loras/coming.safetensors").json()
        self.description = ""

    def put(self) -> httpx2.Response:
        return self.owner.client.put(
            self.ticket["upload_url"], content=self.coming, headers=self.ticket["upload_headers"]
        )

    def describe(self, number: int) -> httpx2.Response:
        text = f"{number} " + "x" * 9000
        answer = self.owner.put(f"/models/{self.model_id}", description=text)
        if answer.is_success:
            self.description = text
        return answer

    def refused_description(self) -> httpx2.Response:
        """The log of the database has some room of its own; the first refusal comes when that is used up."""
        answers = (self.describe(number) for number in range(3000))
        return next(answer for answer in answers if not answer.is_success)

    def is_whole(self, server: RunningServer) -> bool:
        """Whether everything that was acknowledged is there, for a new sign-in or the old one."""
        client = server.client()
        someone = Someone(self.owner.client, self.owner.token, self.owner.team_id)
        model = client.get(f"/api/v1/models/{self.model_id}", headers=someone.headers).json()
        url = client.get(f"/api/v1/models/{self.model_id}/download?redirect=false", headers=someone.headers).json()[
            "download_url"
        ]
        return model["description"] == self.description and client.get(url).content == self.served


def _is_full(answer: httpx2.Response) -> bool:
    problem = answer.json()
    return (answer.status_code, problem["error_code"]) == (507, "storage_full") or answer.status_code == 503


def test_a_full_disk_refuses_and_loses_nothing(server: RunningServer, disk: Disk) -> None:
    studio = Studio(server)
    assert studio.describe(0).status_code == 200
    disk.fill()

    assert _is_full(studio.refused_description())
    assert _is_full(studio.put())
    assert _is_full(studio.owner.presign(a_model_file("new"), "loras/new.safetensors"))
    assert _is_full(studio.owner.post("/models", **studio.arrived_body))
    ticket = studio.ticket["storage_key"]
    assert _is_full(studio.owner.post("/uploads/multipart/initiate", storage_key=ticket, file_size=len(studio.coming)))
    assert studio.is_whole(server)
    assert list((disk.path / "incoming").iterdir()) == []

    disk.free()
    assert studio.describe(1).status_code == 200
    assert studio.put().status_code == 200
    assert studio.owner.post("/models", **studio.arrived_body).status_code == 201
    assert studio.is_whole(server)
    assert "unhandled error" not in server.log.read_text()


def test_a_server_killed_on_a_full_disk_comes_back_with_everything(server: RunningServer, disk: Disk) -> None:
    studio = Studio(server)
    assert studio.describe(0).status_code == 200
    disk.fill()
    assert _is_full(studio.refused_description())
    server.kill()
    disk.free()
    server.start()
    assert studio.is_whole(server)
