"""Placing files where system calls are unsupported or fail."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from modelyard.sync.apply.files.dir_handles import OpenFolder
from tests.sync.real_machine import ModelStore, RealMachine, hash_bytes
from tests.sync.sync_process import SyncProcess, build_strace_command

pytestmark = pytest.mark.slow
AGAIN = pytest.mark.extended(reason="tests of test_placement.py again, under strace and without rename flags")

INK = os.urandom(300_000)
WASH = os.urandom(300_000)

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace makes system calls fail")


@needs_strace
@AGAIN
@pytest.mark.parametrize("calls", ["renameat2", "renameat2,linkat"])
def test_place_without_rename_flags_succeeds_with_and_without_hard_links(
    machine: RealMachine, store: ModelStore, calls: str
) -> None:
    machine.sync(store.add_model("loras/old.sft", WASH))

    said = SyncProcess(
        machine, [store.add_model("loras/ink.sft", INK)], under=build_strace_command(calls, "EINVAL")
    ).run()

    assert said["loras/ink.sft"][:2] == ("ready", "fetched")
    assert machine.read_files() == {"loras/ink.sft": INK}
    assert machine.list_work_files() == [f"trash/{hash_bytes(WASH)}"]


@needs_strace
@AGAIN
def test_replace_without_exchange_places_new_file_and_trashes_old(machine: RealMachine, store: ModelStore) -> None:
    machine.sync(store.add_model("loras/ink.sft", INK))

    said = SyncProcess(
        machine, [store.add_model("loras/ink.sft", WASH)], under=build_strace_command("renameat2", "EINVAL")
    ).run()

    assert said["loras/ink.sft"][:2] == ("ready", "fetched")
    assert machine.read_files() == {"loras/ink.sft": WASH}
    assert machine.list_work_files() == [f"trash/{hash_bytes(INK)}"]
    assert machine.plan(store.add_model("loras/ink.sft", WASH)).is_empty


@needs_strace
def test_place_rename_across_file_systems_leaves_only_the_model(machine: RealMachine, store: ModelStore) -> None:
    said = SyncProcess(
        machine, [store.add_model("loras/ink.sft", INK)], under=build_strace_command("renameat2", "EXDEV", "1")
    ).run()

    assert said["loras/ink.sft"][:2] == ("ready", "fetched")
    assert machine.read_files() == {"loras/ink.sft": INK}
    assert machine.list_work_files() == []
    assert machine.plan(store.add_model("loras/ink.sft", INK)).is_empty


def test_apply_type_folder_on_other_disk_places_and_replaces(
    machine: RealMachine, store: ModelStore, small_disk: Path
) -> None:
    mounted = machine.models / "loras" / "mounted"
    mounted.mkdir(parents=True)
    subprocess.run(["mount", "--bind", small_disk, mounted], check=True)
    try:
        ink = store.add_model("loras/mounted/ink.sft", INK)
        assert machine.sync(ink)["loras/mounted/ink.sft"].state == "ready"
        assert machine.read_files() == {"loras/mounted/ink.sft": INK}
        assert machine.plan(ink).is_empty

        wash = store.add_model("loras/mounted/ink.sft", WASH)
        assert machine.sync(wash)["loras/mounted/ink.sft"].state == "ready"
        assert machine.read_files() == {"loras/mounted/ink.sft": WASH}
        machine.sync()
        assert machine.read_files() == {}
        assert list(small_disk.iterdir()) == []
    finally:
        subprocess.run(["umount", "--lazy", mounted], check=True)


@needs_strace
@pytest.mark.parametrize("when", range(1, 16))
def test_place_failed_fsync_leaves_no_incomplete_file_and_retry_succeeds(
    machine: RealMachine, store: ModelStore, when: int
) -> None:
    ink = store.add_model("loras/ink.sft", INK)

    said = SyncProcess(machine, [ink], under=build_strace_command("fsync,fdatasync", "EIO", str(when))).run()

    state = said.get("loras/ink.sft", ("none", "", ""))[0]
    assert state in {"ready", "failed", "none"}
    assert set(machine.read_files().values()) <= {INK}
    assert machine.sync(ink)["loras/ink.sft"].state == "ready"
    assert machine.read_files() == {"loras/ink.sft": INK}


@needs_strace
def test_place_full_disk_blocks_model_with_reason_and_retry_succeeds(machine: RealMachine, store: ModelStore) -> None:
    ink = store.add_model("loras/ink.sft", INK)
    partial = machine.work / f"{hash_bytes(INK)}.{machine.agent_id}.part"
    full = (*build_strace_command("pwrite64,pwritev,write,ftruncate,fallocate", "ENOSPC"), "-P", str(partial))

    said = SyncProcess(machine, [ink], under=full).run()

    assert said["loras/ink.sft"][0] == "blocked"
    assert "Free some space" in said["loras/ink.sft"][2]
    assert machine.read_files() == {}
    assert machine.sync(ink)["loras/ink.sft"].state == "ready"


@needs_strace
@pytest.mark.extended(reason="a full disk at each write; test_place_full_disk_blocks_model_with_reason has one")
@pytest.mark.parametrize("when", range(1, 13))
def test_place_disk_full_at_any_write_leaves_no_incomplete_file_and_retry_succeeds(
    machine: RealMachine, store: ModelStore, when: int
) -> None:
    machine.sync(store.add_model("loras/ink.sft", WASH))
    models = store.add_model("loras/ink.sft", INK), store.add_model("loras/wash.sft", WASH)

    SyncProcess(
        machine, models, under=build_strace_command("pwrite64,pwritev,ftruncate,fallocate", "ENOSPC", str(when))
    ).run()

    seen = machine.read_files()
    assert seen.get("loras/ink.sft", INK) in (INK, WASH)
    assert seen.get("loras/wash.sft", WASH) == WASH
    assert {replica_state.state for replica_state in machine.sync(*models).values()} == {"ready"}
    assert machine.read_files() == {"loras/ink.sft": INK, "loras/wash.sft": WASH}


def test_exchange_failed_fsync_leaves_each_file_its_name(
    machine: RealMachine, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.sync(store.add_model("loras/ink.sft", INK))
    file = machine.models / "loras/ink.sft"
    failed: list[Path] = []
    sync = OpenFolder.sync_to_disk

    def synced(folder: OpenFolder) -> None:
        if not failed and file.read_bytes() == WASH:
            failed.append(folder.path)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(folder)

    monkeypatch.setattr(OpenFolder, "sync_to_disk", synced)
    wash = store.add_model("loras/ink.sft", WASH)

    assert machine.sync(wash)["loras/ink.sft"].state == "failed"

    assert failed
    assert machine.read_files() == {"loras/ink.sft": INK}
    assert [part.read_bytes() for part in machine.work.glob("*.part")] == [WASH]
    assert machine.sync(wash)["loras/ink.sft"].state == "ready"
    assert machine.read_files() == {"loras/ink.sft": WASH}
