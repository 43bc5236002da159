"""Files and folders that no model needs and that cannot be removed: a problem of the machine, until a person acts."""

import pytest

from tests.agent.agent_machine import AgentMachine, wait_until
from tests.mounts import mounted_read_only
from tests.server.harness import ApiCaller, make_model_file
from tests.server.models.folders.folder_push import PATH, make_folder, register


def get_state(team: ApiCaller) -> tuple[str, str]:
    """Return the state of the team's only machine, and its reason; empty before its first heartbeat."""
    agents = team.get("/agents").json()["agent_list"]
    return (agents[0]["machine_state"], agents[0]["state_reason"] or "") if agents else ("", "")


async def test_agent_reports_a_removal_in_a_read_only_folder_as_a_problem_and_removes_later(
    team: ApiCaller, machine: AgentMachine
) -> None:
    model_id = team.register(make_model_file("ink"), "loras/ink.safetensors")
    team.register(make_model_file("base"), "checkpoints/base.safetensors")
    folder = machine.models / "loras"
    async with machine.running():
        await wait_until(lambda: get_state(team)[0] == "up_to_date")
        with mounted_read_only(folder):
            team.put(f"/models/{model_id}", model_status="disabled")
            await wait_until(lambda: get_state(team)[0] == "problem")
            reason = f'The file system of "{folder}" is mounted read-only. Mount it for writing.'
            expected = f'1 file that no model needs, "loras/ink.safetensors", cannot be removed: {reason}'
            assert get_state(team)[1] == expected
            assert machine.has_file("loras/ink.safetensors")
        assert team.post(f"/agents/{machine.agent_id}/sync").status_code == 200
        await wait_until(lambda: get_state(team)[0] == "up_to_date")
        assert not machine.has_file("loras/ink.safetensors")


def test_agent_that_runs_once_leaves_the_reason_of_a_removal_that_cannot_be_made(
    team: ApiCaller, machine: AgentMachine
) -> None:
    model_id = team.register(make_model_file("ink"), "loras/ink.safetensors")
    team.register(make_model_file("base"), "checkpoints/base.safetensors")
    machine.reconcile_once()
    team.put(f"/models/{model_id}", model_status="disabled")
    with mounted_read_only(machine.models / "loras"):
        machine.reconcile_once()
    state, reason = get_state(team)
    last = 'It reported last: 1 file that no model needs, "loras/ink.safetensors", cannot be removed: '
    assert (state, last in reason) == ("offline", True)
    assert machine.status is not None
    [removals] = machine.status.stuck_removals
    assert (removals.count, removals.model_paths) == (1, ["loras/ink.safetensors"])
    machine.reconcile_once()
    assert "It reported last" not in get_state(team)[1]


@pytest.mark.slow
async def test_agent_reports_a_users_file_in_a_folder_to_be_removed_as_a_problem_and_removes_the_folder_later(
    team: ApiCaller, machine: AgentMachine
) -> None:
    team.register(make_model_file("base"), "checkpoints/base.safetensors")
    folder = machine.models / PATH
    async with machine.running():
        await wait_until(lambda: get_state(team)[0] == "up_to_date")
        model_id = register(team, make_folder())
        await wait_until(lambda: (folder / "model_index.json").exists() and get_state(team)[0] == "up_to_date")
        (folder / "notes.txt").write_bytes(b"mine")
        assert team.delete(f"/models/{model_id}").status_code == 204
        await wait_until(lambda: get_state(team)[0] == "problem")
        reason = get_state(team)[1]
        assert reason.startswith(f'1 folder that no model needs, "{PATH}", cannot be removed: "{folder}" contains')
        assert reason.endswith(
            '"notes.txt", which does not belong to the model, so the folder stays as it is. Move that away.'
        )
        assert (folder / "notes.txt").read_bytes() == b"mine"
        assert (folder / "model_index.json").exists()
        (folder / "notes.txt").unlink()
        assert team.post(f"/agents/{machine.agent_id}/sync").status_code == 200
        await wait_until(lambda: get_state(team)[0] == "up_to_date")
        assert not folder.exists()
