"""What happens to a replaced model whose successor was not read yet, when people or the clock change one of the two."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import update

from modelyard.server.database.base import now
from modelyard.server.garbage.collection import collect_garbage
from modelyard.server.garbage.run_state import CollectionResult, RunOptions
from modelyard.server.models.objects.damage import mark_damaged
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.tables import TeamRow
from tests.server.agents.machine import Machine, build_states, list_agents
from tests.server.harness import ApiCaller, hash_of
from tests.server.verification.replacing import (
    NEW,
    OLD,
    OTHER,
    PATH,
    download_as_machine,
    list_manifest_hashes,
    manifest_has_only,
)
from tests.server.verification.unverified_team import UnverifiedTeam


@pytest.mark.parametrize("how", ["deleted", "disabled"])
def test_whoever_takes_the_successor_away_takes_the_old_away_too(
    unverified: UnverifiedTeam, machine: Machine, old: str, how: str
) -> None:
    machine.begin(build_states(old))
    new = unverified.register(NEW, replaces=old)
    take_away(unverified.owner, new, how)
    assert list_manifest_hashes(machine) == {}
    assert download_as_machine(unverified, machine, old) == 404
    assert list_agents(unverified.owner)["render-07"]["models_ready"] == 0
    bring_back(unverified.owner, new, how)
    assert list_manifest_hashes(machine) == {}
    unverified.verify()
    assert manifest_has_only(machine, NEW)


def take_away(team: ApiCaller, model_id: str, how: str) -> None:
    answer = (
        team.delete(f"/models/{model_id}")
        if how == "deleted"
        else team.put(f"/models/{model_id}", model_status="disabled")
    )
    assert answer.status_code in (200, 204)


def bring_back(team: ApiCaller, model_id: str, how: str) -> None:
    answer = (
        team.post(f"/models/{model_id}/restore")
        if how == "deleted"
        else team.put(f"/models/{model_id}", model_status="active")
    )
    assert answer.status_code == 200


def test_the_old_is_restored_once_the_successor_was_deleted(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    new = unverified.register(NEW, replaces=old)
    refused = unverified.owner.post(f"/models/{old}/restore")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "model_path_taken")
    unverified.owner.delete(f"/models/{new}")
    assert unverified.owner.post(f"/models/{old}/restore").status_code == 200
    assert manifest_has_only(machine, OLD)
    unverified.verify()
    assert manifest_has_only(machine, OLD)


def test_a_successor_that_moved_leaves_the_old_where_it_is_until_it_was_read(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    new = unverified.register(NEW, replaces=old)
    unverified.owner.put(f"/models/{new}", model_path="loras/moved.safetensors")
    assert manifest_has_only(machine, OLD)
    unverified.verify()
    assert manifest_has_only(machine, NEW, "loras/moved.safetensors")


def test_an_old_model_that_is_restored_beside_its_moved_successor_lives_by_itself(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    new = unverified.register(NEW, replaces=old)
    unverified.owner.put(f"/models/{new}", model_path="loras/moved.safetensors")
    assert unverified.owner.post(f"/models/{old}/restore").status_code == 200
    unverified.verify()
    assert list_manifest_hashes(machine) == {PATH: hash_of(OLD), "loras/moved.safetensors": hash_of(NEW)}
    unverified.owner.delete(f"/models/{old}")
    assert manifest_has_only(machine, NEW, "loras/moved.safetensors")


def _registered(unverified: UnverifiedTeam) -> None:
    unverified.register(OTHER)
    unverified.verify_all()


def _registered_known(unverified: UnverifiedTeam) -> None:
    model_id = unverified.register(OTHER, "loras/same.safetensors")
    unverified.verify_all()
    key = unverified.owner.presign(OTHER, "loras/again.safetensors", file_hash=hash_of(OTHER)).json()["storage_key"]
    unverified.register(OTHER, storage_key=key)
    unverified.owner.delete(f"/models/{model_id}")


def _moved(unverified: UnverifiedTeam) -> None:
    model_id = unverified.register(OTHER, "loras/other.safetensors")
    unverified.verify_all()
    assert unverified.owner.put(f"/models/{model_id}", model_path=PATH).status_code == 200


def _enabled(unverified: UnverifiedTeam) -> None:
    model_id = unverified.register(OTHER)
    unverified.owner.put(f"/models/{model_id}", model_status="disabled")
    unverified.verify_all()
    unverified.owner.put(f"/models/{model_id}", model_status="active")


def _restored(unverified: UnverifiedTeam) -> None:
    model_id = unverified.register(OTHER)
    unverified.owner.delete(f"/models/{model_id}")
    unverified.verify_all()
    unverified.owner.post(f"/models/{model_id}/restore")


@pytest.mark.parametrize("how", [_registered, _registered_known, _moved, _enabled, _restored])
def test_a_path_is_named_once_whichever_model_comes_to_it(
    unverified: UnverifiedTeam, machine: Machine, old: str, how: Callable[[UnverifiedTeam], None]
) -> None:
    """Its place became free when its successor moved."""
    new = unverified.register(OTHER, "loras/wrong.safetensors", file_hash=hash_of(NEW), replaces=old)
    unverified.verify()
    assert manifest_has_only(machine, OLD)
    how(unverified)
    assert manifest_has_only(machine, OTHER)
    unverified.owner.delete(f"/models/{new}")
    assert manifest_has_only(machine, OTHER)


def test_a_model_that_waits_at_the_place_takes_it_when_it_was_read(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    unverified.register(NEW, "loras/elsewhere.safetensors", replaces=old)
    unverified.register(OTHER)
    assert manifest_has_only(machine, OLD)
    unverified.verify_all()
    assert list_manifest_hashes(machine) == {PATH: hash_of(OTHER), "loras/elsewhere.safetensors": hash_of(NEW)}


def test_a_model_replaced_by_one_that_is_there_already_goes_when_that_one_was_read(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    key = unverified.send(NEW)
    there = unverified.register(NEW, "loras/there.safetensors")
    body = unverified.owner.new_model(NEW, "loras/there.safetensors", storage_key=key, replaces=old)
    assert unverified.owner.post("/models", **body).json() == {"id": there}
    assert manifest_has_only(machine, OLD)
    unverified.verify()
    assert manifest_has_only(machine, NEW, "loras/there.safetensors")


def test_a_model_replaced_by_one_that_is_there_and_was_read_goes_at_once(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    there = unverified.register(NEW, "loras/there.safetensors")
    unverified.verify_all()
    body = unverified.owner.new_model(NEW, "loras/there.safetensors", storage_key=unverified.send(NEW), replaces=old)
    assert unverified.owner.post("/models", **body).json() == {"id": there}
    assert manifest_has_only(machine, NEW, "loras/there.safetensors")


def test_bytes_that_rot_while_they_stand_in_are_kept_and_not_fetched(
    unverified: UnverifiedTeam, machine: Machine, old: str
) -> None:
    unverified.register(NEW, replaces=old)
    assert mark_damaged(unverified.resources.database, unverified.blob(old), "The bytes have changed.")
    assert machine.desired() == {PATH: True}
    assert machine.key.get(f"/models/{old}/download").json()["error_code"] == "model_damaged"
    unverified.verify()
    assert machine.desired() == {PATH: False}


def test_bytes_that_stand_in_outlive_the_trash(unverified: UnverifiedTeam, machine: Machine, old: str) -> None:
    new = unverified.register(OTHER, file_hash=hash_of(NEW), replaces=old)
    unverified.verify()
    put_away_days_ago(unverified, old, 30)
    clean = partial(cleaned, unverified)
    for is_dry in (True, False):
        assert clean(is_dry).models == 0
    assert download_as_machine(unverified, machine, old) == OLD
    unverified.owner.delete(f"/models/{new}")
    # Its time in the trash begins when no machine is to hold it any more.
    assert clean(False).models == 0
    put_away_days_ago(unverified, old, 30)
    assert (clean(True).models, clean(False).models) == (1, 1)


def cleaned(unverified: UnverifiedTeam, is_dry: bool) -> CollectionResult:
    parts = unverified.resources
    return collect_garbage(parts.database, parts.store, parts.settings, RunOptions(timedelta(0), is_dry=is_dry))


def put_away_days_ago(unverified: UnverifiedTeam, model_id: str, days: float) -> None:
    with unverified.resources.database.writing() as session:
        put_away = update(ModelRow).where(ModelRow.id == UUID(model_id))
        session.execute(put_away.values(deleted_at=now() - timedelta(days=days)))


def test_a_team_that_is_gone_takes_what_stands_in_along(unverified: UnverifiedTeam, old: str) -> None:
    unverified.register(NEW, replaces=old)
    put_away_days_ago(unverified, old, 30)
    assert unverified.owner.delete("/teams/current").status_code == 204
    with unverified.resources.database.writing() as session:
        ended = update(TeamRow).where(TeamRow.id == UUID(unverified.owner.team_id))
        session.execute(ended.values(deleted_at=now() - timedelta(days=30)))
    assert (cleaned(unverified, is_dry=True).models, cleaned(unverified, is_dry=False).models) == (2, 2)
