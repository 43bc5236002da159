"""A replaced model stays on machines until its successor was read: then one revision swaps the two."""

import pytest

from tests.server.agents.machine import Machine, agents, counts, missing, ready, states_on
from tests.server.plans import recorded
from tests.server.verification.replacing import NEW, NEWER, OLD, OTHER, PATH, fetched, named, names
from tests.server.verification.unread import Unread
from tests.server.world import hash_of


def test_until_the_successor_was_read_machines_are_told_what_they_were_told_before(
    unread: Unread, machine: Machine, old: str
) -> None:
    etag = machine.manifest().headers["ETag"]
    new = unread.register(NEW, replaces=old)
    assert machine.manifest(etag).status_code == 304
    assert fetched(unread, machine, old) == OLD
    assert fetched(unread, machine, new) == 409
    unread.verify()
    [entry] = machine.manifest(etag).json()["model_list"]
    assert (entry["id"], entry["file_hash"], entry["keep"]) == (new, hash_of(NEW), False)
    assert (fetched(unread, machine, old), fetched(unread, machine, new)) == (404, NEW)


def test_no_revision_between_the_two_names_neither_or_both(unread: Unread, machine: Machine, old: str) -> None:
    before = machine.manifest().json()["revision"]
    unread.register(NEW, replaces=old)
    held = machine.manifest().json()["revision"]
    unread.verify()
    swapped = machine.manifest().json()["revision"]
    assert before <= held < swapped
    assert swapped - held == 1


@pytest.mark.parametrize("path", [PATH, "loras/new.safetensors"])
def test_bytes_that_are_known_to_be_right_take_over_at_once(
    unread: Unread, machine: Machine, old: str, path: str
) -> None:
    unread.register(NEW, "loras/same.safetensors")
    unread.verify_all()
    same = unread.owner.presign(NEW, path, file_hash=hash_of(NEW), replaces=old).json()["storage_key"]
    unread.register(NEW, path, storage_key=same, replaces=old)
    assert named(machine) == {"loras/same.safetensors": hash_of(NEW), path: hash_of(NEW)}
    assert fetched(unread, machine, old) == 404


def test_people_see_the_successor_alone(unread: Unread, machine: Machine, old: str) -> None:
    new = unread.register(NEW, replaces=old)
    assert [model["id"] for model in unread.owner.get("/models").json()["model_list"]] == [new]
    assert unread.owner.get(f"/models/{old}/download").status_code == 404
    [trashed] = unread.owner.get("/models", deleted="true").json()["model_list"]
    assert trashed["id"] == old


def test_the_days_in_the_trash_begin_when_machines_need_the_old_model_no_more(unread: Unread, old: str) -> None:
    unread.register(NEW, replaces=old)
    [standing_in] = unread.owner.get("/models", deleted="true").json()["model_list"]
    assert standing_in["restorable_until"] is None
    unread.verify()
    [trashed] = unread.owner.get("/models", deleted="true").json()["model_list"]
    assert trashed["restorable_until"] > standing_in["deleted_at"]


def test_what_stands_in_is_counted_and_reported_like_any_other(unread: Unread, machine: Machine, old: str) -> None:
    team = unread.owner
    machine.begin(ready(old))
    new = unread.register(NEW, replaces=old)
    late = Machine(machine.key, "late")
    late.beat()
    late.begin(ready(old, state="downloading"))
    assert (states_on(team), states_on(team, "late")) == ({old: "ready"}, {old: "downloading"})
    shown = {name: (agent["models_ready"], agent["models_wanted"]) for name, agent in agents(team).items()}
    assert shown == {"render-07": (1, 1), "late": (0, 1)}
    assert counts(team, new) == (0, 0)
    [trashed] = team.get("/models", deleted="true").json()["model_list"]
    assert (trashed["agents_ready"], trashed["agents_wanted"]) == (1, 2)
    # It is not for people to look for: what they would find is in the trash.
    assert missing(team) == missing(team, "late") == []
    unread.verify()
    assert states_on(team) == states_on(team, "late") == {new: "wanted"}
    assert {agent["models_ready"] for agent in agents(team).values()} == {0}
    assert missing(team) == [new]
    machine.report(ready(old))
    assert states_on(team) == {new: "wanted"}


