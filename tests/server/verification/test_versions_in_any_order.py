"""Pushes, verification, activation, deletion and moves in any order: the invariants of versions hold at each step."""

import random
from collections import Counter
from typing import Any

import pytest

from tests.server.agents.machine import Machine, build_states
from tests.server.agents.test_replicas import load_stored_and_actual_counts
from tests.server.harness import hash_of, make_model_file
from tests.server.verification.machine_content import PATH, list_manifest_hashes
from tests.server.verification.unverified_team import UnverifiedTeam

pytestmark = pytest.mark.slow

STEPS = 250
PATHS = (PATH, "loras/two.safetensors")


class RandomSteps:
    """Random operations on the models of a team; each third upload has other bytes than it declares."""

    def __init__(self, unverified: UnverifiedTeam, machine: Machine) -> None:
        self.unverified, self.team, self.machine = unverified, unverified.owner, machine
        self.random = random.Random(11)
        self.count = 0
        self.right_hashes = set[str]()

    def step(self) -> str:
        """Do one operation and return its name; those that begin with ``keep`` must not take a path from machines."""
        name = self.random.choice(
            [
                *("keep_add_version", "keep_add_version", "keep_verify", "keep_verify", "keep_report"),
                *("keep_activate", "keep_delete_version", "keep_restore_version"),
                *("keep_add_version", "keep_verify", "register", "switch", "move", "trash", "restore", "restore"),
            ]
        )
        getattr(self, name)()
        return name

    def list_models(self, **query: Any) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.team.get("/models", per_page=100, **query).json()["model_list"]
        return listed

    def list_versions(self, model_id: str, **query: Any) -> list[dict[str, Any]]:
        listed = self.team.get(f"/models/{model_id}/versions", per_page=100, **query).json()["version_list"]
        return list(listed)

    def register(self, path: str | None = None, **fields: str) -> None:
        self.count += 1
        content = make_model_file(f"number {self.count}")
        claimed = content if self.count % 3 else make_model_file(f"claim {self.count}")
        if claimed == content:
            self.right_hashes.add(hash_of(content))
        body = self.team.new_model(
            content, path or self.random.choice(PATHS), storage_key=self.unverified.send(content)
        )
        answer = self.team.post("/models", **body | {"file_hash": hash_of(claimed)} | fields)
        assert answer.status_code in (200, 201, 409), answer.text

    def keep_add_version(self) -> None:
        for model in self.list_models()[:1]:
            self.register(model["model_path"], replaces=model["id"])

    def keep_verify(self) -> None:
        for _ in range(self.random.choice([1, 2, 8])):
            self.unverified.verify()

    def keep_report(self) -> None:
        entries = self.machine.manifest().json()["model_list"]
        chosen = [entry for entry in entries if self.random.random() < 0.7]
        versions = {entry["id"]: entry["version"] for entry in chosen}
        self.machine.report([state | {"version": versions[state["model_id"]]} for state in build_states(*versions)])

    def keep_activate(self) -> None:
        for model in self.list_models()[:1]:
            version = self.random.choice(self.list_versions(model["id"]))
            answer = self.team.post(f"/models/{model['id']}/versions/{version['version']}/activate")
            assert (answer.status_code == 200) == (version["verification"] == "verified"), answer.text

    def keep_delete_version(self) -> None:
        for model in self.list_models()[:1]:
            version = self.random.choice(self.list_versions(model["id"]))
            answer = self.team.delete(f"/models/{model['id']}/versions/{version['version']}")
            assert (answer.status_code == 409) == (version["version"] == model["version"]), answer.text

    def keep_restore_version(self) -> None:
        for model in self.list_models()[:1]:
            for version in self.list_versions(model["id"], deleted="true")[:1]:
                answer = self.team.post(f"/models/{model['id']}/versions/{version['version']}/restore")
                assert answer.status_code == 200, answer.text

    def switch(self) -> None:
        for model in self.list_models():
            self.team.put(
                f"/models/{model['id']}", model_status=self.random.choice(["active", "active", "active", "disabled"])
            )

    def move(self) -> None:
        for model in self.list_models()[:1]:
            self.team.put(f"/models/{model['id']}", model_path=self.random.choice(PATHS))

    def trash(self) -> None:
        for model in self.list_models()[-1:]:
            self.team.delete(f"/models/{model['id']}")

    def restore(self) -> None:
        for model in self.list_models(deleted="true"):
            self.team.post(f"/models/{model['id']}/restore")

    def check(self) -> None:
        """Check each model: exactly one current version once there was one, and counts that agree with the rows."""
        for model in self.list_models():
            versions = self.list_versions(model["id"])
            current = [version for version in versions if version["version_status"] == "current"]
            had_one = any(version["promoted_at"] for version in versions)
            assert [version["version"] for version in current] == ([model["version"]] if had_one else [])
            assert model["version_count"] == len(versions)
            [shown] = [version for version in versions if version["version"] == model["version"]]
            assert (shown["file_hash"], shown["verification"]) == (model["file_hash"], model["verification"])


@pytest.mark.extended(reason="hundreds of random steps; test_pending_versions.py and models/test_versions.py have each")
def test_random_steps_keep_one_current_version_and_no_path_is_lost_by_a_push(
    unverified: UnverifiedTeam, machine: Machine
) -> None:
    machine.begin()
    steps = RandomSteps(unverified, machine)
    before, seen = set[str](), Counter[str]()
    for number in range(STEPS):
        name = steps.step()
        hashes = list_manifest_hashes(machine)
        assert set(hashes.values()) <= steps.right_hashes, f"after step {number}: {name}"
        assert not name.startswith("keep") or before <= set(hashes), f"after step {number}: {name}"
        kept, counted = load_stored_and_actual_counts(unverified.registry, unverified.owner)
        assert kept == counted, f"after step {number}: {name}"
        steps.check()
        seen[name] += bool(before)
        before = set(hashes)
    assert min(seen[name] for name in ("keep_add_version", "keep_verify", "keep_report", "keep_activate")) >= 4
