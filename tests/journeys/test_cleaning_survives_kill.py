"""The clean-up, killed after every step: rows go before bytes, and the next clean-up finds what is left."""

import itertools
import shutil
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.sizes import PART_SIZE
from tests.journeys.stepping import Stepping
from tests.journeys.sweep import blobs_of, check_no_litter, hashes_of
from tests.journeys.swift import SwiftServer
from tests.server.world import a_model_file, hash_of

KEPT = a_model_file("kept")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SwiftServer]:
    """A registry that keeps no trash, and has ended; it holds a model, one that was deleted, and nameless bytes."""
    with SwiftServer(tmp_path / "data", part_size=str(PART_SIZE), trash_days="0") as server:
        owner = server.owner()
        owner.register(KEPT, "loras/kept.safetensors")
        gone = owner.register(a_model_file("gone"), "loras/gone.safetensors")
        key = owner.presign(a_model_file("lost"), "loras/lost.safetensors").json()["storage_key"]
        owner.post("/uploads/multipart/initiate", storage_key=key, file_size=len(a_model_file("lost")))
        owner.delete(f"/models/{gone}")
        assert server.end(signal.SIGTERM) == 0
        _lose_the_name_of_what_is_open(server.data_dir)
        _leave_a_probe(server.data_dir)
        yield server


def _lose_the_name_of_what_is_open(folder: Path) -> None:
    """Leave the parts of an upload as a server does that is killed before it notes where they are."""
    [upload] = (folder / "uploads").iterdir()
    upload.rename(upload.with_name("0" * 32))
    about = upload.with_name("0" * 32) / "about.json"
    about.write_text(about.read_text().replace(upload.name, "0" * 32))


def _leave_a_probe(folder: Path) -> None:
    """Leave what a server does that is killed while it tries out its store."""
    [kept, *_] = (folder / "objects" / "models").glob("*/*")
    shutil.copytree(kept, folder / "objects" / "probe" / str(uuid.UUID(int=0)) / str(uuid.uuid4()))


def test_cleaning_up_killed_at_any_step_loses_no_model_and_the_next_time_leaves_no_litter(server: SwiftServer) -> None:
    before = server.data_dir
    for number in itertools.count(1):
        server.data_dir = before.with_name(f"data{number}")
        shutil.copytree(before, server.data_dir)
        server.gate.touch()
        server.begin("collect-garbage", "--grace", "0")
        # It opens the folder as every start does; what it cleans, it begins in the database.
        with Stepping(server.pid, number, since="-wal>") as stepping:
            server.gate.unlink()
            code = server.wait()
        assert code == (-signal.SIGKILL if stepping.has_killed else 0)
        assert blobs_of(server.data_dir).items() <= hashes_of(server.data_dir).items()

        assert server.command("collect-garbage", "--grace", "0") == 0
        check_no_litter(server.data_dir)
        assert [f"sha256:{sha256}" for sha256 in blobs_of(server.data_dir).values()] == [hash_of(KEPT)]
        if not stepping.has_killed:
            break
    assert any(step.startswith("rename") and "/objects/" in step for step in stepping.steps)
    assert any(step.startswith("rename") and "/uploads/" in step for step in stepping.steps)

    server.start()
    [model] = server.owner().get("/models").json()["model_list"]
    assert (model["file_hash"], model["verification"]) == (hash_of(KEPT), "verified")
