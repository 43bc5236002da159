"""A machine of the tests: sends heartbeats and numbered reports; and helpers that read what the API shows."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
from sqlalchemy import select, update

from modelyard.server.database.base import now
from modelyard.server.identity.tables import CredentialRow
from modelyard.server.models.replicas.tables import AgentRow
from tests.server.harness import ApiCaller, Harness, make_model_file

State = dict[str, Any]


def build_states(*model_ids: str, state: str = "ready", reason: str | None = None) -> list[State]:
    """Build the states that a report has of these models."""
    return [{"model_id": model_id, "state": state, "reason": reason} for model_id in model_ids]


def register_model(team: ApiCaller, word: str = "ink", **changed: Any) -> str:
    """Register a LoRA whose content and name are made from a word, and return its id."""
    return team.register(make_model_file(word), f"loras/{word}.safetensors", **changed)


class Machine:
    """Sends requests for one agent id with one key, and numbers the reports."""

    def __init__(self, key: ApiCaller, agent_id: str = "render-07", labels: tuple[str, ...] = ()) -> None:
        self.key = key
        self.agent_id = agent_id
        self.labels = labels
        self.series, self.number = "", 0

    def send(self, **fields: Any) -> httpx2.Response:
        """Send a heartbeat with these fields only; return the response."""
        body = {"agent_id": self.agent_id, "agent_labels": list(self.labels)}
        return self.key.post("/agent/heartbeat", **(body | fields))

    def beat(self, **fields: Any) -> dict[str, Any]:
        """Send a heartbeat that must succeed, with the current series and number; return its content."""
        answer = self.send(report_series=self.series, report_number=self.number, **fields)
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        return content

    def begin(self, states: list[State] | None = None, series: str = "one") -> dict[str, Any]:
        """Start a new series with a complete report in one part."""
        self.series, self.number = series, 1
        states = sorted(states or [], key=lambda state: UUID(state["model_id"]))
        return self.beat(model_list=states, is_whole=True, is_last=True)

    def report(self, states: list[State]) -> dict[str, Any]:
        """Report changed states with the next number."""
        self.number += 1
        return self.beat(model_list=states)

    def manifest(self, etag: str | None = None, wait: int = 0, **query: Any) -> httpx2.Response:
        headers = {} if etag is None else {"If-None-Match": etag}
        query |= {"agent_id": self.agent_id, "wait": wait}
        return self.key.call("GET", "/agent/manifest", params=query, headers=headers)

    def desired(self) -> dict[str, bool]:
        """Return the paths in the manifest, and whether each is only to be kept."""
        answer = self.manifest()
        assert answer.status_code == 200, answer.text
        return {model["model_path"]: model["keep"] for model in answer.json()["model_list"]}


def add_machine(
    registry: Harness, team: ApiCaller, agent_id: str = "render-07", labels: tuple[str, ...] = ()
) -> Machine:
    """Return a machine with a key of its own that has sent one heartbeat."""
    machine = Machine(registry.create_key("agent", team), agent_id, labels)
    machine.beat()
    return machine


def pair_agent(registry: Harness, user: ApiCaller) -> ApiCaller:
    """Pair a machine as a user, and return the caller with its agent's key."""
    return ApiCaller(registry.client, registry.pair(user)["agent_key"])


def set_last_heartbeat_ago(registry: Harness, team: ApiCaller, seconds: float) -> None:
    """Set the last heartbeat of the team's machines to so many seconds ago."""
    assert team.team_id is not None
    with registry.resources.database.writing(UUID(team.team_id)) as session:
        session.execute(
            update(AgentRow)
            .where(AgentRow.team_id == UUID(team.team_id))
            .values(last_heartbeat=now() - timedelta(seconds=seconds))
            .execution_options(synchronize_session=False)
        )


def change_last_key(registry: Harness, team: ApiCaller, **values: Any) -> None:
    """Change the key that ``render-07`` used last, in the database."""
    assert team.team_id is not None
    with registry.resources.database.writing(UUID(team.team_id)) as session:
        last_key = select(AgentRow.credential_id).where(
            AgentRow.team_id == UUID(team.team_id), AgentRow.agent_id == "render-07"
        )
        session.execute(
            update(CredentialRow)
            .where(CredentialRow.id.in_(last_key))
            .values(values)
            .execution_options(synchronize_session=False)
        )


def list_agents(team: ApiCaller, **query: Any) -> dict[str, dict[str, Any]]:
    """Return the listed machines by agent id."""
    answer = team.get("/agents", **query)
    assert answer.status_code == 200, answer.text
    return {agent["agent_id"]: agent for agent in answer.json()["agent_list"]}


def list_states_on(team: ApiCaller, agent_id: str = "render-07", **query: Any) -> dict[str, str]:
    """Return the listed states on a machine by model id."""
    answer = team.get(f"/agents/{agent_id}/models", **query)
    assert answer.status_code == 200, answer.text
    return {entry["model_id"]: entry["state"] for entry in answer.json()["agent_model_list"]}


def get_replica_counts(team: ApiCaller, model_id: str) -> tuple[int, int]:
    """Return how many machines have a model ready, and how many should hold it."""
    model = team.get(f"/models/{model_id}").json()
    return model["agents_ready"], model["agents_desired"]


def list_missing(team: ApiCaller, where: str = "any", **query: Any) -> list[str]:
    """Return the ids of models that are missing on a machine, or on any."""
    answer = team.get("/models", missing_on=where, **query)
    assert answer.status_code == 200, answer.text
    return [model["id"] for model in answer.json()["model_list"]]


def list_agent_events(team: ApiCaller) -> list[str]:
    """Return the audit events about machines, oldest first."""
    listed = team.get("/audit-events", per_page=100).json()["audit_event_list"]
    return [event["action"] for event in reversed(listed) if event["action"].startswith("agent.")]
