"""Replacing, reading, moving and removing in any order: no machine loses a path by it, and none is told one twice."""

import random
from collections import Counter

from tests.server.agents.machine import Machine, ready
from tests.server.agents.test_holders import kept_and_counted
from tests.server.verification.replacing import PATH, named
from tests.server.verification.unread import Unread
from tests.server.world import a_model_file, hash_of


class Chance:
    """Something happens to a model at one of two paths."""

    def __init__(self, unread: Unread, machine: Machine) -> None:
        self.unread, self.team, self.machine = unread, unread.owner, machine
        self.chance = random.Random(11)
        self.count = 0

    def step(self) -> str:
        """The name of what was done: what keeps paths named says so."""
        names = ["keep_replace", "keep_verify", "keep_verify", "keep_report", "register", "switch", "move", "trash"]
        name = self.chance.choice([*names, "restore", "keep_replace", "register"])
        getattr(self, name)()
        return name

    def _living(self) -> list[str]:
        return [model["id"] for model in self.team.get("/models", per_page=100).json()["model_list"]]

    def _content(self) -> tuple[bytes, bytes]:
        """New bytes, and those that they are said to be: each third is a lie."""
        self.count += 1
        content = a_model_file(f"number {self.count}")
        return content, content if self.count % 3 else a_model_file("lie")

    def _path(self) -> str:
        return self.chance.choice([PATH, "loras/two.safetensors"])

    def register(self, **also: str) -> None:
        content, claimed = self._content()
        body = self.team.new_model(content, also.pop("path", self._path()), storage_key=self.unread.send(content))
        answer = self.team.post("/models", **body | {"file_hash": hash_of(claimed)} | also)
        assert answer.status_code in (200, 201, 409), answer.text

    def keep_replace(self) -> None:
        for model in self.team.get("/models", per_page=100).json()["model_list"][:1]:
            self.register(replaces=model["id"], path=model["model_path"])

    def keep_verify(self) -> None:
        for _ in range(self.chance.choice([1, 2, 8])):
            self.unread.verify()

    def keep_report(self) -> None:
        entries = self.machine.manifest().json()["model_list"]
        self.machine.report(ready(*(entry["id"] for entry in entries if self.chance.random() < 0.7)))

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
    unread: Unread, machine: Machine
) -> None:
    machine.begin()
    chance = Chance(unread, machine)
    before, seen = set[str](), Counter[str]()
    for number in range(150):
        name = chance.step()
        after = set(named(machine))
        assert not name.startswith("keep") or before <= after, f"after step {number}: {name}"
        kept, counted = kept_and_counted(unread.world, unread.owner)
        assert kept == counted, f"after step {number}: {name}"
        seen[name] += bool(before)
        before = after
    assert min(seen[name] for name in ("keep_replace", "keep_verify", "keep_report")) > 5
