"""Placing where kernels and disks do not do as they are asked."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from modelyard.client.sync.acting.folders import Folder
from tests.client.sync.real import RealMachine, Store, sha256
from tests.client.sync.syncing import Syncing, failing

INK = os.urandom(300_000)
WASH = os.urandom(300_000)

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace makes system calls fail")


@needs_strace
@pytest.mark.parametrize("calls", ["renameat2", "renameat2,linkat"])
def test_a_file_system_that_cannot_rename_or_link_as_asked_is_served_otherwise(
    machine: RealMachine, store: Store, calls: str
) -> None:
    machine.sync(store.model("loras/old.sft", WASH))

    said = Syncing(machine, [store.model("loras/ink.sft", INK)], under=failing(calls, "EINVAL")).go()

    assert said["loras/ink.sft"][:2] == ("ready", "fetched")
    assert machine.visible() == {"loras/ink.sft": INK}
    assert machine.left() == [f"trash/{sha256(WASH)}"]


@needs_strace
def test_a_file_system_that_cannot_exchange_two_files_replaces_one_in_two_steps(
    machine: RealMachine, store: Store
) -> None:
    machine.sync(store.model("loras/ink.sft", INK))

    said = Syncing(machine, [store.model("loras/ink.sft", WASH)], under=failing("renameat2", "EINVAL")).go()

    assert said["loras/ink.sft"][:2] == ("ready", "fetched")
    assert machine.visible() == {"loras/ink.sft": WASH}
    assert machine.left() == [f"trash/{sha256(INK)}"]
    assert machine.plan(store.model("loras/ink.sft", WASH)).is_done


@needs_strace
def test_a_rename_to_another_file_system_becomes_a_copy_beside_the_name(machine: RealMachine, store: Store) -> None:
    said = Syncing(machine, [store.model("loras/ink.sft", INK)], under=failing("renameat2", "EXDEV", "1")).go()

    assert said["loras/ink.sft"][:2] == ("ready", "fetched")
    assert machine.visible() == {"loras/ink.sft": INK}
    assert machine.left() == []
    assert machine.plan(store.model("loras/ink.sft", INK)).is_done


def test_a_folder_on_another_disk_is_served_too(machine: RealMachine, store: Store, small_disk: Path) -> None:
    mounted = machine.models / "loras" / "mounted"
    mounted.mkdir(parents=True)
    subprocess.run(["mount", "--bind", small_disk, mounted], check=True)
    try:
        ink = store.model("loras/mounted/ink.sft", INK)
        assert machine.sync(ink)["loras/mounted/ink.sft"].state == "ready"
        assert machine.visible() == {"loras/mounted/ink.sft": INK}
        assert machine.plan(ink).is_done

        wash = store.model("loras/mounted/ink.sft", WASH)
        assert machine.sync(wash)["loras/mounted/ink.sft"].state == "ready"
        assert machine.visible() == {"loras/mounted/ink.sft": WASH}
        machine.sync()
        assert machine.visible() == {}
        assert list(small_disk.iterdir()) == []
    finally:
        subprocess.run(["umount", "--lazy", mounted], check=True)


@needs_strace
@pytest.mark.parametrize("when", range(1, 16))
def test_a_failed_fsync_places_nothing_that_is_not_whole_and_the_next_time_is_right(
    machine: RealMachine, store: Store, when: int
) -> None:
    ink = store.model("loras/ink.sft", INK)

    said = Syncing(machine, [ink], under=failing("fsync,fdatasync", "EIO", str(when))).go()

    state = said.get("loras/ink.sft", ("none", "", ""))[0]
    assert state in {"ready", "failed", "none"}
    assert set(machine.visible().values()) <= {INK}
    assert machine.sync(ink)["loras/ink.sft"].state == "ready"
    assert machine.visible() == {"loras/ink.sft": INK}


@needs_strace
def test_a_disk_that_is_full_for_one_file_blocks_it_in_words_and_the_next_time_is_right(
    machine: RealMachine, store: Store
) -> None:
    ink = store.model("loras/ink.sft", INK)
    partial = machine.work / f"{sha256(INK)}.{machine.agent_id}.part"
    full = (*failing("pwrite64,pwritev,write,ftruncate,fallocate", "ENOSPC"), "-P", str(partial))

    said = Syncing(machine, [ink], under=full).go()

    assert said["loras/ink.sft"][0] == "blocked"
    assert "Free some space" in said["loras/ink.sft"][2]
    assert machine.visible() == {}
    assert machine.sync(ink)["loras/ink.sft"].state == "ready"


@needs_strace
@pytest.mark.parametrize("when", range(1, 13))
def test_a_disk_that_is_full_at_any_write_places_nothing_that_is_not_whole_and_the_next_time_is_right(
    machine: RealMachine, store: Store, when: int
) -> None:
    machine.sync(store.model("loras/ink.sft", WASH))
    models = store.model("loras/ink.sft", INK), store.model("loras/wash.sft", WASH)

    Syncing(machine, models, under=failing("pwrite64,pwritev,ftruncate,fallocate", "ENOSPC", str(when))).go()

    seen = machine.visible()
    assert seen.get("loras/ink.sft", INK) in (INK, WASH)
    assert seen.get("loras/wash.sft", WASH) == WASH
    assert {standing.state for standing in machine.sync(*models).values()} == {"ready"}
    assert machine.visible() == {"loras/ink.sft": INK, "loras/wash.sft": WASH}


def test_an_exchange_that_does_not_reach_the_disk_leaves_each_file_its_name(
    machine: RealMachine, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.sync(store.model("loras/ink.sft", INK))
    file = machine.models / "loras/ink.sft"
    failed: list[Path] = []
    sync = Folder.sync

    def synced(folder: Folder) -> None:
        if not failed and file.read_bytes() == WASH:
            failed.append(folder.path)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(folder)

    monkeypatch.setattr(Folder, "sync", synced)
    wash = store.model("loras/ink.sft", WASH)

    assert machine.sync(wash)["loras/ink.sft"].state == "failed"

    assert failed
    assert machine.visible() == {"loras/ink.sft": INK}
    assert [part.read_bytes() for part in machine.work.glob("*.part")] == [WASH]
    assert machine.sync(wash)["loras/ink.sft"].state == "ready"
    assert machine.visible() == {"loras/ink.sft": WASH}
