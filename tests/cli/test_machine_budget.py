"""``machine budget``: what it prints, when it asks, and what it sets."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from modelyard.cli.registry.machines.budgets import format_preview
from modelyard.wire.uses.lists import EvictedModel, EvictionPreview
from tests.cli.conftest import Command
from tests.client.model_files import write_model_file
from tests.comfyui.comfyui_server import ComfyUIServer

pytestmark = pytest.mark.slow


@pytest.fixture
def owner(signed_in: Command, tmp_path: Path) -> Command:
    """Return the program as the owner of a team with one model."""
    ran = signed_in("push", write_model_file(tmp_path / "pushed" / "loras" / "ink.safetensors"))
    assert ran.code == 0, ran.err
    return signed_in


@pytest.fixture
def machine(owner: Command, process: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Return the name of a machine that has the model, and whose agent has just begun to count use."""
    base = tmp_path / "ComfyUI"
    for name in ("models/loras", "custom_nodes"):
        (base / name).mkdir(parents=True)
    monkeypatch.setenv("MODELYARD_AGENT_CONFIG", str(tmp_path / "agent.toml"))
    monkeypatch.setenv("MODELYARD_AGENT_KEEP_FREE", "0")
    monkeypatch.setenv("MODELYARD_AGENT_AGENT_ID", "render-07")
    with ComfyUIServer(base) as comfyui:
        monkeypatch.setenv("MODELYARD_AGENT_COMFYUI_URL", comfyui.url)
        with monkeypatch.context() as patch:
            key = owner("key", "create", "render-07", "--kind", "agent", "--quiet").out.strip()
            patch.setenv("MODELYARD_AGENT_KEY", key)
            ran = process("agent", "run", "--comfyui", base, "--once")
        assert ran.code == 0, ran.err
        yield "render-07"


def read_budget(owner: Command, machine: str) -> int | None:
    budget: int | None = json.loads(owner("machine", "show", machine, "--json").out)["disk_budget_bytes"]
    return budget


def test_machine_budget_dry_run_prints_preview_and_changes_nothing(owner: Command, machine: str) -> None:
    tried = owner("machine", "budget", machine, "1", "--dry-run")
    assert tried.code == 0, tried.err
    assert "loras/ink.safetensors" in tried.out
    assert "render-07 could use 1 B" in tried.out
    assert "it would evict 1 model" in tried.out
    assert "evicts nothing that it has before" in tried.out
    assert read_budget(owner, machine) is None


@pytest.mark.parametrize("counts_use", [True, False])
def test_preview_lists_models_only_of_a_machine_that_counts_use(*, counts_use: bool) -> None:
    names = {"model_id": uuid4(), "display_name": "Ink", "model_path": "loras/ink.safetensors"}
    model = EvictedModel.model_validate(names | {"file_size": 5, "last_used_at": None, "is_here": True})
    preview = EvictionPreview.model_construct(
        None,
        disk_budget_bytes=1,
        desired_bytes=5,
        kept_bytes=0,
        counts_use=counts_use,
        evicts_from=None,
        use_counted_since=None,
        evicted_count=1,
        evicted_list=[model],
        freed_bytes=5,
        away_count=0,
    )
    lines = [str(line) for line in format_preview(preview, "render-07", None)]
    assert any("loras/ink.safetensors" in line for line in lines) is counts_use
    assert ("evicts nothing" in lines[-1]) is not counts_use


def test_machine_budget_that_evicts_nothing_is_set_without_a_question(owner: Command, machine: str) -> None:
    assert owner("machine", "budget", machine, "500GB").err == "render-07 has a disk budget of 500 GB now.\n"
    assert read_budget(owner, machine) == 500_000_000_000
    shown = owner("machine", "show", machine).out
    assert ["budget", "set", "500", "GB"] in [line.split() for line in shown.splitlines()]
    ended = owner("machine", "budget", machine, "none")
    assert ended.out == "render-07 has no disk budget any more.\n"
    assert read_budget(owner, machine) is None
    assert owner("machine", "budget", machine, "lots").code == 2


@pytest.mark.parametrize(
    ("flags", "typed", "is_set"),
    [
        pytest.param([], "", False, id="no answer"),
        pytest.param(
            [],
            "n\n",
            False,
            id="no",
            marks=pytest.mark.extended(reason="refused like no answer, which is in `make check`"),
        ),
        pytest.param([], "y\n", True, id="yes"),
        pytest.param(["--yes"], "", True, id="--yes"),
    ],
)
def test_machine_budget_that_evicts_models_is_set_after_a_question_or_with_yes(
    owner: Command, process: Command, machine: str, flags: list[str], typed: str, is_set: bool
) -> None:
    ran = process("machine", "budget", machine, "1", *flags, typed=typed)
    assert "it would evict 1 model" in ran.out
    assert (ran.code == 0, "Set this budget?" in ran.err) == (is_set, not flags)
    assert read_budget(owner, machine) == (1 if is_set else None)
