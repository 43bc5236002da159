"""``modelyard agent pair``: the key that it stores, and the machine's name."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.client.api.registry import RegistryApi
from modelyard.wire.agents.heartbeats import Heartbeat
from tests.cli.conftest import Command
from tests.cli.pairing import list_team, pair_machine, sign_in_owner
from tests.client.server_process import Server, Team

pytestmark = pytest.mark.slow

Pair = Callable[[str | None], str]


@pytest.fixture
def pair(home: Path, team: Team, modelyard: Command, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """Return a function that pairs a machine, confirmed with a name or none, and returns what the command prints."""
    monkeypatch.setenv("MODELYARD_AGENT_CONFIG", str(home / "agent.toml"))
    monkeypatch.setenv("MODELYARD_AGENT_KEEP_FREE", "1")
    monkeypatch.setenv("MODELYARD_AGENT_COMFYUI_URL", "http://127.0.0.1:9")

    return lambda name: pair_machine(modelyard, team, monkeypatch, *(["--name", name] if name else [])).on_machine


def run_once(process: Command, tmp_path: Path) -> None:
    ran = process("agent", "run", "--once", "--models-dir", tmp_path / "models")
    assert ran.code == 0, ran.err


def find_name_in_unit(modelyard: Command) -> str:
    """Return the name with which ``modelyard agent install`` starts the agent."""
    unit = modelyard("agent", "install", "--models-dir", "/srv/models", "--print").out
    return unit.partition("--agent-id=")[2].partition("\n")[0]


def test_pairing_an_agent_stores_its_key_privately_and_makes_no_other(
    pair: Pair, home: Path, team: Team, modelyard: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair("render-07")
    file = home / "agent-keys.json"
    assert "dk-" not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [key["kind"] for key in list_team(modelyard, team, monkeypatch, "key", "ls")] == ["agent"]


def test_confirmed_name_is_that_of_the_running_agent_and_of_its_unit(
    pair: Pair, tmp_path: Path, team: Team, modelyard: Command, process: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    assert "Paired as render-07." in pair("render-07")
    assert find_name_in_unit(modelyard) == "render-07"
    run_once(process, tmp_path)
    assert [each["agent_id"] for each in list_team(modelyard, team, monkeypatch, "machine", "ls")] == ["render-07"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (None, "The machine at 127.0.0.1 is paired. It acts for you."),
        ("render-07", "The machine at 127.0.0.1 is paired as render-07; one that has run before keeps its name."),
    ],
)
def test_machine_add_prints_the_name_that_was_given_and_the_address_that_asked(
    team: Team, signed_in: Command, name: str | None, said: str
) -> None:
    code = asyncio.run(start_pairing(team.url))
    added = signed_in("machine", "add", code, *(["--name", name] if name else []))
    assert said in added.err + added.out


async def send_heartbeat(url: str, key: str, name: str) -> None:
    async with RegistryApi(url, key) as registry:
        await registry.send_heartbeat(Heartbeat(agent_id=name))


def test_machine_add_with_the_name_of_another_machine_says_so(team: Team, signed_in: Command) -> None:
    key = signed_in("key", "create", "render-07", "--kind", "agent", "--quiet").out.strip()
    asyncio.run(send_heartbeat(team.url, key, "render-07"))
    warnings = [
        signed_in("machine", "add", asyncio.run(start_pairing(team.url)), "--name", name).err
        for name in ("render-07", "render-08")
    ]
    assert ["The team has a machine named render-07 already." in each for each in warnings] == [True, False]
    assert "modelyard agent run --agent-id NAME" in warnings[0]


def test_machine_that_is_refused_for_its_name_runs_with_another_one(
    pair: Pair, tmp_path: Path, team: Team, modelyard: Command, process: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    with monkeypatch.context() as admin:
        sign_in_owner(admin, team)
        key = modelyard("key", "create", "render-07", "--kind", "agent", "--quiet").out.strip()
    asyncio.run(send_heartbeat(team.url, key, "render-07"))
    pair("render-07")

    command = ("agent", "run", "--once", "--models-dir", tmp_path / "models")
    refused = process(*command)
    accepted = process(*command, "--agent-id", "render-08")

    assert (refused.code != 0, "modelyard agent run --agent-id NAME" in refused.err) == (True, True)
    assert accepted.code == 0, accepted.err


async def start_pairing(url: str) -> str:
    async with RegistryApi(url) as registry:
        return (await registry.start_pairing(is_for_agent=True)).user_code


@pytest.mark.parametrize("name", [None, "render-08"])
def test_machine_that_has_run_keeps_its_name_when_it_is_paired_again(
    name: str | None, pair: Pair, tmp_path: Path, modelyard: Command, process: Command
) -> None:
    (tmp_path / "models").mkdir()
    pair("render-07")
    run_once(process, tmp_path)

    printed = pair(name)

    assert "Paired as render-07." in printed
    assert ("keeps that name" in printed) == (name is not None)
    assert find_name_in_unit(modelyard) == "render-07"
    run_once(process, tmp_path)


def test_machine_whose_registry_has_another_address_keeps_its_name_when_it_is_paired_again(
    pair: Pair, tmp_path: Path, team: Team, modelyard: Command, process: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    pair("render-07")
    run_once(process, tmp_path)
    moved = replace(team, url=team.url.replace("127.0.0.1", "localhost"))
    paired = pair_machine(modelyard, moved, monkeypatch, "--name", "render-08").on_machine
    assert "This machine has run as render-07 before, and keeps that name." in paired
    assert "Paired as render-07." in paired
    run_once(process, tmp_path)
    assert json.loads(process("agent", "status", "--json").out)["agents"][0]["url"] == moved.url
    assert [each["agent_id"] for each in list_team(modelyard, team, monkeypatch, "machine", "ls")] == ["render-07"]


def test_machine_that_is_paired_with_the_registry_of_another_team_does_not_keep_its_name(
    pair: Pair, tmp_path: Path, server: Server, modelyard: Command, process: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    pair("render-07")
    run_once(process, tmp_path)
    other = server.new_team()
    moved = replace(other, url=other.url.replace("127.0.0.1", "localhost"))
    assert "Paired as render-08." in pair_machine(modelyard, moved, monkeypatch, "--name", "render-08").on_machine
