"""The commands about roll-outs of a collection."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.cli.conftest import Command
from tests.client.model_files import write_model_file
from tests.client.server_process import Team

pytestmark = pytest.mark.slow


class Canary:
    """A machine with the label ``canary``, that reports what a test says."""

    def __init__(self, team: Team, key: str) -> None:
        self._url, self._key, self._series = team.url, key, 0
        self.report()

    def report(self, *states: dict[str, Any]) -> None:
        """Send all states of the machine."""
        self._series += 1
        body = {
            "agent_id": "canary-1",
            "agent_labels": ["canary"],
            "report_series": str(self._series),
            "report_number": 1,
            "model_list": list(states),
            "is_whole": True,
            "is_last": True,
        }
        headers = {"Authorization": f"Bearer {self._key}"}
        answer = httpx2.post(f"{self._url}/api/v1/agent/heartbeat", json=body, headers=headers)
        assert answer.status_code == 200, answer.text


@pytest.fixture
def studio(signed_in: Command, tmp_path: Path) -> Command:
    """The program, in a team with a held collection, whose version 2 has the model kaori."""
    for name in ("ink", "kaori"):
        file = write_model_file(tmp_path / "models" / "loras" / f"{name}.safetensors", seed=len(name))
        assert signed_in("push", file).code == 0
    assert signed_in("collection", "create", "Winter", "ink").code == 0
    held = signed_in("collection", "hold", "winter")
    assert held.out == "'Winter' is held: its new versions wait for a roll-out.\n", held.err
    assert signed_in("collection", "subscribe", "winter", "--label", "canary").code == 0
    assert signed_in("collection", "add", "winter", "kaori").code == 0
    return signed_in


@pytest.fixture
def canary(studio: Command, team: Team) -> Canary:
    return Canary(team, studio("key", "create", "canary-1", "--kind", "agent", "--quiet").out.strip())


def list_states(studio: Command, reason: str | None = None) -> list[dict[str, Any]]:
    """Return ready states of all models in the collection, with a reason."""
    models = json.loads(studio("collection", "show", "winter", "--json").out)["model_list"]
    return sorted(
        ({"model_id": each["model_id"], "version": 1, "state": "ready", "reason": reason} for each in models),
        key=lambda state: str(state["model_id"]),
    )


def test_rollout_is_started_followed_approved_and_rolled_back(studio: Command, canary: Canary) -> None:
    assert "version 1: subscribed machines get the newest by a roll-out" in studio("collection", "show", "winter").out
    started = studio("collection", "rollout", "start", "winter", "--canary", "canary")
    assert (started.code, "canaries get the version" in started.out) == (0, True), started.err
    assert studio("collection", "rollout", "approve", "winter").code == 4

    canary.report(*list_states(studio))
    waited = studio("collection", "rollout", "status", "winter", "--wait")
    assert (waited.code, "waiting for approval" in waited.out) == (0, True), waited.err
    assert "Version 2: waiting for approval. Canaries 1: 1 ready. Others 0." in waited.err
    approved = studio("collection", "rollout", "approve", "winter", "--wait", "--json")
    assert (approved.code, json.loads(approved.out)["state"]) == (0, "finished"), approved.err
    assert studio("collection", "rollout", "stop", "winter").code == 4
    assert "rolled back" in studio("collection", "rollout", "roll-back", "winter").out
    unheld = studio("collection", "unhold", "winter")
    assert unheld.out == "'Winter' is no longer held.\n"
    assert "Machines still get version 1" in unheld.err


def test_wait_for_a_rollout_whose_canary_fails_exits_1_with_the_reason(studio: Command, canary: Canary) -> None:
    canary.report(*list_states(studio, "ComfyUI does not list it."))
    ran = studio("collection", "rollout", "start", "winter", "--canary", "canary", "--automatic", "--wait")
    assert ran.code == 1
    assert "'canary-1': loras/ink.safetensors: ComfyUI does not list it." in ran.out


def test_wait_for_a_rollout_with_a_timeout_names_the_machines_and_exits_124(studio: Command, canary: Canary) -> None:
    ran = studio("collection", "rollout", "start", "winter", "--canary", "canary", "--wait", "--timeout", "0.1s")
    assert ran.code == 124
    assert "It waits for 'canary-1' (0 of 2 models)." in ran.err
    assert "canaries get the version" in ran.out
    canary.report(*list_states(studio))
    waited = studio("collection", "rollout", "status", "winter", "--wait", "--timeout", "5m")
    assert (waited.code, "waiting for approval" in waited.out) == (0, True), waited.err


def test_approve_without_canaries_that_are_gone_goes_on_to_all_machines(studio: Command, canary: Canary) -> None:
    assert studio("collection", "rollout", "start", "winter", "--canary", "canary").code == 0
    early = studio("collection", "rollout", "approve", "winter", "--without-canaries")
    assert (early.code, "not ready yet" in early.err) == (4, True), early.err
    assert studio("machine", "rm", "canary-1").code == 0
    waited = studio("collection", "rollout", "status", "winter", "--wait", "--json")
    assert (waited.code, json.loads(waited.out)["obstacle"]) == (1, "canaries_gone"), waited.err
    refused = studio("collection", "rollout", "approve", "winter")
    assert (refused.code, "Approve the roll-out without canaries" in refused.err) == (4, True), refused.err
    approved = studio("collection", "rollout", "approve", "winter", "--without-canaries", "--wait", "--json")
    shown = json.loads(approved.out)
    assert (approved.code, shown["state"], shown["obstacle"]) == (0, "finished", None), approved.err


@pytest.mark.parametrize("options", [("--timeout", "5m"), ("--wait", "--timeout", "soon")], ids=["no wait", "no time"])
def test_timeout_without_wait_or_duration_is_refused(studio: Command, options: tuple[str, ...]) -> None:
    assert studio("collection", "rollout", "status", "winter", *options).code == 2


def test_rollout_of_a_collection_without_one_exits_4(signed_in: Command) -> None:
    signed_in("collection", "create", "Winter")
    ran = signed_in("collection", "rollout", "status", "winter")
    assert (ran.code, "modelyard collection rollout start" in ran.err) == (4, True)


def test_start_rollout_without_such_machines_names_the_option(studio: Command) -> None:
    ran = studio("collection", "rollout", "start", "winter", "--canary", "none")
    assert (ran.code, ran.err.startswith("--canary: ")) == (4, True), ran.err
