"""A new version is verified before machines get it; until then they get the current one, and never two or none."""

from typing import Any

import pytest

from tests.server.agents.machine import (
    Machine,
    build_states,
    get_replica_counts,
    list_agents,
    list_missing,
    list_states_on,
)
from tests.server.harness import hash_of
from tests.server.verification.machine_content import (
    NEW,
    NEWER,
    OLD,
    OTHER,
    PATH,
    download_as_machine,
    list_manifest_hashes,
    manifest_has_only,
)
from tests.server.verification.unverified_team import UnverifiedTeam

pytestmark = pytest.mark.slow


def build_version_states(model_id: str, version: int | None, state: str = "ready") -> list[dict[str, Any]]:
    [reported] = build_states(model_id, state=state)
    return [reported | {"version": version}]


def list_statuses(unverified: UnverifiedTeam, model_id: str) -> list[str]:
    """Return the states of a model's versions, oldest first."""
    listed = unverified.owner.get(f"/models/{model_id}/versions").json()["version_list"]
    return [version["version_status"] for version in reversed(listed)]


def test_new_version_is_pending_until_verified_and_one_revision_exchanges_it(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    before = machine.manifest()
    assert unverified.register(NEW, replaces=old) == old
    held = machine.manifest()
    assert held.json()["model_list"] == before.json()["model_list"]
    assert download_as_machine(unverified, machine, old) == OLD
    assert download_as_machine(unverified, machine, old, version=2) == 404
    unverified.verify()
    exchanged = machine.manifest(held.headers["ETag"]).json()
    [entry] = exchanged["model_list"]
    assert (entry["id"], entry["version"], entry["file_hash"], entry["keep"]) == (old, 2, hash_of(NEW), False)
    assert exchanged["revision"] - held.json()["revision"] == 1
    assert download_as_machine(unverified, machine, old) == NEW
    assert download_as_machine(unverified, machine, old, version=1) == 404


def test_new_version_record_shows_current_content_and_pending_number(unverified: UnverifiedTeam, old: str) -> None:
    unverified.register(NEW, replaces=old, note="Trained again.")
    model = unverified.model(old)
    shown = (model["version"], model["version_count"], model["file_hash"], model["verification"])
    assert shown == (1, 2, hash_of(OLD), "verified")
    assert model["pending_version"] == {"version": 2, "verification": "pending", "verification_error": None}
    assert list_statuses(unverified, old) == ["current", "pending"]
    unverified.verify()
    model = unverified.model(old)
    assert (model["version"], model["file_hash"], model["pending_version"]) == (2, hash_of(NEW), None)
    assert list_statuses(unverified, old) == ["replaced", "current"]


def test_first_version_is_shown_while_pending(unverified: UnverifiedTeam) -> None:
    model = unverified.model(unverified.register(NEW))
    assert (model["version"], model["verification"], model["file_hash"]) == (1, "pending", hash_of(NEW))
    assert model["pending_version"]["version"] == 1


def test_stored_content_becomes_current_at_once(unverified: UnverifiedTeam, machine: Machine, old: str) -> None:
    unverified.register(NEW, "loras/same.safetensors")
    unverified.verify_all()
    key = unverified.owner.presign(NEW, PATH, file_hash=hash_of(NEW), replaces=old).json()["storage_key"]
    unverified.register(NEW, PATH, storage_key=key, replaces=old)
    assert list_manifest_hashes(machine) == {"loras/same.safetensors": hash_of(NEW), PATH: hash_of(NEW)}


def test_promotion_resets_ready_counts_and_reports_of_the_old_version_do_not_count(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    team = unverified.owner
    machine.begin(build_version_states(old, 1))
    unverified.register(NEW, replaces=old)
    assert get_replica_counts(team, old) == (1, 1)
    unverified.verify()
    assert get_replica_counts(team, old) == (0, 1)
    assert {agent["models_ready"] for agent in list_agents(team).values()} == {0}
    assert list_missing(team) == [old]
    machine.report(build_version_states(old, 1))
    assert (get_replica_counts(team, old), list_states_on(team)) == ((0, 1), {old: "queued"})
    machine.report(build_version_states(old, 2))
    assert (get_replica_counts(team, old), list_states_on(team), list_missing(team)) == ((1, 1), {old: "ready"}, [])


def test_report_without_version_counts_while_model_has_one_version(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    machine.begin(build_version_states(old, None))
    assert get_replica_counts(unverified.owner, old) == (1, 1)
    unverified.register(NEW, replaces=old)
    unverified.verify()
    machine.report(build_version_states(old, None))
    assert get_replica_counts(unverified.owner, old) == (0, 1)


def test_states_name_the_current_version(unverified: UnverifiedTeam, machine: Machine, old: str) -> None:
    unverified.register(NEW, replaces=old)
    unverified.verify()
    machine.begin(build_version_states(old, 2))
    team = unverified.owner
    [on_machine] = team.get("/agents/render-07/models").json()["agent_model_list"]
    [of_model] = team.get("/agent-states", model_id=old).json()["model_list"]
    assert (on_machine["version"], of_model["version"], of_model["ready"]) == (2, 2, ["render-07"])


def test_failed_version_leaves_the_current_one_and_shows_its_reason_until_the_next_push(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    unverified.register(OTHER, PATH, file_hash=hash_of(NEW), replaces=old)
    unverified.verify()
    model = unverified.model(old)
    assert (model["version"], model["verification"]) == (1, "verified")
    failed = model["pending_version"]
    assert (failed["version"], failed["verification"]) == (2, "failed")
    assert hash_of(NEW) in failed["verification_error"]
    assert list_statuses(unverified, old) == ["current", "failed"]
    assert manifest_has_only(machine, OLD)
    unverified.register(NEWER, replaces=old)
    assert unverified.model(old)["pending_version"]["version"] == 3
    unverified.verify_all()
    assert list_statuses(unverified, old) == ["replaced", "failed", "current"]
    assert manifest_has_only(machine, NEWER)


def test_failed_version_pushed_again_with_the_right_bytes_becomes_current(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    unverified.register(OTHER, PATH, file_hash=hash_of(NEW), replaces=old)
    unverified.verify()
    assert unverified.register(NEW, PATH, replaces=old) == old
    unverified.verify_all()
    assert list_statuses(unverified, old) == ["replaced", "current"]
    assert manifest_has_only(machine, NEW)


def test_newer_push_supersedes_pending_version_which_is_verified_and_not_promoted(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    unverified.register(NEW, replaces=old)
    unverified.register(NEWER, replaces=old)
    assert list_statuses(unverified, old) == ["current", "superseded", "pending"]
    unverified.verify()
    assert manifest_has_only(machine, OLD)
    unverified.verify()
    assert manifest_has_only(machine, NEWER)
    superseded = unverified.owner.get(f"/models/{old}/versions/2").json()
    assert (superseded["version_status"], superseded["verification"]) == ("superseded", "verified")


def test_activation_supersedes_pending_version(unverified: UnverifiedTeam, machine: Machine, old: str) -> None:
    unverified.register(NEW, replaces=old)
    unverified.verify()
    unverified.register(NEWER, replaces=old)
    assert unverified.owner.post(f"/models/{old}/versions/1/activate").status_code == 200
    assert list_statuses(unverified, old) == ["current", "replaced", "superseded"]
    unverified.verify_all()
    assert manifest_has_only(machine, OLD)


def test_activate_pending_version_returns_409_and_failed_one_too(unverified: UnverifiedTeam, old: str) -> None:
    unverified.register(OTHER, PATH, file_hash=hash_of(NEW), replaces=old)
    pending = unverified.owner.post(f"/models/{old}/versions/2/activate")
    assert (pending.status_code, pending.json()["error_code"]) == (409, "model_not_verified")
    unverified.verify()
    failed = unverified.owner.post(f"/models/{old}/versions/2/activate")
    assert (failed.status_code, failed.json()["error_code"]) == (409, "model_damaged")


def test_disabled_model_gets_its_version_and_no_machine_does(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    unverified.owner.put(f"/models/{old}", model_status="disabled")
    unverified.register(NEW, replaces=old)
    unverified.verify()
    assert (unverified.model(old)["version"], list_manifest_hashes(machine)) == (2, {})


def test_version_of_model_in_the_trash_is_verified_and_current_after_restoring(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    unverified.register(NEW, replaces=old)
    unverified.owner.delete(f"/models/{old}")
    unverified.verify()
    assert list_manifest_hashes(machine) == {}
    unverified.owner.post(f"/models/{old}/restore")
    assert manifest_has_only(machine, NEW)


def test_moved_model_keeps_its_versions(unverified: UnverifiedTeam, machine: Machine, old: str) -> None:
    unverified.register(NEW, replaces=old)
    unverified.owner.put(f"/models/{old}", model_path="loras/moved.safetensors")
    assert manifest_has_only(machine, OLD, "loras/moved.safetensors")
    unverified.verify()
    assert manifest_has_only(machine, NEW, "loras/moved.safetensors")


def test_deleted_pending_version_is_not_promoted(unverified: UnverifiedTeam, machine: Machine, old: str) -> None:
    unverified.register(NEW, replaces=old)
    assert unverified.owner.delete(f"/models/{old}/versions/2").status_code == 204
    unverified.verify_all()
    assert (unverified.model(old)["pending_version"], manifest_has_only(machine, OLD)) == (None, True)


def test_damaged_old_version_is_repaired_by_a_new_upload_and_can_be_activated(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    unverified.register(NEW, replaces=old)
    unverified.verify()
    unverified.resources.store.delete(unverified.find_store_key(old, 1))
    assert unverified.owner.get(f"/models/{old}/download", version=1, redirect="false").status_code == 409
    assert unverified.model(old)["verification"] == "verified"
    unverified.register(OLD, "loras/again.safetensors")
    unverified.verify_all()
    assert unverified.owner.post(f"/models/{old}/versions/1/activate").status_code == 200
    assert list_manifest_hashes(machine)[PATH] == hash_of(OLD)


@pytest.mark.parametrize("version", [None, 2])
def test_download_of_unverified_version_returns_409_and_current_one_its_content(
    unverified: UnverifiedTeam, old: str, version: int | None
) -> None:
    unverified.register(NEW, replaces=old)
    query = {} if version is None else {"version": version}
    answer = unverified.owner.get(f"/models/{old}/download", redirect="false", **query)
    assert answer.status_code == (200 if version is None else 409)


def test_failed_version_that_an_activation_overtook_becomes_current_when_pushed_again(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    unverified.register(NEW, replaces=old)
    unverified.verify()
    unverified.register(OTHER, PATH, file_hash=hash_of(NEWER), replaces=old)
    unverified.verify()
    unverified.owner.post(f"/models/{old}/versions/1/activate")
    unverified.register(NEWER, PATH, replaces=old, expected_version=3)
    unverified.verify_all()
    assert list_statuses(unverified, old) == ["replaced", "replaced", "current"]
    assert manifest_has_only(machine, NEWER)


def test_activate_version_whose_object_is_missing_returns_409_and_keeps_the_current_one(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    unverified.register(NEW, replaces=old)
    unverified.verify()
    unverified.resources.store.delete(unverified.find_store_key(old, 1))
    refused = unverified.owner.post(f"/models/{old}/versions/1/activate")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "model_damaged")
    assert manifest_has_only(machine, NEW)
