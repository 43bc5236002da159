"""Replacing, reading, moving and removing in any order: no machine loses a path by it, and none is told one twice."""

import random
from collections import Counter

from tests.server.agents.machine import Machine, build_states
from tests.server.agents.test_replicas import load_stored_and_actual_counts
from tests.server.harness import hash_of, make_model_file
from tests.server.verification.replacing import PATH, list_manifest_hashes
from tests.server.verification.unverified_team import UnverifiedTeam


class Chance:
    """Something happens to a model at one of two paths."""

    def __init__(self, unverified: UnverifiedTeam, machine: Machine) -> None:
        self.unverified, self.team, self.machine = unverified, unverified.owner, machine
        self.chance = random.Random(11)
        self.count = 0

    def step(self) -> str:
        """The name of what was done: what keeps paths named says so."""
        names = [
            "keep_replace",
            "keep_verify",
            "keep_verify",
            "keep_report",
            "register",
            "switch",
            "move",
            "trash",
        ]
        name = self.chance.choice([*names, "restore", "keep_replace", "register"])
        getattr(self, name)()
        return name

    def _living(self) -> list[str]:
        return [model["id"] for model in self.team.get("/models", per_page=100).json()["model_list"]]

    def _content(self) -> tuple[bytes, bytes]:
        """New bytes, and those that they are said to be: each third is a lie."""
        self.count += 1
        content = make_model_file(f"number {self.count}")
        return content, content if self.count % 3 else make_model_file("lie")

    def _path(self) -> str:
        return self.chance.choice([PATH, "loras/two.safetensors"])

    def register(self, **also: str) -> None:
        content, claimed = self._content()
        body = self.team.new_model(content, also.pop("path", self._path()), storage_key=self.unverified.send(content))
        answer = self.team.post("/models", **body | {"file_hash": hash_of(claimed)} | also)
        assert answer.status_code in (200, 201, 409), answer.text

    def keep_replace(self) -> None:
        for model in self.team.get("/models", per_page=100).json()["model_list"][:1]:
            self.register(replaces=model["id"], path=model["model_path"])

    def keep_verify(self) -> None:
        for _ in range(self.chance.choice([1, 2, 8])):
            self.unverified.verify()

    def keep_report(self) -> None:
        entries = self.machine.manifest().json()["model_list"]
        self.machine.report(build_states(*(entry["id"] for entry in entries if self.chance.random() < 0.7)))

    def switch(self) -> None:
        for model_id in self._living()[:1]:
            self.team.put(f"/models/{model_id}", model_status="disabled")
            self.team.put(f"/models/{model_id}", model_status=self.chance.choice(["active", "active", "disabled"]))

    def move(self) -> None:
        """Only of what was read: the old goes from where it was when a successor that moved was read."""
        for model in self.team.get("/models", per_page=100, verification="verified").json()["model_list"][:1]:
            self.team.put(f"/models/{model['id']}", model_path=self._path())

    def trash(self) -> None:
        for model_id in self._living()[-1:]:
            self.team.delete(f"/models/{model_id}")

    def restore(self) -> None:
        trash = [model["id"] for model in self.team.get("/models", deleted="true").json()["model_list"]]
        for model_id in trash[:3]:
            self.team.post(f"/models/{model_id}/restore")


def test_whatever_happens_in_whatever_order_no_path_is_named_twice_and_none_is_lost_by_replacing(
    unverified: UnverifiedTeam, machine: Machine
) -> None:
    machine.begin()
    chance = Chance(unverified, machine)
    before, seen = set[str](), Counter[str]()
    for number in range(150):
        name = chance.step()
        after = set(list_manifest_hashes(machine))
        assert not name.startswith("keep") or before <= after, f"after step {number}: {name}"
        kept, counted = load_stored_and_actual_counts(unverified.registry, unverified.owner)
        assert kept == counted, f"after step {number}: {name}"
        seen[name] += bool(before)
        before = after
    assert min(seen[name] for name in ("keep_replace", "keep_verify", "keep_report")) > 5
