"""The server killed after every file-changing system call of each operation: nothing acknowledged is lost."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.journeys.forked_server import ForkedServer
from tests.journeys.kill_sweep import Attempt, KillSweep
from tests.journeys.upload_sizes import MEBIBYTE, PART_SIZE
from tests.server.harness import hash_of

TWO_PARTS = PART_SIZE + MEBIBYTE // 4
LOG = "-wal>"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KillSweep]:
    with ForkedServer(tmp_path_factory.mktemp("killed") / "data", part_size=str(PART_SIZE)) as server:
        yield KillSweep(server)


def send_put(sweep: KillSweep, request: dict[str, Any], content: bytes) -> httpx2.Response:
    """Send the PUT that a ticket or presigned part describes."""
    return sweep.caller.client.put(request["upload_url"], content=content, headers=request["upload_headers"])


class TwoPartUpload:
    """A multipart upload of a file in two parts."""

    def __init__(self, sweep: KillSweep) -> None:
        self.sweep = sweep
        self.content, self.path = sweep.new_file(TWO_PARTS)
        self.key = sweep.caller.presign(self.content, self.path).json()["storage_key"]
        self.ids: dict[str, str] = {}
        self.etags: dict[int, str] = {}  # what ``complete`` sends

    def initiate(self) -> httpx2.Response:
        return self.sweep.caller.post("/uploads/multipart/initiate", storage_key=self.key, file_size=len(self.content))

    def start(self) -> "TwoPartUpload":
        """Initiate the upload and keep its id; return self."""
        self.ids = {"storage_key": self.key, "upload_id": self.initiate().json()["upload_id"]}
        return self

    def get_part(self, number: int) -> bytes:
        return self.content[(number - 1) * PART_SIZE :][:PART_SIZE]

    def send(self, number: int, content: bytes | None = None) -> httpx2.Response:
        signed = self.sweep.caller.post("/uploads/multipart/presign", **self.ids, part_numbers=[number]).json()
        return send_put(self.sweep, signed["part_list"][0], self.get_part(number) if content is None else content)

    def list_etags(self) -> dict[int, str]:
        """Return the ETags of the stored parts by their number, without quotes."""
        response = self.sweep.caller.get("/uploads/multipart/parts", **self.ids)
        assert response.status_code == 200, response.text
        return {part["part_number"]: part["etag"].strip('"') for part in response.json()["part_list"]}

    def read_stored_part(self, number: int) -> bytes:
        """Return the bytes in the upload's file at the place of this part."""
        file = self.sweep.server.data_dir / "uploads" / self.ids["upload_id"] / "bytes"
        return file.read_bytes()[(number - 1) * PART_SIZE :][:PART_SIZE]

    def complete(self) -> httpx2.Response:
        part_list = [{"part_number": number, "etag": etag} for number, etag in self.etags.items()]
        return self.sweep.caller.post("/uploads/multipart/complete", **self.ids, part_list=part_list)

    def finish_and_register(self) -> None:
        """Send the missing parts, complete the upload, and register it as a model."""
        for number in {1, 2} - self.list_etags().keys():
            assert self.send(number).status_code == 200
        self.etags = self.list_etags()
        assert self.complete().status_code == 200
        self.sweep.expect_registered(self.sweep.register(self.content, self.path, self.key), self.content)


def test_presign_killed_after_any_syscall_leaves_usable_ticket(sweep: KillSweep) -> None:
    def presign() -> Attempt:
        content, path = sweep.new_file()
        response = yield lambda: sweep.caller.presign(content, path)
        repeated = sweep.caller.presign(content, path)
        assert repeated.status_code == 200
        ticket = (response or repeated).json()
        assert send_put(sweep, ticket, content).status_code == 200
        sweep.expect_registered(sweep.register(content, path, ticket["storage_key"]), content)

    syscalls = sweep.kill_after_each_syscall(presign)

    assert any(syscall.startswith("fdatasync") and LOG in syscall for syscall in syscalls)
    sweep.check_final_state()


def test_put_whole_file_killed_after_any_syscall_is_stored_or_can_be_repeated(sweep: KillSweep) -> None:
    def put_file() -> Attempt:
        content, path = sweep.new_file()
        ticket = sweep.caller.presign(content, path).json()
        response = yield lambda: send_put(sweep, ticket, content)
        repeated = send_put(sweep, ticket, content)
        assert repeated.status_code in ([412] if response else [200, 412])
        sweep.expect_registered(sweep.register(content, path, ticket["storage_key"]), content)

    syscalls = sweep.kill_after_each_syscall(put_file)

    assert any(syscall.startswith("rename") and "/objects/" in syscall for syscall in syscalls)
    sweep.check_final_state()


def test_initiate_multipart_killed_after_any_syscall_can_be_repeated_with_same_id(sweep: KillSweep) -> None:
    def initiate() -> Attempt:
        upload = TwoPartUpload(sweep)
        response = yield upload.initiate
        repeated = upload.initiate()
        assert repeated.status_code == 200
        assert response is None or response.json() == repeated.json()
        upload.start().finish_and_register()

    syscalls = sweep.kill_after_each_syscall(initiate)

    assert any(syscall.startswith("rename") and "/uploads/" in syscall for syscall in syscalls)
    assert any(syscall.startswith("fdatasync") and LOG in syscall for syscall in syscalls)
    sweep.check_final_state()


