"""``push --dry-run`` promises no more than a push does."""

import json
import pickle
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.client.model_files import write_model_file


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder with one good file and four that a registry refuses."""
    folder = tmp_path / "models" / "loras"
    ink = write_model_file(folder / "ink.safetensors", 5000)
    (folder / "page.safetensors").write_text("<!DOCTYPE html><html><body>Sign in</body></html>")
    (folder / "cut.safetensors").write_bytes(ink.read_bytes()[:3000])
    (folder / "header.safetensors").write_bytes(ink.read_bytes()[:20])
    (folder / "old.ckpt").write_bytes(pickle.dumps({"weight": 1}))
    (folder / "renamed.gguf").write_bytes(ink.read_bytes())
    return folder


def test_dry_run_refuses_what_a_push_refuses_for_the_same_reason(signed_in: Command, mixed: Path) -> None:
    dry = signed_in("push", mixed, "--dry-run")
    planned = json.loads(signed_in("push", mixed, "--dry-run", "--json").out)["plan"]
    plans = {Path(each["file"]).name: each for each in planned}
    pushed = signed_in("push", mixed, "--json")
    refused = {
        Path(each["file"]).name: each["error"]["detail"] for each in json.loads(pushed.out)["files"] if each["error"]
    }
    assert set(refused) == {"page.safetensors", "cut.safetensors", "header.safetensors", "old.ckpt", "renamed.gguf"}
    assert {name: plan["reason"] for name, plan in plans.items() if plan["is_refused"]} == refused
    assert dry.code == pushed.code == 4
    assert f"would be refused (html page)  {mixed / 'page.safetensors'}  as models/loras/page.safetensors" in dry.out
    assert "\n  This is an HTML page, not a model" in dry.out
    assert f"would push  {mixed / 'ink.safetensors'}" in dry.out
    assert "the registry reads each whole file" in dry.err


def test_dry_run_with_pickle_policy_scan_leaves_pickles_to_the_registry(signed_in: Command, mixed: Path) -> None:
    assert signed_in("team", "settings", "--pickle-policy", "scan").code == 0
    dry = signed_in("push", mixed / "old.ckpt", "--dry-run")
    assert dry.code == 0
    assert dry.out.startswith("would push ")