def test_labels_count_for_what_stands_in_as_well(unread: Unread, machine: Machine) -> None:
    old = unread.register(OLD, required_labels=["gpu24"])
    unread.verify()
    unread.register(NEW, replaces=old)
    big = Machine(machine.key, "big", ("gpu24",))
    big.beat()
    assert (named(machine), names(big, OLD)) == ({}, True)


def test_a_machine_with_another_key_does_not_get_what_stands_in_by_labels_it_lacks(
    unread: Unread, machine: Machine
) -> None:
    old = unread.register(OLD, required_labels=["gpu24"])
    unread.verify()
    unread.register(NEW, replaces=old)
    assert fetched(unread, machine, old) == 404


def test_if_the_successor_turns_out_wrong_machines_keep_the_old(unread: Unread, machine: Machine, old: str) -> None:
    wrong = unread.register(OTHER, file_hash=hash_of(NEW), replaces=old)
    unread.verify()
    assert unread.state(wrong) == "failed"
    assert names(machine, OLD)
    assert fetched(unread, machine, old) == OLD
    # The right bytes, pushed again, heal the record, and take over when they were read.
    body = unread.owner.new_model(NEW, PATH, storage_key=unread.send(NEW))
    assert unread.owner.post("/models", **body).json() == {"id": wrong}
    assert names(machine, OLD)
    unread.verify()
    assert names(machine, NEW)


def test_right_bytes_that_are_here_heal_a_wrong_successor_and_take_over_at_once(
    unread: Unread, machine: Machine, old: str
) -> None:
    unread.register(NEW, "loras/same.safetensors")
    unread.verify_all()
    wrong = unread.register(OTHER, file_hash=hash_of(NEW), replaces=old)
    unread.verify()
    same = unread.owner.presign(NEW, file_hash=hash_of(NEW)).json()["storage_key"]
    unread.owner.post("/models", **unread.owner.new_model(NEW, PATH, storage_key=same))
    assert unread.state(wrong) == "verified"
    assert named(machine)[PATH] == hash_of(NEW)


def test_a_wrong_successor_that_is_replaced_by_a_right_one_leaves_no_gap(
    unread: Unread, machine: Machine, old: str
) -> None:
    wrong = unread.register(OTHER, file_hash=hash_of(NEW), replaces=old)
    unread.verify()
    unread.register(NEWER, replaces=wrong)
    assert names(machine, OLD)
    unread.verify()
    assert names(machine, NEWER)


def test_of_many_replaced_unread_the_last_takes_over(unread: Unread, machine: Machine, old: str) -> None:
    between = unread.register(NEW, replaces=old)
    unread.register(NEWER, replaces=between)
    assert names(machine, OLD)
    unread.verify()
    # What was replaced before it was read is nobody's successor any more.
    assert names(machine, OLD)
    unread.verify()
    assert names(machine, NEWER)
    assert fetched(unread, machine, old) == fetched(unread, machine, between) == 404


def test_each_of_a_row_that_was_read_in_time_stands_in_for_the_next(unread: Unread, machine: Machine, old: str) -> None:
    between = unread.register(NEW, replaces=old)
    unread.verify()
    unread.register(NEWER, replaces=between)
    assert names(machine, NEW)
    unread.verify()
    assert names(machine, NEWER)


def test_what_was_never_read_stands_in_for_nothing(unread: Unread, machine: Machine) -> None:
    first = unread.register(OLD)
    unread.register(NEW, replaces=first)
    assert named(machine) == {}
    unread.verify()
    assert named(machine) == {}
    unread.verify()
    assert names(machine, NEW)


def test_what_was_disabled_stands_in_for_nothing(unread: Unread, machine: Machine, old: str) -> None:
    unread.owner.put(f"/models/{old}", model_status="disabled")
    unread.register(NEW, replaces=old)
    assert named(machine) == {}


def test_a_manifest_with_and_without_stand_ins_is_one_query_by_its_index(
    unread: Unread, machine: Machine, old: str
) -> None:
    unread.register(NEW, replaces=old)
    engine = unread.parts.database.engine
    with recorded(engine, of_all_threads=True) as statements:
        assert names(machine, OLD)
        machine.manifest()
    [made] = [sent for sent in statements.sent if "blake3_hash" in sent[0]]
    statements.sent = [made]
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            # Small tables are read whole, unless that is out of the question.
            connection.exec_driver_sql("SET enable_seqscan = off")
        [plan] = statements.plans(connection)
    assert "ix_models_wanted" in plan