def test_put_part_killed_after_any_syscall_is_listed_complete_or_not_listed(sweep: KillSweep) -> None:
    def send_second() -> Attempt:
        upload = TwoPartUpload(sweep).start()
        first = upload.send(1).headers["etag"].strip('"')
        response = yield lambda: upload.send(2)
        etags = upload.list_etags()
        assert etags[1] == first
        assert response is None or etags[2] == response.headers["etag"].strip('"')
        if 2 in etags:
            assert upload.read_stored_part(2) == upload.get_part(2)
        upload.finish_and_register()

    syscalls = sweep.kill_after_each_syscall(send_second)

    assert any("parts.log" in syscall for syscall in syscalls)
    sweep.check_final_state()


def test_put_part_again_killed_after_any_syscall_lists_old_part_new_part_or_none(sweep: KillSweep) -> None:
    def send_again() -> Attempt:
        upload = TwoPartUpload(sweep).start()
        old = b"\xff" * len(upload.get_part(2))
        before = upload.send(2, old).headers["etag"].strip('"')
        response = yield lambda: upload.send(2)
        etags = upload.list_etags()
        assert response is None or etags[2] == response.headers["etag"].strip('"')
        if 2 in etags:
            assert upload.read_stored_part(2) == (old if etags[2] == before else upload.get_part(2))
        assert upload.send(2).status_code == 200
        upload.finish_and_register()

    syscalls = sweep.kill_after_each_syscall(send_again)

    assert sum(syscall.startswith("fsync") and "parts.log" in syscall for syscall in syscalls) == 2
    sweep.check_final_state()


def test_complete_multipart_killed_after_any_syscall_can_be_repeated(sweep: KillSweep) -> None:
    def complete() -> Attempt:
        upload = TwoPartUpload(sweep).start()
        upload.etags = {number: upload.send(number).headers["etag"] for number in (1, 2)}
        yield upload.complete
        assert upload.complete().status_code == 200
        sweep.expect_registered(sweep.register(upload.content, upload.path, upload.key), upload.content)

    syscalls = sweep.kill_after_each_syscall(complete)

    assert any(syscall.startswith("rename") and "/objects/" in syscall for syscall in syscalls)
    sweep.check_final_state()


def test_register_killed_after_any_syscall_and_repeated_returns_one_model(sweep: KillSweep) -> None:
    def register() -> Attempt:
        content, path = sweep.new_file()
        key = sweep.caller.upload(content, path)
        response = yield lambda: sweep.register(content, path, key)
        found_ids = sweep.find_model_ids(path)
        assert response is None or found_ids == [response.json()["id"]]
        repeated = sweep.register(content, path, key)
        sweep.expect_registered(repeated, content)
        assert sweep.find_model_ids(path) == [repeated.json()["id"]]
        assert repeated.status_code == (200 if found_ids else 201)
        assert found_ids in ([], sweep.find_model_ids(path))

    syscalls = sweep.kill_after_each_syscall(register)

    assert any(syscall.startswith("fdatasync") and LOG in syscall for syscall in syscalls)
    sweep.check_final_state()


def test_register_version_killed_after_any_syscall_and_repeated_adds_one_version(sweep: KillSweep) -> None:
    def register_version() -> Attempt:
        old, path = sweep.new_file()
        new, _ = sweep.new_file()
        model_id = sweep.register(old, path, sweep.caller.upload(old, path)).json()["id"]
        key = sweep.caller.upload(new, path)
        response = yield lambda: sweep.register(new, path, key, replaces=model_id)
        found_hashes = sweep.list_version_hashes(model_id)
        assert found_hashes in ([hash_of(old)], [hash_of(old), hash_of(new)])
        assert response is None or len(found_hashes) == 2
        repeated = sweep.register(new, path, key, replaces=model_id)
        assert (repeated.status_code, repeated.json()["id"]) == (200, model_id)
        sweep.expect_registered(repeated, new)
        assert sweep.list_version_hashes(model_id) == [hash_of(old), hash_of(new)]
        assert sweep.find_model_ids(path) == [model_id]
        assert sweep.find_model_ids(path, deleted="true") == []

    sweep.kill_after_each_syscall(register_version)

    sweep.check_final_state()


def test_delete_killed_after_any_syscall_leaves_model_active_or_in_trash(sweep: KillSweep) -> None:
    def delete() -> Attempt:
        content, path = sweep.new_file()
        model_id = sweep.register(content, path, sweep.caller.upload(content, path)).json()["id"]
        response = yield lambda: sweep.caller.delete(f"/models/{model_id}")
        active, deleted = sweep.find_model_ids(path), sweep.find_model_ids(path, deleted="true")
        assert active + deleted == [model_id]
        assert response is None or deleted
        assert sweep.caller.delete(f"/models/{model_id}").status_code == (204 if active else 404)
        assert sweep.find_model_ids(path) == []
        restored = sweep.caller.post(f"/models/{model_id}/restore")
        assert restored.status_code == 200, restored.text
        sweep.expect_registered(sweep.caller.get(f"/models/{model_id}"), content)

    sweep.kill_after_each_syscall(delete)

    sweep.check_final_state()
