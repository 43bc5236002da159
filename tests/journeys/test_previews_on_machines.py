"""Pictures on their way from a person to the folder of a machine, whose agent is a process."""

import signal
from pathlib import Path

import pytest

from tests.journeys.agent_processes import Machine, create_machine, running_agents
from tests.running import RunningServer
from tests.server.harness import ApiCaller, make_model_file
from tests.server.previews.drawings import make_png, open_picture
from tests.waiting import PATIENCE_SECONDS, wait_until

NAMES = ("ink", "oil", "chalk")
pytestmark = pytest.mark.timeout(300)


def register_with_preview(team: ApiCaller, name: str) -> str:
    """Register a model, give it a picture of a color of its own, and return its id."""
    model_id = team.register(make_model_file(name), f"loras/{name}.safetensors")
    picture = make_png(f"#{NAMES.index(name) + 1:06x}", (700, 900))
    assert team.call("PUT", f"/models/{model_id}/versions/1/preview", content=picture).status_code == 200
    return model_id


def list_names(machine: Machine, pattern: str) -> set[str]:
    return {file.name for file in (machine.models / "loras").glob(pattern)}


def test_machine_writes_pictures_goes_on_after_kill_and_removes_them_when_switched_off(
    tmp_path: Path, registry: RunningServer, team: ApiCaller
) -> None:
    model_ids = [register_with_preview(team, name) for name in NAMES]
    machine = create_machine(team, tmp_path / "render-01", registry.url)
    config = tmp_path / "render-01" / "agent.toml"
    config.write_text("write_previews = true\n")

    agent = machine.start()
    wait_until(lambda: bool(list_names(machine, "*.preview.png")))
    agent.send_signal(signal.SIGKILL)
    assert agent.wait(PATIENCE_SECONDS) == -signal.SIGKILL

    with running_agents([machine]):
        wait_until(lambda: list_names(machine, "*.png") == {f"{name}.preview.png" for name in NAMES})
        assert open_picture((machine.models / "loras/ink.preview.png").read_bytes()).size == (512, 658)
        assert team.put(f"/models/{model_ids[0]}", model_status="disabled").status_code == 200
        wait_until(lambda: list_names(machine, "ink*") == set())

    config.write_text("")
    with running_agents([machine]):
        wait_until(lambda: list_names(machine, "*.png") == set())
    assert list_names(machine, "*") == {"oil.safetensors", "chalk.safetensors"}
    assert machine.list_work_files() == []
    assert "WARNING" not in machine.log.read_text()
