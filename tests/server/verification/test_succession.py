"""A replaced model stays on machines until its successor was read: then one revision swaps the two."""

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
from tests.server.query_plans import record_queries
from tests.server.verification.replacing import (
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


def test_until_the_successor_was_read_machines_are_told_what_they_were_told_before(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    etag = machine.manifest().headers["ETag"]
    new = unverified.register(NEW, replaces=old)
    assert machine.manifest(etag).status_code == 304
    assert download_as_machine(unverified, machine, old) == OLD
    assert download_as_machine(unverified, machine, new) == 409
    unverified.verify()
    [entry] = machine.manifest(etag).json()["model_list"]
    assert (entry["id"], entry["file_hash"], entry["keep"]) == (new, hash_of(NEW), False)
    assert (download_as_machine(unverified, machine, old), download_as_machine(unverified, machine, new)) == (404, NEW)


def test_no_revision_between_the_two_names_neither_or_both(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    before = machine.manifest().json()["revision"]
    unverified.register(NEW, replaces=old)
    held = machine.manifest().json()["revision"]
    unverified.verify()
    swapped = machine.manifest().json()["revision"]
    assert before <= held < swapped
    assert swapped - held == 1


@pytest.mark.parametrize("path", [PATH, "loras/new.safetensors"])
def test_bytes_that_are_known_to_be_right_take_over_at_once(
    unverified: UnverifiedTeam, machine: Machine, old: str, path: str
) -> None:
    unverified.register(NEW, "loras/same.safetensors")
    unverified.verify_all()
    same = unverified.owner.presign(NEW, path, file_hash=hash_of(NEW), replaces=old).json()["storage_key"]
    unverified.register(NEW, path, storage_key=same, replaces=old)
    assert list_manifest_hashes(machine) == {"loras/same.safetensors": hash_of(NEW), path: hash_of(NEW)}
    assert download_as_machine(unverified, machine, old) == 404


def test_people_see_the_successor_alone(unverified: UnverifiedTeam, machine: Machine, old: str) -> None:
    new = unverified.register(NEW, replaces=old)
    assert [model["id"] for model in unverified.owner.get("/models").json()["model_list"]] == [new]
    assert unverified.owner.get(f"/models/{old}/download").status_code == 404
    [trashed] = unverified.owner.get("/models", deleted="true").json()["model_list"]
    assert trashed["id"] == old


def test_the_days_in_the_trash_begin_when_machines_need_the_old_model_no_more(
    unverified: UnverifiedTeam, old: str
) -> None:
    unverified.register(NEW, replaces=old)
    [standing_in] = unverified.owner.get("/models", deleted="true").json()["model_list"]
    assert standing_in["restorable_until"] is None
    unverified.verify()
    [trashed] = unverified.owner.get("/models", deleted="true").json()["model_list"]
    assert trashed["restorable_until"] > standing_in["deleted_at"]


def test_what_stands_in_is_counted_and_reported_like_any_other(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    team = unverified.owner
    machine.begin(build_states(old))
    new = unverified.register(NEW, replaces=old)
    late = Machine(machine.key, "late")
    late.beat()
    late.begin(build_states(old, state="downloading"))
    assert (list_states_on(team), list_states_on(team, "late")) == ({old: "ready"}, {old: "downloading"})
    shown = {name: (agent["models_ready"], agent["models_desired"]) for name, agent in list_agents(team).items()}
    assert shown == {"render-07": (1, 1), "late": (0, 1)}
    assert get_replica_counts(team, new) == (0, 0)
    [trashed] = team.get("/models", deleted="true").json()["model_list"]
    assert (trashed["agents_ready"], trashed["agents_desired"]) == (1, 2)
    # It is not for people to look for: what they would find is in the trash.
    assert list_missing(team) == list_missing(team, "late") == []
    unverified.verify()
    assert list_states_on(team) == list_states_on(team, "late") == {new: "queued"}
    assert {agent["models_ready"] for agent in list_agents(team).values()} == {0}
    assert list_missing(team) == [new]
    machine.report(build_states(old))
    assert list_states_on(team) == {new: "queued"}


def test_labels_count_for_what_stands_in_as_well(unverified: UnverifiedTeam, machine: Machine) -> None:
    old = unverified.register(OLD, required_labels=["gpu24"])
    unverified.verify()
    unverified.register(NEW, replaces=old)
    big = Machine(machine.key, "big", ("gpu24",))
    big.beat()
    assert (list_manifest_hashes(machine), manifest_has_only(big, OLD)) == ({}, True)


def test_a_machine_with_another_key_does_not_get_what_stands_in_by_labels_it_lacks(
    unverified: UnverifiedTeam, machine: Machine
) -> None:
    old = unverified.register(OLD, required_labels=["gpu24"])
    unverified.verify()
    unverified.register(NEW, replaces=old)
    assert download_as_machine(unverified, machine, old) == 404


def test_if_the_successor_turns_out_wrong_machines_keep_the_old(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    wrong = unverified.register(OTHER, file_hash=hash_of(NEW), replaces=old)
    unverified.verify()
    assert unverified.state(wrong) == "failed"
    assert manifest_has_only(machine, OLD)
    assert download_as_machine(unverified, machine, old) == OLD
    # The right bytes, pushed again, heal the record, and take over when they were read.
    body = unverified.owner.new_model(NEW, PATH, storage_key=unverified.send(NEW))
    assert unverified.owner.post("/models", **body).json() == {"id": wrong}
    assert manifest_has_only(machine, OLD)
    unverified.verify()
    assert manifest_has_only(machine, NEW)


def test_right_bytes_that_are_here_heal_a_wrong_successor_and_take_over_at_once(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    unverified.register(NEW, "loras/same.safetensors")
    unverified.verify_all()
    wrong = unverified.register(OTHER, file_hash=hash_of(NEW), replaces=old)
    unverified.verify()
    same = unverified.owner.presign(NEW, file_hash=hash_of(NEW)).json()["storage_key"]
    unverified.owner.post("/models", **unverified.owner.new_model(NEW, PATH, storage_key=same))
    assert unverified.state(wrong) == "verified"
    assert list_manifest_hashes(machine)[PATH] == hash_of(NEW)


def test_a_wrong_successor_that_is_replaced_by_a_right_one_leaves_no_gap(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    wrong = unverified.register(OTHER, file_hash=hash_of(NEW), replaces=old)
    unverified.verify()
    unverified.register(NEWER, replaces=wrong)
    assert manifest_has_only(machine, OLD)
    unverified.verify()
    assert manifest_has_only(machine, NEWER)


def test_of_many_replaced_unread_the_last_takes_over(unverified: UnverifiedTeam, machine: Machine, old: str) -> None:
    between = unverified.register(NEW, replaces=old)
    unverified.register(NEWER, replaces=between)
    assert manifest_has_only(machine, OLD)
    unverified.verify()
    # What was replaced before it was read is nobody's successor any more.
    assert manifest_has_only(machine, OLD)
    unverified.verify()
    assert manifest_has_only(machine, NEWER)
    assert download_as_machine(unverified, machine, old) == download_as_machine(unverified, machine, between) == 404


def test_each_of_a_row_that_was_read_in_time_stands_in_for_the_next(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    between = unverified.register(NEW, replaces=old)
    unverified.verify()
    unverified.register(NEWER, replaces=between)
    assert manifest_has_only(machine, NEW)
    unverified.verify()
    assert manifest_has_only(machine, NEWER)


def test_what_was_never_read_stands_in_for_nothing(unverified: UnverifiedTeam, machine: Machine) -> None:
    first = unverified.register(OLD)
    unverified.register(NEW, replaces=first)
    assert list_manifest_hashes(machine) == {}
    unverified.verify()
    assert list_manifest_hashes(machine) == {}
    unverified.verify()
    assert manifest_has_only(machine, NEW)


def test_what_was_disabled_stands_in_for_nothing(unverified: UnverifiedTeam, machine: Machine, old: str) -> None:
    unverified.owner.put(f"/models/{old}", model_status="disabled")
    unverified.register(NEW, replaces=old)
    assert list_manifest_hashes(machine) == {}


def test_a_manifest_with_and_without_stand_ins_is_one_query_by_its_index(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    unverified.register(NEW, replaces=old)
    engine = unverified.resources.database.engine
    with record_queries(engine, of_all_threads=True) as statements:
        assert manifest_has_only(machine, OLD)
        machine.manifest()
    [made] = [sent for sent in statements.sent if "blake3_hash" in sent[0]]
    statements.sent = [made]
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            # Small tables are read whole, unless that is out of the question.
            connection.exec_driver_sql("SET enable_seqscan = off")
        [plan] = statements.plans(connection)
    assert "ix_models_desired" in plan
