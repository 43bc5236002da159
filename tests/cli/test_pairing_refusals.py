"""Pairings that end without a key: the message names the command that helps."""

import asyncio
import os
from pathlib import Path

import pytest

from modelyard.agent.registry.keys import AgentKeyStore
from modelyard.client.api.registry import RegistryApi
from modelyard.wire.agents.heartbeats import Heartbeat
from modelyard.wire.credentials import PairingStarted
from modelyard.wire.problems import PairingNotFound, Unauthenticated
from tests.cli.conftest import Command
from tests.client.scripted_server import Responses, run_scripted_server
from tests.client.server_process import Team

STARTED = PairingStarted(
    device_code="pc-1", user_code="AB7K-PNQ3", verification_uri="http://models.example/pair", expires_in=300
)


@pytest.mark.slow
def test_machine_add_wrong_code_names_the_command_of_the_machine(signed_in: Command) -> None:
    ran = signed_in("machine", "add", "ABCD-EFGH")
    assert ran.code == 4
    assert "older than five minutes" in ran.err
    assert "run modelyard agent pair on the machine again" in ran.err
    assert "modelyard login" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (("agent", "pair", "--url"), "modelyard agent pair --url {url}"),
        (("login", "--device"), "modelyard login {url} --device"),
    ],
    ids=["agent", "login"],
)
def test_pairing_that_nobody_confirms_names_the_command_that_starts_again(
    modelyard: Command, arguments: tuple[str, ...], command: str
) -> None:
    responses = Responses()
    responses.add(200, STARTED.model_dump(mode="json"))
    responses.add(404, PairingNotFound("This pairing has ended.").to_json())
    with run_scripted_server(responses) as url:
        ran = modelyard(*arguments, url)
    assert ran.code == 4
    assert "This pairing has ended." in ran.err
    assert f"Start again: {command.format(url=url)}\n" in ran.err


def test_agent_pair_without_address_uses_the_registry_that_the_machine_is_paired_with(
    modelyard: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_AGENT_CONFIG", str(home / "agent.toml"))
    assert "modelyard agent pair --url URL" in modelyard("agent", "pair").err
    responses = Responses()
    responses.add(401, Unauthenticated("The key is unknown.").to_json())
    responses.add(200, STARTED.model_dump(mode="json"))
    responses.add(404, PairingNotFound("This pairing has ended.").to_json())
    with run_scripted_server(responses) as url:
        AgentKeyStore(home / "profiles.json").save_key(url, "ak-" + "a" * 43, "render-07")
        ran = modelyard("agent", "pair")
    assert f"Start again: modelyard agent pair --url {url}\n" in ran.err


@pytest.mark.slow
def test_agent_run_once_with_refused_key_names_the_address_to_pair_with(
    process: Command, as_agent: Command, folder: Path, team: Team
) -> None:
    as_agent("key", "rm", os.environ["MODELYARD_AGENT_KEY"])
    ran = process("agent", "run", "--models-dir", folder, "--once")
    assert f"Pair this machine again: modelyard agent pair --url {team.url}\n" in ran.err


@pytest.mark.slow
def test_agent_run_once_under_the_name_of_a_running_machine_ends_with_that_refusal(
    process: Command, as_agent: Command, folder: Path, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(send_heartbeat(team.url, os.environ["MODELYARD_AGENT_KEY"], "render-07"))
    other = as_agent("key", "create", "render-08", "--kind", "agent", "--quiet").out.strip()
    monkeypatch.setenv("MODELYARD_AGENT_KEY", other)
    ran = process("agent", "run", "--models-dir", folder, "--once")
    assert ran.code == 3
    reason = "The registry refuses this machine: A machine with another key sent a heartbeat as 'render-07'"
    assert f"\n{reason}" in ran.err
    assert "Send a heartbeat first" not in ran.err
    assert "Pair this machine again" not in ran.err


async def send_heartbeat(url: str, key: str, agent_id: str) -> None:
    async with RegistryApi(url, key) as registry:
        await registry.send_heartbeat(Heartbeat(agent_id=agent_id))
