"""A new key of a running agent: it is used without a restart."""

import asyncio
import logging
from pathlib import Path

import pytest

from modelyard.agent.registry.current_key import CurrentKey
from modelyard.agent.registry.keys import AgentCredentials, AgentKeyStore
from modelyard.agent.settings import read_settings
from tests.agent.agent_machine import AgentMachine, wait_until
from tests.server.harness import ApiCaller, make_model_file


async def test_agent_with_a_revoked_key_takes_up_a_stored_one(team: ApiCaller, machine: AgentMachine) -> None:
    async with machine.running() as agent:
        await wait_until(lambda: agent.status.connection.is_up)
        assert team.delete(f"/credentials/{machine.key_id}").status_code == 204
        await wait_until(lambda: agent.status.connection.state == "refused")

        machine.key = team.post("/credentials", kind="agent", display_name="again").json()["raw_key"]
        team.register(make_model_file("ink"), "loras/ink.safetensors")

        await wait_until(lambda: agent.status.connection.is_up)
        await wait_until(lambda: machine.has_file("loras/ink.safetensors"))


async def test_agent_takes_up_another_key_without_being_refused(
    team: ApiCaller, machine: AgentMachine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="modelyard.agent")
    async with machine.running() as agent:
        await wait_until(lambda: agent.status.connection.is_up)
        created = team.post("/credentials", kind="agent", display_name="again").json()
        machine.key = created["raw_key"]

        await wait_until(lambda: is_used(team, created["key_prefix"]))
        await wait_until(lambda: agent.status.connection.is_up)
    assert not [record.message for record in caplog.records if record.levelno > logging.INFO]


def is_used(team: ApiCaller, key_prefix: str) -> bool:
    """Return whether a machine changed to the key with this prefix."""
    events = team.get("/audit-events", action="agent.key_changed").json()["audit_event_list"]
    return any(event["facts"]["key_prefix"] == key_prefix for event in events)


def test_find_other_with_key_file_that_cannot_be_read_returns_none(tmp_path: Path) -> None:
    settings = read_settings({"MODELYARD_AGENT_CONFIG": str(tmp_path / "agent.toml")})
    key_store = AgentKeyStore(tmp_path / "profiles.json")
    key_store.save_key("http://first.example", "ak-first", "render-07")
    key = CurrentKey(AgentCredentials("http://first.example", "ak-first"), lambda: key_store.get_credentials(settings))
    (tmp_path / "agent-keys.json").write_bytes(b"\xff\xfe{")
    assert asyncio.run(key.find_other()) is None
