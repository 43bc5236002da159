"""Random changes of machines, models and subscriptions, with a plain model of which machine should hold which model."""

import random

from tests.server.agents.machine import Machine, build_states
from tests.server.harness import ApiCaller

CHANGES = [
    *("report", "report", "report", "begin", "switch", "label", "need", "trash", "restore", "forget"),
    *("assign", "assign", "unassign", "collect", "collect", "subscribe", "subscribe_label", "unsubscribe"),
]


class RandomChanges:
    """Applies random changes to one of the machines or models, and follows what each machine should hold."""

    def __init__(self, team: ApiCaller, machines: list[Machine], needs: dict[str, list[str]], seed: int = 7) -> None:
        self.team, self.machines, self.models = team, machines, list(needs)
        self.rng = random.Random(seed)
        self.series = 0
        self.needs = {model_id: set(labels) for model_id, labels in needs.items()}
        self.living, self.active = set(self.models), set(self.models)
        self.central: dict[str, set[str]] = {machine.agent_id: set() for machine in machines}
        self.assigned: set[tuple[str, str]] = set()
        self.collection_id = team.post("/collections", name="Random", model_list=[]).json()["id"]
        self.collected: set[str] = set()
        # By the subscription's id: a machine's name, or a label.
        self.subscribed: dict[str, str] = {}

    def change(self) -> str:
        name = self.rng.choice(CHANGES)
        getattr(self, name)(self.rng.choice(self.machines), self.rng.choice(self.models))
        return name

    def list_present(self) -> list[Machine]:
        """Return the machines that the registry has."""
        return [machine for machine in self.machines if machine.agent_id in self.central]

    def has_labels(self, machine: Machine, model_id: str) -> bool:
        return self.needs[model_id] <= {*machine.labels, *self.central[machine.agent_id]}

    def should_hold(self, machine: Machine, model_id: str) -> bool:
        """Return whether a machine should hold a model: by its labels, or since it is assigned."""
        is_assigned = (machine.agent_id, model_id) in self.assigned
        is_subscribed = model_id in self.collected and self.is_subscribed(machine)
        is_for_it = self.has_labels(machine, model_id) or is_assigned or is_subscribed
        return model_id in self.living & self.active and is_for_it

    def is_subscribed(self, machine: Machine) -> bool:
        """Return whether a machine or one of its labels is subscribed to the collection."""
        names = {machine.agent_id, *machine.labels, *self.central[machine.agent_id]}
        return bool(names & set(self.subscribed.values()))

    def some_labels(self) -> list[str]:
        return self.rng.sample(["x", "y"], self.rng.randrange(3))

    def report(self, machine: Machine, model_id: str) -> None:
        state = self.rng.choice(["ready", "ready", "failed"])
        self.central.setdefault(machine.agent_id, set())
        if machine.report(build_states(model_id, state=state))["resend_all"]:
            self.begin(machine, model_id)

    def begin(self, machine: Machine, model_id: str) -> None:
        self.series += 1
        self.central.setdefault(machine.agent_id, set())
        machine.begin(build_states(model_id, self.models[0])[: self.rng.randrange(3)], series=f"series-{self.series}")

    def switch(self, _: Machine, model_id: str) -> None:
        status = self.rng.choice(["active", "disabled"])
        if self.team.put(f"/models/{model_id}", model_status=status).status_code == 200:
            (self.active.add if status == "active" else self.active.discard)(model_id)

    def label(self, machine: Machine, _: str) -> None:
        labels = self.some_labels()
        if self.team.put(f"/agents/{machine.agent_id}", agent_labels=labels).status_code == 200:
            self.central[machine.agent_id] = set(labels)

    def need(self, _: Machine, model_id: str) -> None:
        labels = self.some_labels()
        if self.team.put(f"/models/{model_id}", required_labels=labels).status_code == 200:
            self.needs[model_id] = set(labels)

    def trash(self, _: Machine, model_id: str) -> None:
        self.team.delete(f"/models/{model_id}")
        self.living.discard(model_id)

    def restore(self, _: Machine, model_id: str) -> None:
        self.team.post(f"/models/{model_id}/restore")
        self.living.add(model_id)

    def forget(self, machine: Machine, _: str) -> None:
        self.team.delete(f"/agents/{machine.agent_id}")
        self.central.pop(machine.agent_id, None)
        self.assigned = {pair for pair in self.assigned if pair[0] != machine.agent_id}
        self.subscribed = {each: name for each, name in self.subscribed.items() if name != machine.agent_id}

    def assign(self, machine: Machine, model_id: str) -> None:
        if self.team.put(f"/agents/{machine.agent_id}/models/{model_id}").status_code == 200:
            self.assigned.add((machine.agent_id, model_id))

    def unassign(self, machine: Machine, model_id: str) -> None:
        if self.team.delete(f"/agents/{machine.agent_id}/models/{model_id}").status_code == 204:
            self.assigned.discard((machine.agent_id, model_id))

    def collect(self, _: Machine, __: str) -> None:
        """Make the next version of the collection from some of the models outside the trash."""
        living = sorted(self.living)
        chosen = self.rng.sample(living, self.rng.randrange(len(living) + 1))
        models = [{"model_id": model_id} for model_id in chosen]
        answer = self.team.post(f"/collections/{self.collection_id}/versions", model_list=models)
        assert answer.status_code in (200, 201), answer.text
        self.collected = set(chosen)

    def subscribe(self, machine: Machine, _: str) -> None:
        if machine.agent_id in self.central:
            self._subscribe(machine.agent_id, agent_id=machine.agent_id)

    def subscribe_label(self, _: Machine, __: str) -> None:
        label = self.rng.choice(["x", "y"])
        self._subscribe(label, label=label)

    def _subscribe(self, name: str, **target: str) -> None:
        answer = self.team.post(f"/collections/{self.collection_id}/subscriptions", **target)
        assert answer.status_code == (200 if name in self.subscribed.values() else 201), answer.text
        self.subscribed[answer.json()["id"]] = name

    def unsubscribe(self, _: Machine, __: str) -> None:
        if self.subscribed:
            chosen = self.rng.choice(sorted(self.subscribed))
            path = f"/collections/{self.collection_id}/subscriptions/{chosen}"
            assert self.team.delete(path).status_code == 204
            del self.subscribed[chosen]
