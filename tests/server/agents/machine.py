"""A machine of the tests: a key, a name, and the reports that it numbers."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
from sqlalchemy import update

from modelyard.server.database.base import now
from modelyard.server.models.holders.tables import AgentRow
from tests.server.world import Someone, World

State = dict[str, Any]


def ready(*model_ids: str, state: str = "ready", reason: str | None = None) -> list[State]:
    return [{"model_id": model_id, "state": state, "reason": reason} for model_id in model_ids]


class Machine:
    """Speaks for one agent id with one key, as the wire's rules for reports say."""

    def __init__(self, key: Someone, agent_id: str = "render-07", labels: tuple[str, ...] = ()) -> None:
        self.key = key
        self.agent_id = agent_id
        self.labels = labels
        self.series, self.number = "", 0

    def send(self, **said: Any) -> httpx2.Response:
        """A heartbeat as it stands."""
        body = {"agent_id": self.agent_id, "agent_labels": list(self.labels)}
        return self.key.post("/agent/heartbeat", **(body | said))

    def beat(self, **said: Any) -> dict[str, Any]:
        """A heartbeat without a report; the answer."""
        answer = self.send(report_series=self.series, report_number=self.number, **said)
        assert answer.status_code == 200, answer.text
        answered: dict[str, Any] = answer.json()
        return answered

    def begin(self, states: list[State] | None = None, series: str = "one") -> dict[str, Any]:
        """The whole, in one part."""
        self.series, self.number = series, 1
        states = sorted(states or [], key=lambda state: UUID(state["model_id"]))
        return self.beat(model_list=states, is_whole=True, is_last=True)

    def report(self, states: list[State]) -> dict[str, Any]:
        """What changed."""
        self.number += 1
        return self.beat(model_list=states)

    def manifest(self, etag: str | None = None, wait: int = 0) -> httpx2.Response:
        headers = {} if etag is None else {"If-None-Match": etag}
        query = {"agent_id": self.agent_id, "wait": wait}
        return self.key.call("GET", "/agent/manifest", params=query, headers=headers)

    def wanted(self) -> dict[str, bool]:
        """The paths in its manifest, and whether each is only to be kept."""
        answer = self.manifest()
        assert answer.status_code == 200, answer.text
        return {model["model_path"]: model["keep"] for model in answer.json()["model_list"]}


def machine_of(world: World, team: Someone, agent_id: str = "render-07", labels: tuple[str, ...] = ()) -> Machine:
    """A machine with a key of its own that has been heard once."""
    machine = Machine(world.key("agent", team), agent_id, labels)
    machine.beat()
    return machine


def silence(world: World, team: Someone, seconds: float) -> None:
    """Make the team's machines unheard of for so long."""
    assert team.team_id is not None
    with world.parts.database.writing(UUID(team.team_id)) as session:
        session.execute(
            update(AgentRow)
            .where(AgentRow.team_id == UUID(team.team_id))
            .values(last_heartbeat=now() - timedelta(seconds=seconds))
            .execution_options(synchronize_session=False)
        )


def agents(team: Someone, **query: Any) -> dict[str, dict[str, Any]]:
    answer = team.get("/agents", **query)
    assert answer.status_code == 200, answer.text
    return {agent["agent_id"]: agent for agent in answer.json()["agent_list"]}


def states_on(team: Someone, agent_id: str = "render-07", **query: Any) -> dict[str, str]:
    answer = team.get(f"/agents/{agent_id}/models", **query)
    assert answer.status_code == 200, answer.text
    return {entry["model_id"]: entry["state"] for entry in answer.json()["agent_model_list"]}


def counts(team: Someone, model_id: str) -> tuple[int, int]:
    """How many machines have a model, of how many that should."""
    model = team.get(f"/models/{model_id}").json()
    return model["agents_ready"], model["agents_wanted"]


def missing(team: Someone, where: str = "any", **query: Any) -> list[str]:
    answer = team.get("/models", missing_on=where, **query)
    assert answer.status_code == 200, answer.text
    return [model["id"] for model in answer.json()["model_list"]]


def events(team: Someone) -> list[str]:
    """What was written down of machines, oldest first."""
    found = team.get("/audit-events", per_page=100).json()["audit_event_list"]
    return [event["action"] for event in reversed(found) if event["action"].startswith("agent.")]
