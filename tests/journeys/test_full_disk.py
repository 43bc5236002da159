"""A full disk: writes are refused with clear problems, nothing acknowledged is lost, and service resumes later."""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.journeys.command_line import CommandLine
from tests.journeys.fault_proxy import FaultProxy
from tests.journeys.upload_sizes import PART_SIZE
from tests.running import RunningServer
from tests.server.harness import ApiCaller, make_model_file
from tools.model_files import write_safetensors

DISK_BYTES = 40 << 20
FILE_BYTES = 2 << 20


class Disk:
    """A small tmpfs that can be filled to the last byte and freed again."""

    def __init__(self, mount_point: Path) -> None:
        self.path = mount_point
        self._filler = mount_point / "filler"

    def fill(self) -> None:
        """Write a file that uses up all free space."""
        with self._filler.open("ab", buffering=0) as filler:
            for size in (1 << 20, 4096, 1):
                try:
                    while filler.write(b"\0" * size):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        """Delete the file that fills the disk."""
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mount a small tmpfs for the test; fail without the right to mount."""
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


class RegisteredWork:
    """An owner with a registered model, an uploaded file to register, and an upload ticket not yet used."""

    def __init__(self, server: RunningServer) -> None:
        self.owner: ApiCaller = server.owner()
        self.registered_content = make_model_file("served", FILE_BYTES)
        self.model_id = self.owner.register(self.registered_content, "loras/served.safetensors")
        self.uploaded_content = make_model_file("arrived", FILE_BYTES)
        self.registration_body = self.owner.new_model(self.uploaded_content, "loras/arrived.safetensors")
        self.pending_content = make_model_file("coming", FILE_BYTES)
        self.ticket: dict[str, Any] = self.owner.presign(self.pending_content, "loras/coming.safetensors").json()
        self.description = ""

    def put(self) -> httpx2.Response:
        return self.owner.client.put(
            self.ticket["upload_url"], content=self.pending_content, headers=self.ticket["upload_headers"]
        )

    def describe(self, number: int) -> httpx2.Response:
        """Change the model's description to a long text; remember it if that succeeded."""
        text = f"{number} " + "x" * 9000
        response = self.owner.put(f"/models/{self.model_id}", description=text)
        if response.is_success:
            self.description = text
        return response

    def describe_until_refused(self) -> httpx2.Response:
        """Change the description until it is refused; the database's log has preallocated space for some changes."""
        responses = (self.describe(number) for number in range(3000))
        return next(response for response in responses if not response.is_success)

    def is_intact(self, server: RunningServer) -> bool:
        """Return whether the acknowledged description and content are served to a new connection."""
        client = server.client()
        caller = ApiCaller(self.owner.client, self.owner.token, self.owner.team_id)
        model = client.get(f"/api/v1/models/{self.model_id}", headers=caller.headers).json()
        url = client.get(f"/api/v1/models/{self.model_id}/download?redirect=false", headers=caller.headers).json()[
            "download_url"
        ]
        return model["description"] == self.description and client.get(url).content == self.registered_content


def _is_storage_full(response: httpx2.Response) -> bool:
    problem = response.json()
    return (response.status_code, problem["error_code"]) == (507, "storage_full") or response.status_code == 503


def test_server_with_full_disk_refuses_writes_and_works_again_after_space_is_freed(
    server: RunningServer, disk: Disk
) -> None:
    work = RegisteredWork(server)
    assert work.describe(0).status_code == 200
    disk.fill()

    assert _is_storage_full(work.describe_until_refused())
    assert _is_storage_full(work.put())
    assert _is_storage_full(work.owner.presign(make_model_file("new"), "loras/new.safetensors"))
    assert _is_storage_full(work.owner.post("/models", **work.registration_body))
    ticket = work.ticket["storage_key"]
    assert _is_storage_full(
        work.owner.post("/uploads/multipart/initiate", storage_key=ticket, file_size=len(work.pending_content))
    )
    assert work.is_intact(server)
    assert list((disk.path / "incoming").iterdir()) == []

    disk.free()
    assert work.describe(1).status_code == 200
    assert work.put().status_code == 200
    assert work.owner.post("/models", **work.registration_body).status_code == 201
    assert work.is_intact(server)
    assert "unhandled error" not in server.log.read_text()


def test_push_to_full_disk_fails_and_resumes_after_space_is_freed(disk: Disk, tmp_path: Path) -> None:
    file = tmp_path / "models" / "loras" / "ink.safetensors"
    write_safetensors(file, 20 << 20)
    with (
        RunningServer(disk.path, part_size=str(PART_SIZE), single_put_limit=str(PART_SIZE)) as server,
        closing(FaultProxy(server.url)) as proxy,
    ):
        modelyard = CommandLine(tmp_path / "home", proxy.url, server.owner())
        with proxy.pausing_bytes_after("PUT", 6 << 20):
            push = modelyard.start("push", file, "--limit-rate", "50MB")
            proxy.wait_for_blob_bytes("PUT", 6 << 20)
            disk.fill()
        refused = push.wait_for_exit()
        assert refused.code == 4
        assert "the disk is full" in refused.err.lower() or "bytes free" in refused.err or "has room for" in refused.err
        assert "continue: modelyard push" in refused.err
        disk.free()
        assert modelyard.run("push", file).code == 0


def test_server_killed_on_full_disk_restarts_without_losing_acknowledged_data(
    server: RunningServer, disk: Disk
) -> None:
    work = RegisteredWork(server)
    assert work.describe(0).status_code == 200
    disk.fill()
    assert _is_storage_full(work.describe_until_refused())
    server.kill()
    disk.free()
    server.start()
    assert work.is_intact(server)
