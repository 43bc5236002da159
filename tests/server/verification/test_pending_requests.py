"""Models that a machine requests before they are verified."""

from typing import Any

from tests.server.agents.machine import Machine
from tests.server.verification.machine_content import OLD, OTHER
from tests.server.verification.unverified_team import UnverifiedTeam


def list_pending(machine: Machine) -> dict[str, str]:
    """Return the states of the pending models on the machine."""
    answer = machine.key.get("/agent/models", agent_id=machine.agent_id, pending="true")
    assert answer.status_code == 200, answer.text
    return {model["id"]: model["state"] for model in answer.json()["model_list"]}


def request(machine: Machine, *model_ids: str) -> dict[str, Any]:
    answer = machine.key.post("/agent/requests", agent_id=machine.agent_id, model_ids=list(model_ids))
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def test_request_names_pending_models_until_they_are_verified(unverified: UnverifiedTeam, machine: Machine) -> None:
    ready = unverified.register(OLD)
    unverified.verify_all()
    new = unverified.register(OTHER, "loras/other.safetensors")
    assert request(machine, ready, new) == {"requested": [ready, new], "pending": [new], "refused": []}
    assert list_pending(machine) == {new: "queued"}
    unverified.verify_all()
    assert list_pending(machine) == {}
    assert request(machine, new) == {"requested": [new], "pending": [], "refused": []}
