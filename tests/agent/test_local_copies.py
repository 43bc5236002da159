"""Models made from a user file with the same content: copies or reflinks; hard links only if the setting allows."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.sync.inventory.filesystem import detect_reflinks
from tests.agent.agent_machine import AgentMachine
from tests.agent.malicious_registry import MaliciousRegistry, build_entry, build_manifest_response

INK = os.urandom(300_000)
_HOURS_AGO = 7 * 3600


@pytest.fixture
def reflink_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system with reflinks that is mounted from a file."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount the file system with reflinks")
    maker = shutil.which("mkfs.btrfs") or shutil.which("mkfs.xfs")
    if maker is None or shutil.which("mount") is None:
        pytest.skip("neither mkfs.btrfs (package btrfs-progs, which .ci/run installs) nor mkfs.xfs is there")
    image, folder = tmp_path / "disk.img", tmp_path / "reflinks"
    with image.open("wb") as file:
        file.truncate(320 * 1024 * 1024)
    folder.mkdir()
    subprocess.run([maker, "-q", str(image)], check=True)
    if subprocess.run(["mount", "-o", "loop", str(image), str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("this kernel or container cannot mount btrfs or xfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def copy_from_user_file(folder: Path, **settings: object) -> tuple[Path, Path, str | None]:
    """Let an agent place a model whose content a user's file has; return that file, the model, and how it was made."""
    desired = build_entry("loras/ink.pt", INK)
    with MaliciousRegistry([build_manifest_response(desired)], {}) as registry_server:
        machine = AgentMachine(folder / "machine", registry_server.url, "ak-x", "render-07", settings=settings)
        user_file = machine.models / "checkpoints" / "last.pt"
        user_file.parent.mkdir()
        user_file.write_bytes(INK)
        os.utime(user_file, (time.time() - _HOURS_AGO,) * 2)
        result = machine.reconcile_once()
    assert result is not None
    [replica_state] = result.replica_states
    return user_file, machine.models / "loras" / "ink.pt", replica_state.origin


def overwrite_in_place(file: Path) -> None:
    """Overwrite the first half of a file in place, as training does that saves its last result."""
    with file.open("r+b") as opened:
        opened.write(os.urandom(len(INK) // 2))


def skip_if_reflinks(folder: Path) -> Path:
    """Skip the test if a folder's file system has reflinks; else return the folder."""
    if detect_reflinks(folder, folder.stat().st_dev):
        pytest.skip("the test needs a folder without reflinks, and the temporary folder has them")
    return folder


def test_agent_copied_model_after_user_file_is_overwritten_is_unchanged(tmp_path: Path) -> None:
    user_file, model, origin = copy_from_user_file(skip_if_reflinks(tmp_path))
    overwrite_in_place(user_file)

    assert origin == "copy"
    assert model.read_bytes() == INK


def test_agent_reflinked_model_after_user_file_is_overwritten_is_unchanged(reflink_folder: Path) -> None:
    user_file, model, origin = copy_from_user_file(reflink_folder)
    overwrite_in_place(user_file)

    assert origin == "reflink"
    assert model.read_bytes() == INK


def test_agent_with_hard_links_setting_links_model_to_user_file(tmp_path: Path) -> None:
    user_file, model, origin = copy_from_user_file(skip_if_reflinks(tmp_path), hard_links=True)

    assert origin == "hard link"
    assert model.samefile(user_file)


def test_agent_disk_without_space_for_copy_uses_reflink(reflink_folder: Path) -> None:
    free = shutil.disk_usage(reflink_folder).free

    _, model, origin = copy_from_user_file(reflink_folder, keep_free=free - len(INK) // 2)

    assert origin == "reflink"
    assert model.read_bytes() == INK
