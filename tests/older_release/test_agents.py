"""Agents of the older release with this registry, and agents of this checkout with the older registry."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.agent.reconcile_result import PAUSED
from tests.older_release.machine import AGENT_ID, Machine, get_machine, list_states
from tests.ports import free_port
from tests.running import RunningServer
from tests.server.harness import ApiCaller, make_model_file

INK, OIL = make_model_file("ink", 200_000), make_model_file("oil", 300_000)
INK_PATH, OIL_PATH = "loras/ink.safetensors", "loras/oil.safetensors"


@pytest.fixture
def upgraded_registry(tmp_path: Path, older_python: Path) -> Iterator[RunningServer]:
    """A registry of the older release, which keeps its address when a test restarts it with another release."""
    server = RunningServer(tmp_path / "older-data", port=free_port())
    server.python = older_python
    with server:
        yield server


def place_ink(server: RunningServer, machine: Machine) -> ApiCaller:
    """Pair a machine with a registry that has one model, and let it fetch that; return the owner."""
    owner = server.owner()
    owner.register(INK, INK_PATH)
    machine.pair(server, owner)
    ended = machine.reconcile()
    assert ended.returncode == 0, ended
    return owner


def assert_has(machine: Machine, path: str, content: bytes) -> None:
    assert (machine.models / path).read_bytes() == content


def test_older_agent_places_a_model_and_this_registry_shows_it_ready(
    registry: RunningServer, older_machine: Machine
) -> None:
    owner = place_ink(registry, older_machine)
    assert_has(older_machine, INK_PATH, INK)
    assert list_states(owner) == {INK_PATH: "ready"}
    assert get_machine(owner)["models_ready"] == 1


def test_older_agents_queued_model_is_queued_in_this_registry_and_its_other_models_count(
    registry: RunningServer, older_machine: Machine
) -> None:
    owner = place_ink(registry, older_machine)
    owner.put(f"/agents/{AGENT_ID}", paused=True)
    owner.register(OIL, OIL_PATH)
    older_machine.reconcile()
    assert list_states(owner) == {INK_PATH: "ready", OIL_PATH: "queued"}
    rows = owner.get(f"/agents/{AGENT_ID}/models").json()["agent_model_list"]
    # It was reported, as a state that this registry does not know, with its reason.
    assert {row["model_path"]: bool(row["reported_at"] and row["reason"]) for row in rows}[OIL_PATH]
    owner.put(f"/agents/{AGENT_ID}", paused=False)
    older_machine.reconcile()
    assert_has(older_machine, OIL_PATH, OIL)
    assert list_states(owner) == {INK_PATH: "ready", OIL_PATH: "ready"}


def test_agent_places_a_model_and_the_older_registry_shows_it_ready(
    older_registry: RunningServer, machine: Machine
) -> None:
    owner = place_ink(older_registry, machine)
    assert_has(machine, INK_PATH, INK)
    assert list_states(owner) == {INK_PATH: "ready"}
    assert get_machine(owner)["models_ready"] == 1


def test_agent_whose_report_the_older_registry_refuses_says_so_reports_itself_and_places_models_later(
    older_registry: RunningServer, machine: Machine
) -> None:
    owner = place_ink(older_registry, machine)
    owner.put(f"/agents/{AGENT_ID}", paused=True)
    owner.register(OIL, OIL_PATH)
    # Its state is "queued", which the older registry does not know.
    refused = machine.reconcile()
    assert "upgrade the registry" in refused.stderr
    # It was told so in this run, by the answer to a heartbeat before the refused one: a later one was taken.
    assert get_machine(owner)["waiting_for"] == PAUSED
    owner.put(f"/agents/{AGENT_ID}", paused=False)
    resumed = machine.reconcile()
    assert resumed.returncode == 0, resumed
    assert_has(machine, OIL_PATH, OIL)
    assert list_states(owner) == {INK_PATH: "ready", OIL_PATH: "ready"}


@pytest.mark.parametrize("is_upgraded", [False, True], ids=["older agent", "upgraded agent"])
def test_machine_of_an_upgraded_registry_keeps_its_key_and_its_models(
    upgraded_registry: RunningServer, this_python: Path, older_python: Path, tmp_path: Path, is_upgraded: bool
) -> None:
    server = upgraded_registry
    before = Machine(tmp_path / "render-07", older_python)
    place_ink(server, before)
    time_placed = (before.models / INK_PATH).stat().st_mtime_ns
    assert server.stop() == 0
    server.python = this_python
    server.start()
    owner = server.owner()
    owner.register(OIL, OIL_PATH)
    machine = Machine(tmp_path / "render-07") if is_upgraded else before
    ended = machine.reconcile()
    assert ended.returncode == 0, ended
    assert list_states(owner) == {INK_PATH: "ready", OIL_PATH: "ready"}
    assert (before.models / INK_PATH).stat().st_mtime_ns == time_placed
