"""``modelyard lock`` and ``modelyard sync --lock``: pinned models of workflows, and exit codes for scripts."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from modelyard.wire.hashes.lookups import MAX_MATCHES_PER_HASH
from tests.cli.conftest import Command
from tests.cli.test_check import LORA, UNKNOWN, write_workflow
from tests.client.model_files import write_model_file

pytestmark = pytest.mark.slow


def get_sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def ink(tmp_path: Path) -> Path:
    return write_model_file(tmp_path / "models" / "loras" / "ink.safetensors")


@pytest.fixture
def team_with_ink(signed_in: Command, ink: Path) -> Command:
    assert signed_in("push", ink).code == 0
    return signed_in


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    return write_workflow(tmp_path / "scene.json", LORA)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "comfy-lock.yaml"


def push_second_version(command: Command, ink: Path) -> Path:
    other = write_model_file(ink.parents[1] / "second" / "loras" / "ink.safetensors", seed=2)
    ran = command("push", other, "--replace")
    assert ran.code == 0, ran.err
    return other


def write_declaring_workflow(path: Path, sha256: str, name: str = "ink.safetensors", mode: int = 0) -> Path:
    declared = {"name": name, "directory": "loras", "hash": sha256, "hash_type": "SHA256"}
    node: dict[str, Any] = {"id": 1, "type": "LoraLoader", "widgets_values": [name, 1, 1], "mode": mode}
    node |= {"inputs": [], "outputs": [], "properties": {"models": [declared]}}
    path.write_text(json.dumps({"version": 0.4, "nodes": [node], "links": []}))
    return path


def write_entry(lock: Path, path: str, sha256: str) -> Path:
    entry = {"model": "m", "paths": [{"path": path}], "hashes": [{"hash": sha256, "type": "SHA256"}]}
    lock.write_text(json.dumps({"models": [entry]}))
    return lock


def test_lock_writes_the_path_and_hash_of_each_model(
    team_with_ink: Command, workflow: Path, lock: Path, ink: Path
) -> None:
    ran = team_with_ink("lock", workflow, "-o", lock)
    assert ran.code == 0, ran.err
    assert lock.read_text() == (
        "models:\n"
        "  - model: ink.safetensors\n"
        "    paths:\n"
        "      - path: models/loras/ink.safetensors\n"
        "    hashes:\n"
        f"      - hash: {get_sha256(ink)}\n"
        "        type: SHA256\n"
        "    type: loras\n"
    )
    before = lock.read_bytes()
    assert team_with_ink("lock", workflow, workflow, "-o", lock).code == 0
    assert lock.read_bytes() == before


def test_lock_to_standard_output_prints_the_file(team_with_ink: Command, workflow: Path, lock: Path) -> None:
    team_with_ink("lock", workflow, "-o", lock)
    ran = team_with_ink("lock", workflow, "-o", "-")
    assert (ran.code, ran.out) == (0, lock.read_text())


def test_lock_missing_model_exits_1_and_writes_nothing(team_with_ink: Command, tmp_path: Path, lock: Path) -> None:
    workflow = write_workflow(tmp_path / "scene.json", LORA, UNKNOWN)
    ran = team_with_ink("lock", workflow, "-o", lock)
    assert ran.code == 1
    assert "zz-none.safetensors" in ran.err
    assert not lock.exists()
    allowed = team_with_ink("lock", workflow, "-o", lock, "--allow-missing", "--json")
    assert allowed.code == 0
    document = json.loads(allowed.out)
    assert [each["name"] for each in document["missing_list"]] == ["zz-none.safetensors"]
    assert [each["model_path"] for each in document["model_list"]] == ["loras/ink.safetensors"]
    assert "ink.safetensors" in lock.read_text()


def test_lock_of_files_without_workflow_names_all_of_them_and_writes_nothing(
    team_with_ink: Command, workflow: Path, lock: Path, tmp_path: Path
) -> None:
    (tmp_path / "page.json").write_text("<html></html>")
    bad = [tmp_path / "page.json", tmp_path / "none.json"]
    ran = team_with_ink("lock", *bad, workflow, "-o", lock)
    assert (ran.code, lock.exists()) == (2, False)
    assert [file for file in bad if str(file) in ran.err] == bad


def test_lock_name_in_another_folder_is_missing_and_the_remedy_is_named(
    team_with_ink: Command, tmp_path: Path, lock: Path
) -> None:
    node = {"class_type": "LoraLoader", "inputs": {"lora_name": "old/ink.safetensors"}}
    ran = team_with_ink("lock", write_workflow(tmp_path / "scene.json", node), "-o", lock)
    assert ran.code == 1
    assert "old/ink.safetensors (the team has ink.safetensors)" in ran.err
    assert "--rewrite" in ran.err


def test_lock_existing_file_keeps_other_sections(team_with_ink: Command, workflow: Path, lock: Path) -> None:
    others = "# ours\nauth:\n  example.com: ${TOKEN}  # secret\n"
    lock.write_text(f"{others}models: []\n\n# nodes\ncustom_nodes: {{}}\n")
    assert team_with_ink("lock", workflow, "-o", lock).code == 0
    text = lock.read_text()
    assert text.startswith(f"{others}models:\n  - model: ink.safetensors\n")
    assert text.endswith("    type: loras\n\n# nodes\ncustom_nodes: {}\n")


def test_lock_existing_other_file_is_refused_and_stays(team_with_ink: Command, workflow: Path) -> None:
    before = workflow.read_bytes()
    ran = team_with_ink("lock", workflow, "-o", workflow)
    assert ran.code == 2
    assert "scene.json" in ran.err
    assert workflow.read_bytes() == before


def test_lock_declared_hash_locks_the_older_version(
    team_with_ink: Command, ink: Path, tmp_path: Path, lock: Path
) -> None:
    first = get_sha256(ink)
    push_second_version(team_with_ink, ink)
    workflow = write_declaring_workflow(tmp_path / "declared.json", first)
    ran = team_with_ink("lock", workflow, "-o", lock, "--json")
    assert ran.code == 0, ran.err
    assert [each["sha256"] for each in json.loads(ran.out)["model_list"]] == [first]


def test_lock_into_missing_folder_is_refused(team_with_ink: Command, workflow: Path, tmp_path: Path) -> None:
    ran = team_with_ink("lock", workflow, "-o", tmp_path / "none" / "comfy-lock.yaml")
    assert ran.code == 1
    assert not (tmp_path / "none").exists()


def test_lock_existing_file_keeps_its_mode(team_with_ink: Command, workflow: Path, lock: Path) -> None:
    lock.touch(mode=0o600)
    assert team_with_ink("lock", workflow, "-o", lock).code == 0
    assert lock.stat().st_mode & 0o777 == 0o600


def test_lock_two_declared_contents_of_one_path_are_refused(
    team_with_ink: Command, ink: Path, tmp_path: Path, lock: Path
) -> None:
    second = push_second_version(team_with_ink, ink)
    workflows = [
        write_declaring_workflow(tmp_path / f"{number}.json", get_sha256(file))
        for number, file in enumerate((ink, second))
    ]
    ran = team_with_ink("lock", *workflows, "-o", lock)
    assert ran.code == 2
    assert "two contents for one path" in ran.err
    assert not lock.exists()


def test_lock_content_that_the_team_has_elsewhere_is_locked_at_the_name_of_the_workflow(
    team_with_ink: Command, ink: Path, tmp_path: Path, lock: Path
) -> None:
    workflow = write_declaring_workflow(tmp_path / "declared.json", get_sha256(ink), "old\\brush.safetensors")
    ran = team_with_ink("lock", workflow, "-o", lock, "--json")
    assert ran.code == 0, ran.err
    [locked] = json.loads(ran.out)["model_list"]
    assert (locked["model_path"], locked["sha256"]) == ("loras/old/brush.safetensors", get_sha256(ink))


def test_lock_declared_content_that_the_team_lacks_locks_its_file_and_says_so(
    team_with_ink: Command, ink: Path, tmp_path: Path, lock: Path
) -> None:
    ran = team_with_ink("lock", write_declaring_workflow(tmp_path / "declared.json", "0" * 64), "-o", lock)
    assert ran.code == 0
    assert "The workflow declares another hash" in ran.err
    assert get_sha256(ink) in lock.read_text()


def test_lock_muted_node_whose_model_is_missing_is_no_error(team_with_ink: Command, tmp_path: Path, lock: Path) -> None:
    workflow = write_declaring_workflow(tmp_path / "muted.json", "0" * 64, "none.safetensors", mode=2)
    assert team_with_ink("lock", workflow, "-o", lock).code == 0
    assert lock.read_text() == "models: []\n"


def test_lock_without_workflow_is_refused(team_with_ink: Command) -> None:
    ran = team_with_ink("lock")
    assert ran.code == 2
    assert "--check" in ran.err


def test_lock_check_current_lock_exits_0(team_with_ink: Command, workflow: Path, lock: Path) -> None:
    team_with_ink("lock", workflow, "-o", lock)
    ran = team_with_ink("lock", "--check", lock, workflow)
    assert (ran.code, ran.err) == (0, "")
    assert "locks 1 model, the registry has it." in ran.out


def test_lock_check_newer_version_is_shown_and_exits_0(
    team_with_ink: Command, workflow: Path, lock: Path, ink: Path
) -> None:
    team_with_ink("lock", workflow, "-o", lock)
    push_second_version(team_with_ink, ink)
    ran = team_with_ink("lock", "--check", lock)
    assert ran.code == 0
    assert "version 1; machines get version 2" in ran.out


def test_lock_check_unknown_content_and_unlocked_model_exit_1(
    team_with_ink: Command, workflow: Path, lock: Path
) -> None:
    write_entry(lock, "models/vae/fine.safetensors", "0" * 64)
    ran = team_with_ink("lock", "--check", lock, workflow, "--json")
    assert ran.code == 1
    document = json.loads(ran.out)
    assert [(each["model_path"], each["state"]) for each in document["model_list"]] == [
        ("vae/fine.safetensors", "missing")
    ]
    assert [each["model_path"] for each in document["unlocked_list"]] == ["loras/ink.safetensors"]
    assert team_with_ink("lock", "--check", lock, "-q").out == "vae/fine.safetensors\n"


def test_lock_check_content_at_other_path_exits_0_and_says_where(team_with_ink: Command, lock: Path, ink: Path) -> None:
    write_entry(lock, "models/loras/old name.safetensors", get_sha256(ink))
    ran = team_with_ink("lock", "--check", lock)
    assert ran.code == 0
    assert "the team has it at loras/ink.safetensors" in ran.out


def test_lock_check_content_of_very_many_newer_models_is_found_at_its_path(
    team_with_ink: Command, workflow: Path, lock: Path, ink: Path
) -> None:
    assert team_with_ink("lock", workflow, "-o", lock).code == 0
    copies = [write_model_file(ink.with_name(f"copy-{number}.safetensors")) for number in range(MAX_MATCHES_PER_HASH)]
    assert team_with_ink("push", *copies).code == 0
    ran = team_with_ink("lock", "--check", lock, "--json")
    assert (ran.code, [each["state"] for each in json.loads(ran.out)["model_list"]]) == (0, ["current"])
    push_second_version(team_with_ink, ink)
    ran = team_with_ink("lock", "--check", lock)
    assert ran.code == 0
    assert "version 1; machines get version 2" in ran.out


def test_lock_check_hostile_path_is_refused(team_with_ink: Command, lock: Path) -> None:
    ran = team_with_ink("lock", "--check", write_entry(lock, "models/loras/../../x.safetensors", "0" * 64))
    assert ran.code == 2
    assert "comfy-lock.yaml" in ran.err
