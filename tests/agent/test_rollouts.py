"""Real agents in a roll-out: a canary that is ready lets it go on, one whose ComfyUI lacks a model stops it."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.agent.agent_machine import AgentMachine, wait_until
from tests.comfyui.comfyui_server import ComfyUIServer
from tests.server.harness import ApiCaller, make_model_file

pytestmark = pytest.mark.slow

INK, KAORI, FACE = "loras/ink.safetensors", "loras/kaori.safetensors", "ipadapter/face.safetensors"
NewMachine = Callable[..., AgentMachine]


class HeldCollection:
    """A held collection of one model, to which all machines with the label ``gpu24`` are subscribed."""

    def __init__(self, team: ApiCaller) -> None:
        self._team = team
        created = team.post("/collections", name="Winter", model_list=[{"model_id": self._register(INK)}])
        self.path = f"/collections/{created.json()['id']}"
        assert team.put(self.path, is_held=True).status_code == 200
        assert team.post(f"{self.path}/subscriptions", label="gpu24").status_code == 201

    def _register(self, path: str) -> str:
        """Register a model that no machine gets by its labels."""
        return self._team.register(
            make_model_file(path), path, model_type=path.partition("/")[0], required_labels=["none"]
        )

    def add_model(self, path: str) -> None:
        """Make a version that has another model too."""
        models = [{"model_id": each["model_id"]} for each in self._team.get(self.path).json()["model_list"]]
        models.append({"model_id": self._register(path)})
        assert self._team.post(f"{self.path}/versions", model_list=models).status_code == 201

    def roll_out(self, **options: Any) -> str:
        """Start a roll-out of version 2 with canaries; return its path."""
        created = self._team.post(f"{self.path}/rollouts", version=2, canary_label="canary", **options)
        assert created.status_code == 201, created.text
        return f"{self.path}/rollouts/{created.json()['id']}"


@pytest.fixture
def collection(team: ApiCaller) -> HeldCollection:
    return HeldCollection(team)


async def wait_for_state(team: ApiCaller, rollout: str, state: str) -> dict[str, Any]:
    """Wait until a roll-out is in this state, and return it."""
    await wait_until(lambda: team.get(rollout).json()["state"] == state)
    return dict(team.get(rollout).json())


async def test_ready_canary_and_approval_bring_the_version_to_all_machines(
    team: ApiCaller, new_machine: NewMachine, collection: HeldCollection
) -> None:
    canary = new_machine("canary-1", labels=["gpu24", "canary"])
    others = [new_machine(f"render-{number}", labels=["gpu24"]) for number in range(2)]
    async with AsyncExitStack() as running:
        for machine in (canary, *others):
            await running.enter_async_context(machine.running())
        await wait_until(lambda: all(machine.has_file(INK) for machine in (canary, *others)))
        collection.add_model(KAORI)
        rollout = collection.roll_out()
        await wait_for_state(team, rollout, "waiting_for_approval")
        assert canary.has_file(KAORI)
        assert not any(machine.has_file(KAORI) for machine in others)

        assert team.post(f"{rollout}/approve").status_code == 200
        await wait_for_state(team, rollout, "finished")
        assert all(machine.has_file(KAORI) for machine in others)


async def test_canary_whose_comfyui_does_not_list_a_model_stops_the_rollout_and_roll_back_restores(
    team: ApiCaller, new_machine: NewMachine, collection: HeldCollection, tmp_path: Path
) -> None:
    base = tmp_path / "ComfyUI"
    for folder in ("models/loras", "models/ipadapter", "custom_nodes"):
        (base / folder).mkdir(parents=True)
    other = new_machine("render-07", labels=["gpu24"])
    with ComfyUIServer(base) as comfyui:
        canary = new_machine(
            "canary-1", labels=["gpu24", "canary"], models_dir=[], comfyui=[base], comfyui_url=[comfyui.url]
        )
        async with canary.running(), other.running():
            await wait_until(lambda: (base / "models" / INK).is_file() and other.has_file(INK))
            collection.add_model(FACE)
            rollout = collection.roll_out(is_automatic=True)
            failed = await wait_for_state(team, rollout, "failed")
            assert failed["reason"].startswith(f"'canary-1': {FACE}: ComfyUI at {comfyui.url} has no models of type")
            assert (base / "models" / FACE).is_file()
            assert not other.has_file(FACE)

            assert team.post(f"{rollout}/roll-back").status_code == 200
            await wait_until(lambda: not (base / "models" / FACE).exists())
            assert ((base / "models" / INK).is_file(), other.has_file(INK)) == (True, True)
