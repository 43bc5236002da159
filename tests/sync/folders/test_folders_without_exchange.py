"""Folder models on file systems that cannot exchange names, and where renames fail."""

import os
import shutil
import subprocess

import pytest

from tests.sync.real_machine import ModelStore, RealMachine
from tests.sync.sync_process import SyncProcess, build_strace_command

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace, which .ci/run installs, makes renames fail"),
]

PATH = "diffusers/flux"
OLD = {"a.json": b"{}", "unet/b.sft": os.urandom(50_000)}
NEW = OLD | {"a.json": b"{ }"}


def expected(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{PATH}/{name}": content for name, content in files.items()}


def test_folder_without_rename_flags_is_placed_replaced_and_repaired(machine: RealMachine, store: ModelStore) -> None:
    unsupported = build_strace_command("renameat2", "EINVAL")
    for files, version in ((OLD, 1), (NEW, 2), (NEW, 2)):
        said = SyncProcess(machine, [store.add_folder(PATH, files, version=version)], under=unsupported).run()
        assert said[PATH][:2] == ("ready", "fetched")
        assert machine.read_files() == expected(files)
        assert [(row.is_folder, row.is_confirmed) for row in machine.placements] == [(True, True)]
        (machine.models / PATH / "a.json").unlink()


def test_folder_on_another_disk_than_its_models_folder_says_what_to_do(machine: RealMachine, store: ModelStore) -> None:
    deep = machine.models / "diffusers/deep"
    deep.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", deep], check=False).returncode:
        pytest.skip("only root, as which .ci/run runs, may mount a file system")
    try:
        state = machine.sync(store.add_folder("diffusers/deep/flux", OLD))["diffusers/deep/flux"]
    finally:
        subprocess.run(["umount", "--lazy", deep], check=True)

    assert (state.state, "another disk" in (state.reason or "")) == ("blocked", True)
    assert store.requested_files == []
    assert machine.read_files() == {}
    assert machine.placements == []


def test_replace_that_fails_keeps_old_folder_and_its_row(machine: RealMachine, store: ModelStore) -> None:
    machine.sync(store.add_folder(PATH, OLD))
    rows = machine.placements
    new = store.add_folder(PATH, NEW, version=2)
    # The first call of the thread is the rename in the work folder, the second the exchange.
    fails = build_strace_command("renameat2", "EIO", "2+")

    state, *_ = SyncProcess(machine, [new], under=fails).run()[PATH]

    assert state == "failed"
    assert machine.read_files() == expected(OLD)
    assert [row.sha256 for row in machine.placements] == [row.sha256 for row in rows]
    assert machine.sync(new)[PATH].state == "ready"
    assert machine.read_files() == expected(NEW)
