"""Garbage collection killed after every system call: rows go before bytes, and the next run removes the rest."""

import itertools
import shutil
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.forked_server import ForkedServer
from tests.journeys.kill_sweep import check_no_leftover_files, hash_stored_blobs, read_blob_rows
from tests.journeys.syscall_killer import SyscallKiller
from tests.journeys.upload_sizes import PART_SIZE
from tests.server.harness import hash_of, make_model_file

KEPT = make_model_file("kept")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ForkedServer]:
    """Yield a stopped registry without trash time: a model, a deleted model, an unknown upload, a probe object."""
    with ForkedServer(tmp_path / "data", part_size=str(PART_SIZE), trash_days="0") as server:
        owner = server.owner()
        owner.register(KEPT, "loras/kept.safetensors")
        deleted = owner.register(make_model_file("gone"), "loras/gone.safetensors")
        key = owner.presign(make_model_file("lost"), "loras/lost.safetensors").json()["storage_key"]
        owner.post("/uploads/multipart/initiate", storage_key=key, file_size=len(make_model_file("lost")))
        owner.delete(f"/models/{deleted}")
        assert server.signal_and_wait(signal.SIGTERM) == 0
        _make_open_upload_unknown(server.data_dir)
        _add_leftover_probe_object(server.data_dir)
        yield server


def _make_open_upload_unknown(folder: Path) -> None:
    """Rename the folder of the one open upload, as if a server had been killed before it recorded the upload's id."""
    [upload] = (folder / "uploads").iterdir()
    upload.rename(upload.with_name("0" * 32))
    about = upload.with_name("0" * 32) / "about.json"
    about.write_text(about.read_text().replace(upload.name, "0" * 32))


def _add_leftover_probe_object(folder: Path) -> None:
    """Copy an object to the probe's prefix, as a server leaves it that is killed while it probes its store."""
    [kept, *_] = (folder / "objects" / "models").glob("*/*")
    shutil.copytree(kept, folder / "objects" / "probe" / str(uuid.UUID(int=0)) / str(uuid.uuid4()))


def test_collect_garbage_killed_after_any_syscall_loses_no_model_and_next_run_removes_the_rest(
    server: ForkedServer,
) -> None:
    before = server.data_dir
    for kill_after in itertools.count(1):
        server.data_dir = before.with_name(f"data{kill_after}")
        shutil.copytree(before, server.data_dir)
        server.gate.touch()
        server.start_command("collect-garbage", "--grace", "0")
        # Opening the data folder makes system calls too; the collection begins with its first database write.
        with SyscallKiller(server.pid, kill_after, since="-wal>") as killer:
            server.gate.unlink()
            code = server.wait_for_exit()
        assert code == (-signal.SIGKILL if killer.has_killed else 0)
        assert read_blob_rows(server.data_dir).items() <= hash_stored_blobs(server.data_dir).items()

        assert server.run_command("collect-garbage", "--grace", "0") == 0
        check_no_leftover_files(server.data_dir)
        assert [f"sha256:{sha256}" for sha256 in read_blob_rows(server.data_dir).values()] == [hash_of(KEPT)]
        if not killer.has_killed:
            break
    assert any(syscall.startswith("rename") and "/objects/" in syscall for syscall in killer.syscalls)
    assert any(syscall.startswith("rename") and "/uploads/" in syscall for syscall in killer.syscalls)

    server.start()
    [model] = server.owner().get("/models").json()["model_list"]
    assert (model["file_hash"], model["verification"]) == (hash_of(KEPT), "verified")
