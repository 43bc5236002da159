"""Real agents with disk budgets: what is evicted, stays away, and comes back; pinned and assigned models stay."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.agent.agent_machine import AgentMachine, wait_until
from tests.comfyui.comfyui_server import ComfyUIServer
from tests.server.harness import ApiCaller, make_model_file

pytestmark = pytest.mark.slow

NAMES = ("ink", "oil", "pen")


@pytest.fixture
def comfyui(tmp_path: Path) -> Iterator[ComfyUIServer]:
    base = tmp_path / "ComfyUI"
    for folder in ("models/loras", "custom_nodes"):
        (base / folder).mkdir(parents=True)
    with ComfyUIServer(base) as server:
        yield server


@pytest.fixture
def machine(comfyui: ComfyUIServer, new_machine: Callable[..., AgentMachine]) -> AgentMachine:
    return new_machine(models_dir=[], comfyui=[comfyui.listing.base], comfyui_url=[comfyui.url])


@pytest.fixture
def models(team: ApiCaller, comfyui: ComfyUIServer, machine: AgentMachine) -> dict[str, str]:
    """Three models that are on the machine, of which ink was used first and pen last."""
    ids = {name: team.register(make_model_file(name, 5000), f"loras/{name}.safetensors") for name in NAMES}
    for number, name in enumerate(NAMES):
        comfyui.end_prompt(build_prompt(name), datetime.now(UTC) - timedelta(days=90 - number))
    machine.reconcile_once()
    assert list_files(comfyui) == {*NAMES}
    # The models were registered long ago, which the machine notes once it has a budget.
    since = dict.fromkeys(ids.values(), (datetime.now(UTC) - timedelta(days=200)).isoformat())
    machine.start_options.folder.evictions.write_text(json.dumps({"desired_since": since}))
    set_counted_since(machine, 90)
    return ids


def build_prompt(name: str) -> dict[str, Any]:
    return {"4": {"class_type": "LoraLoader", "inputs": {"lora_name": f"{name}.safetensors", "model": ["1", 0]}}}


def set_counted_since(machine: AgentMachine, days_ago: int) -> None:
    """Let the machine have counted use for so many days."""
    file = machine.start_options.folder.use_log
    since = (datetime.now(UTC) - timedelta(days=days_ago)).isoformat()
    file.write_text(json.dumps(json.loads(file.read_text()) | {"counted_since": since}))


def list_files(comfyui: ComfyUIServer) -> set[str]:
    return {file.stem for file in (comfyui.listing.base / "models/loras").iterdir() if file.is_file()}


def get_size(team: ApiCaller, model_id: str) -> int:
    size: int = team.get(f"/models/{model_id}").json()["file_size"]
    return size


def set_budget(team: ApiCaller, models: dict[str, str], count: float) -> None:
    """Set a budget with space for so many of the models, which are equally large."""
    budget = int(get_size(team, models["ink"]) * (count + 0.5))
    assert team.put("/agents/render-07", disk_budget_bytes=budget).status_code == 200


def get_names(team: ApiCaller, models: dict[str, str], state: str) -> set[str]:
    by_id = {model_id: name for name, model_id in models.items()}
    rows = team.get("/agents/render-07/models").json()["agent_model_list"]
    return {by_id[row["model_id"]] for row in rows if row["state"] == state}


def test_agent_evicts_least_recently_used_model_and_fetches_it_when_assigned(
    team: ApiCaller, comfyui: ComfyUIServer, machine: AgentMachine, models: dict[str, str]
) -> None:
    set_budget(team, models, 2)
    machine.reconcile_once()
    assert list_files(comfyui) == {"oil", "pen"}
    assert get_names(team, models, "evicted") == {"ink"}
    [shown] = team.get("/agents").json()["agent_list"]
    assert (shown["models_evicted"], shown["models_ready"], shown["models_desired"]) == (1, 2, 3)

    # It stays away after a restart, and when there is space again.
    set_budget(team, models, 10)
    machine.reconcile_once()
    assert list_files(comfyui) == {"oil", "pen"}

    set_budget(team, models, 2)
    team.put(f"/agents/render-07/models/{models['ink']}")
    # The second time, the other one is removed, so that there is space.
    machine.reconcile_once()
    machine.reconcile_once()
    assert list_files(comfyui) == {"ink", "pen"}
    assert get_names(team, models, "evicted") == {"oil"}

    # Without a budget, everything comes back.
    team.put("/agents/render-07", disk_budget_bytes=None)
    machine.reconcile_once()
    assert list_files(comfyui) == {*NAMES}


def test_agent_never_evicts_assigned_pinned_queued_or_users_files(
    team: ApiCaller, comfyui: ComfyUIServer, machine: AgentMachine, models: dict[str, str]
) -> None:
    own = make_model_file("own", 5000)
    (comfyui.listing.base / "models/loras/own.safetensors").write_bytes(own)
    models["own"] = team.register(own, "loras/own.safetensors")
    entry = {"model_id": models["ink"], "version": 1}
    collection = team.post("/collections", name="Pinned", model_list=[entry]).json()["id"]
    team.put(f"/collections/{collection}", is_pinned=True)
    team.post(f"/collections/{collection}/subscriptions", agent_id="render-07")
    team.put(f"/agents/render-07/models/{models['oil']}")
    comfyui.queued = [build_prompt("pen")]
    team.put("/agents/render-07", disk_budget_bytes=1)
    machine.reconcile_once()

    assert list_files(comfyui) == {*NAMES, "own"}
    assert get_names(team, models, "evicted") == set()
    comfyui.queued = []
    machine.reconcile_once()
    assert list_files(comfyui) == {"ink", "oil", "own"}
    assert get_names(team, models, "evicted") == {"pen"}


async def test_agent_fetches_evicted_model_that_a_queued_prompt_needs(
    team: ApiCaller, comfyui: ComfyUIServer, machine: AgentMachine, models: dict[str, str]
) -> None:
    async with machine.running() as agent:
        agent.evictions.queue_seconds = 0.1
        await wait_until(lambda: get_names(team, models, "ready") == {*NAMES})
        set_budget(team, models, 2)
        await wait_until(lambda: list_files(comfyui) == {"oil", "pen"})
        comfyui.queued = [build_prompt("ink")]
        await wait_until(lambda: list_files(comfyui) == {"ink", "pen"})
        await wait_until(lambda: get_names(team, models, "evicted") == {"oil"})


def test_agent_that_counts_use_for_less_than_a_week_evicts_nothing(
    team: ApiCaller, comfyui: ComfyUIServer, machine: AgentMachine, models: dict[str, str]
) -> None:
    set_counted_since(machine, 6)
    set_budget(team, models, 2)
    machine.reconcile_once()
    assert list_files(comfyui) == {*NAMES}
    set_counted_since(machine, 8)
    machine.reconcile_once()
    assert list_files(comfyui) == {"oil", "pen"}


def test_agent_paused_machine_records_no_evictions(
    team: ApiCaller, comfyui: ComfyUIServer, machine: AgentMachine, models: dict[str, str]
) -> None:
    assert team.put("/agents/render-07", paused=True).status_code == 200
    set_budget(team, models, 1)
    machine.reconcile_once()
    set_budget(team, models, 10)
    assert team.put("/agents/render-07", paused=False).status_code == 200
    machine.reconcile_once()
    assert list_files(comfyui) == {*NAMES}
    assert get_names(team, models, "ready") == {*NAMES}


def test_agent_that_does_not_count_use_evicts_nothing(
    team: ApiCaller, comfyui: ComfyUIServer, machine: AgentMachine, models: dict[str, str]
) -> None:
    machine.settings["report_use"] = False
    set_budget(team, models, 2)
    machine.reconcile_once()
    assert list_files(comfyui) == {*NAMES}


def test_preview_evictions_says_what_the_machine_does(
    team: ApiCaller, comfyui: ComfyUIServer, machine: AgentMachine, models: dict[str, str]
) -> None:
    budget = get_size(team, models["ink"]) * 2
    preview = team.get("/agents/render-07/evictions", disk_budget_bytes=budget).json()
    assert list_files(comfyui) == {*NAMES}
    # All are as recent for the registry, which knows when they came.
    assert len(preview["evicted_list"]) == 1
    assert preview["counts_use"] is True
    assert (preview["desired_bytes"], preview["freed_bytes"], preview["kept_bytes"]) == (
        budget * 3 // 2,
        budget // 2,
        0,
    )
