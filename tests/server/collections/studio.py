"""A team with a collection, two versions of it, and two subscribed machines: a canary and another."""

from typing import Any
from uuid import UUID

from modelyard.server.collections.rollouts.advancing import advance_rollout
from tests.server.agents.machine import Machine, add_machine, build_states
from tests.server.harness import ApiCaller, Harness, make_model_file

INK, KAORI = "loras/ink.safetensors", "loras/kaori.safetensors"


class Studio:
    """A team with a collection of ink (version 1) and kaori (version 2, held back), a canary and another machine."""

    def __init__(self, registry: Harness, team: ApiCaller) -> None:
        self.registry, self.team = registry, team
        self.canary = add_machine(registry, team, "canary-1", ("gpu24", "canary"))
        self.other = Machine(self.canary.key, "render-07", ("gpu24",))
        self.other.beat()
        self.ink, self.kaori = (
            team.register(make_model_file(word), f"loras/{word}.safetensors", required_labels=["none"])
            for word in ("ink", "kaori")
        )
        created = team.post("/collections", name="Winter", model_list=[{"model_id": self.ink}])
        self.path = f"/collections/{created.json()['id']}"
        assert team.post(f"{self.path}/subscriptions", label="gpu24").status_code == 201
        for machine in (self.canary, self.other):
            machine.begin(build_states(self.ink))
        self.hold(is_held=True)
        self.add_version(self.kaori)

    def hold(self, *, is_held: bool) -> None:
        assert self.team.put(self.path, is_held=is_held).status_code == 200

    def add_version(self, *model_ids: str) -> int:
        models = [{"model_id": each} for each in model_ids]
        answer = self.team.post(f"{self.path}/versions", model_list=models)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["version"])

    def start(self, version: int = 2, status: int = 201, **changed: Any) -> str:
        body = {"version": version, "canary_label": "canary"} | changed
        answer = self.team.post(f"{self.path}/rollouts", **body)
        assert answer.status_code == status, answer.text
        return f"{self.path}/rollouts/{answer.json().get('id')}"

    def act(self, rollout: str, action: str, status: int = 200, **body: Any) -> dict[str, Any]:
        path = f"{rollout}/{action}"
        answer = self.team.post(path, **body) if body else self.team.call("POST", path)
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    def read(self, rollout: str) -> dict[str, Any]:
        """Move a roll-out on as the job does, and return it."""
        assert self.team.team_id is not None
        advance_rollout(self.registry.resources.database, UUID(self.team.team_id), UUID(rollout[-36:]))
        return dict(self.team.get(rollout).json())

    def list_desired(self) -> tuple[list[str], list[str]]:
        """Return the paths that the canary and the other machine should hold."""
        return [*self.canary.desired()], [*self.other.desired()]

    def list_events(self) -> list[str]:
        listed = self.team.get("/audit-events", per_page=100).json()["audit_event_list"]
        prefix = "collection.rollout_"
        return [each["action"].removeprefix(prefix) for each in reversed(listed) if prefix in each["action"]]
