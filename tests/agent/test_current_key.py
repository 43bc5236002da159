"""A new key of a running agent: it is used without a restart."""

from tests.agent.agent_machine import AgentMachine, wait_until
from tests.server.harness import ApiCaller, make_model_file


async def test_agent_takes_up_a_key_that_is_stored_while_it_runs(team: ApiCaller, machine: AgentMachine) -> None:
    async with machine.running() as agent:
        await wait_until(lambda: agent.status.connection.is_up)
        assert team.delete(f"/credentials/{machine.key_id}").status_code == 204
        await wait_until(lambda: agent.status.connection.state == "refused")

        machine.key = team.post("/credentials", kind="agent", display_name="again").json()["raw_key"]
        team.register(make_model_file("ink"), "loras/ink.safetensors")

        await wait_until(lambda: agent.status.connection.is_up)
        await wait_until(lambda: machine.has_file("loras/ink.safetensors"))
