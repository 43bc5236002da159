"""``modelyard sync --lock``: a machine holds exactly the locked content, against a real registry."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.test_check import LORA, write_workflow
from tests.cli.test_lock import get_sha256
from tests.client.model_files import write_model_file

pytestmark = pytest.mark.slow


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return write_model_file(tmp_path / "first" / "loras" / "ink.safetensors")


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return write_model_file(tmp_path / "second" / "loras" / "ink.safetensors", seed=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "comfy-lock.yaml"


@pytest.fixture
def locked_first(signed_in: Command, first: Path, second: Path, lock: Path, tmp_path: Path) -> Command:
    """Lock a workflow at the first version, then push a second version and another model."""
    assert signed_in("push", first).code == 0
    ran = signed_in("lock", write_workflow(tmp_path / "scene.json", LORA), "-o", lock)
    assert ran.code == 0, ran.err
    assert signed_in("push", second, "--replace").code == 0
    assert signed_in("push", write_model_file(tmp_path / "second" / "vae" / "fine.safetensors", seed=3)).code == 0
    return signed_in


@pytest.fixture
def write_lock(lock: Path) -> Callable[..., Path]:
    """Return a function that writes a lock with the content of a file at each path."""

    def write(*entries: tuple[str, str]) -> Path:
        models = [
            {"type": path.split("/")[0], "filename": path.split("/")[1], "sha256": digest} for path, digest in entries
        ]
        lock.write_text(json.dumps({"schema": "comfy-build/1", "definition": {"models": models}}))
        return lock

    return write


def list_files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def test_sync_lock_places_the_locked_version_and_nothing_else(
    locked_first: Command, lock: Path, folder: Path, first: Path
) -> None:
    ran = locked_first("sync", folder, "--lock", lock)
    assert ran.code == 0, ran.err
    assert list_files(folder) == {"loras/ink.safetensors": first.read_bytes()}
    again = json.loads(locked_first("sync", folder, "--lock", lock, "--json").out)
    assert [(each["model_path"], each["version"]) for each in again["plan"]["keep"]] == [("loras/ink.safetensors", 1)]


def test_sync_lock_after_sync_returns_to_the_locked_content(
    locked_first: Command, lock: Path, folder: Path, first: Path, second: Path
) -> None:
    assert locked_first("sync", folder).code == 0
    assert list_files(folder)["loras/ink.safetensors"] == second.read_bytes()
    ran = locked_first("sync", folder, "--lock", lock)
    assert ran.code == 0, ran.err
    assert list_files(folder) == {"loras/ink.safetensors": first.read_bytes()}


def test_sync_lock_two_machines_get_the_same_files(
    locked_first: Command, process: Command, lock: Path, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "ComfyUI" / "models"
    other.mkdir(parents=True)
    assert locked_first("sync", folder).code == 0
    for machine in (folder, other.parent):
        ran = process("sync", machine, "--lock", lock)
        assert ran.code == 0, ran.err
    assert list_files(folder) == list_files(other)


def test_sync_lock_dry_run_changes_nothing(locked_first: Command, lock: Path, folder: Path) -> None:
    ran = locked_first("sync", folder, "--lock", lock, "--dry-run")
    assert ran.code == 0, ran.err
    assert "fetch    loras/ink.safetensors" in ran.err
    assert list(folder.iterdir()) == []


def test_sync_lock_user_file_with_other_content_stays(locked_first: Command, lock: Path, folder: Path) -> None:
    (folder / "loras").mkdir()
    (folder / "loras" / "ink.safetensors").write_bytes(b"user file")
    ran = locked_first("sync", folder, "--lock", lock)
    assert ran.code == 1
    assert list_files(folder) == {"loras/ink.safetensors": b"user file"}


def test_sync_lock_unknown_content_names_it_and_changes_nothing(
    locked_first: Command, write_lock: Callable[..., Path], folder: Path, first: Path
) -> None:
    lock = write_lock(("loras/ink.safetensors", get_sha256(first)), ("vae/gone.sft", "0" * 64))
    ran = locked_first("sync", folder, "--lock", lock)
    assert ran.code == 4
    assert f'"vae/gone.sft" ({"0" * 64})' in ran.err
    error = json.loads(locked_first("sync", folder, "--lock", lock, "--json").out)["error"]
    assert error["missing"] == [{"model_path": "vae/gone.sft", "sha256": "0" * 64}]
    assert list(folder.iterdir()) == []


def test_sync_lock_two_versions_and_two_paths_of_one_model_are_all_placed(
    locked_first: Command, write_lock: Callable[..., Path], folder: Path, first: Path, second: Path
) -> None:
    old, new = get_sha256(first), get_sha256(second)
    lock = write_lock(("loras/old.safetensors", old), ("loras/new.safetensors", new), ("vae/same.safetensors", new))
    ran = locked_first("sync", folder, "--lock", lock)
    assert ran.code == 0, ran.err
    assert list_files(folder) == {
        "loras/old.safetensors": first.read_bytes(),
        "loras/new.safetensors": second.read_bytes(),
        "vae/same.safetensors": second.read_bytes(),
    }


def test_sync_lock_model_below_another_file_is_refused(
    locked_first: Command, lock: Path, folder: Path, first: Path
) -> None:
    digest = get_sha256(first)
    paths = [{"path": "models/loras/a.safetensors"}, {"path": "models/loras/a.safetensors/b.safetensors"}]
    hashes = [{"hash": digest, "type": "SHA256"}]
    lock.write_text(json.dumps({"models": [{"model": "ink", "paths": paths, "hashes": hashes}]}))
    ran = locked_first("sync", folder, "--lock", lock)
    assert ran.code == 2
    assert "no file can be below it" in ran.err
    assert list(folder.iterdir()) == []


def test_sync_lock_disabled_model_is_placed(locked_first: Command, lock: Path, folder: Path, first: Path) -> None:
    assert locked_first("disable", "ink").code == 0
    ran = locked_first("sync", folder, "--lock", lock)
    assert ran.code == 0, ran.err
    assert list_files(folder) == {"loras/ink.safetensors": first.read_bytes()}


def test_sync_lock_model_that_requires_a_label_is_placed(
    locked_first: Command, lock: Path, folder: Path, first: Path
) -> None:
    assert locked_first("edit", "ink", "--label", "gpu24").code == 0
    ran = locked_first("sync", folder, "--lock", lock)
    assert ran.code == 0, ran.err
    assert list_files(folder) == {"loras/ink.safetensors": first.read_bytes()}


def test_sync_lock_model_in_the_trash_is_named_as_missing(locked_first: Command, lock: Path, folder: Path) -> None:
    assert locked_first("rm", "ink", "--yes").code == 0
    ran = locked_first("sync", folder, "--lock", lock)
    assert ran.code == 4
    assert "loras/ink.safetensors" in ran.err


def test_sync_lock_with_label_is_refused(signed_in: Command, lock: Path, folder: Path) -> None:
    assert signed_in("sync", folder, "--lock", lock, "--label", "gpu24").code == 2


def test_sync_lock_absent_lock_names_it(signed_in: Command, lock: Path, folder: Path) -> None:
    ran = signed_in("sync", folder, "--lock", lock)
    assert ran.code == 1
    assert "comfy-lock.yaml" in ran.err


def test_sync_lock_with_agent_key_is_refused(
    locked_first: Command, lock: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = locked_first("key", "create", "render-07", "--kind", "agent", "--quiet").out.strip()
    monkeypatch.setenv("MODELYARD_TOKEN", key)
    monkeypatch.delenv("MODELYARD_TEAM")
    ran = locked_first("sync", folder, "--lock", lock)
    assert ran.code == 2
    assert "manifest" in ran.err
