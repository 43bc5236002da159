"""What happens to a replaced model whose successor was not read yet, when people or the clock change one of the two."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import update

from modelyard.server.cleanup.collecting import collect_garbage
from modelyard.server.cleanup.rounds import Collected, Plan
from modelyard.server.database.base import now
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.tables import TeamRow
from modelyard.server.verification.settling import settle_rotten
from tests.server.agents.machine import Machine, agents, ready
from tests.server.verification.replacing import NEW, OLD, OTHER, PATH, fetched, named, names
from tests.server.verification.unread import Unread
from tests.server.world import Someone, hash_of


@pytest.mark.parametrize("how", ["deleted", "disabled"])
def test_whoever_takes_the_successor_away_takes_the_old_away_too(
    unread: Unread, machine: Machine, old: str, how: str
) -> None:
    machine.begin(ready(old))
    new = unread.register(NEW, replaces=old)
    take_away(unread.owner, new, how)
    assert named(machine) == {}
    assert fetched(unread, machine, old) == 404
    assert agents(unread.owner)["render-07"]["models_ready"] == 0
    bring_back(unread.owner, new, how)
    assert named(machine) == {}
    unread.verify()
    assert names(machine, NEW)


def take_away(team: Someone, model_id: str, how: str) -> None:
    answer = (
        team.delete(f"/models/{model_id}")
        if how == "deleted"
        else team.put(f"/models/{model_id}", model_status="disabled")
    )
    assert answer.status_code in (200, 204)


def bring_back(team: Someone, model_id: str, how: str) -> None:
    answer = (
        team.post(f"/models/{model_id}/restore")
        if how == "deleted"
        else team.put(f"/models/{model_id}", model_status="active")
    )
    assert answer.status_code == 200


def test_the_old_is_restored_once_the_successor_was_deleted(unread: Unread, machine: Machine, old: str) -> None:
    new = unread.register(NEW, replaces=old)
    refused = unread.owner.post(f"/models/{old}/restore")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "model_path_taken")
    unread.owner.delete(f"/models/{new}")
    assert unread.owner.post(f"/models/{old}/restore").status_code == 200
    assert names(machine, OLD)
    unread.verify()
    assert names(machine, OLD)


def test_a_successor_that_moved_leaves_the_old_where_it_is_until_it_was_read(
    unread: Unread, machine: Machine, old: str
) -> None:
    new = unread.register(NEW, replaces=old)
    unread.owner.put(f"/models/{new}", model_path="loras/moved.safetensors")
    assert names(machine, OLD)
    unread.verify()
    assert names(machine, NEW, "loras/moved.safetensors")


def test_an_old_model_that_is_restored_beside_its_moved_successor_lives_by_itself(
    unread: Unread, machine: Machine, old: str
) -> None:
    new = unread.register(NEW, replaces=old)
    unread.owner.put(f"/models/{new}", model_path="loras/moved.safetensors")
    assert unread.owner.post(f"/models/{old}/restore").status_code == 200
    unread.verify()
    assert named(machine) == {PATH: hash_of(OLD), "loras/moved.safetensors": hash_of(NEW)}
    unread.owner.delete(f"/models/{old}")
    assert names(machine, NEW, "loras/moved.safetensors")


def _registered(unread: Unread) -> None:
    unread.register(OTHER)
    unread.verify_all()


def _registered_known(unread: Unread) -> None:
    model_id = unread.register(OTHER, "loras/same.safetensors")
    unread.verify_all()
    key = unread.owner.presign(OTHER, "loras/again.safetensors", file_hash=hash_of(OTHER)).json()["storage_key"]
    unread.register(OTHER, storage_key=key)
    unread.owner.delete(f"/models/{model_id}")


def _moved(unread: Unread) -> None:
    model_id = unread.register(OTHER, "loras/other.safetensors")
    unread.verify_all()
    assert unread.owner.put(f"/models/{model_id}", model_path=PATH).status_code == 200


def _enabled(unread: Unread) -> None:
    model_id = unread.register(OTHER)
    unread.owner.put(f"/models/{model_id}", model_status="disabled")
    unread.verify_all()
    unread.owner.put(f"/models/{model_id}", model_status="active")


def _restored(unread: Unread) -> None:
    model_id = unread.register(OTHER)
    unread.owner.delete(f"/models/{model_id}")
    unread.verify_all()
    unread.owner.post(f"/models/{model_id}/restore")


@pytest.mark.parametrize("how", [_registered, _registered_known, _moved, _enabled, _restored])
def test_a_path_is_named_once_whichever_model_comes_to_it(
    unread: Unread, machine: Machine, old: str, how: Callable[[Unread], None]
) -> None:
    """Its place became free when its successor moved."""
    new = unread.register(OTHER, "loras/wrong.safetensors", file_hash=hash_of(NEW), replaces=old)
    unread.verify()
    assert names(machine, OLD)
    how(unread)
    assert names(machine, OTHER)
    unread.owner.delete(f"/models/{new}")
    assert names(machine, OTHER)


def test_a_model_that_waits_at_the_place_takes_it_when_it_was_read(unread: Unread, machine: Machine, old: str) -> None:
    unread.register(NEW, "loras/elsewhere.safetensors", replaces=old)
    unread.register(OTHER)
    assert names(machine, OLD)
    unread.verify_all()
    assert named(machine) == {PATH: hash_of(OTHER), "loras/elsewhere.safetensors": hash_of(NEW)}


def test_a_model_replaced_by_one_that_is_there_already_goes_when_that_one_was_read(
    unread: Unread, machine: Machine, old: str
) -> None:
    key = unread.send(NEW)
    there = unread.register(NEW, "loras/there.safetensors")
    body = unread.owner.new_model(NEW, "loras/there.safetensors", storage_key=key, replaces=old)
    assert unread.owner.post("/models", **body).json() == {"id": there}
    assert names(machine, OLD)
    unread.verify()
    assert names(machine, NEW, "loras/there.safetensors")


def test_a_model_replaced_by_one_that_is_there_and_was_read_goes_at_once(
    unread: Unread, machine: Machine, old: str
) -> None:
    there = unread.register(NEW, "loras/there.safetensors")
    unread.verify_all()
    body = unread.owner.new_model(NEW, "loras/there.safetensors", storage_key=unread.send(NEW), replaces=old)
    assert unread.owner.post("/models", **body).json() == {"id": there}
    assert names(machine, NEW, "loras/there.safetensors")


def test_bytes_that_rot_while_they_stand_in_are_kept_and_not_fetched(
    unread: Unread, machine: Machine, old: str
) -> None:
    unread.register(NEW, replaces=old)
    assert settle_rotten(unread.parts.database, unread.blob(old), "The bytes have changed.")
    assert machine.wanted() == {PATH: True}
    assert machine.key.get(f"/models/{old}/download").json()["error_code"] == "model_damaged"
    unread.verify()
    assert machine.wanted() == {PATH: False}


def test_bytes_that_stand_in_outlive_the_trash(unread: Unread, machine: Machine, old: str) -> None:
    new = unread.register(OTHER, file_hash=hash_of(NEW), replaces=old)
    unread.verify()
    put_away_days_ago(unread, old, 30)
    clean = partial(cleaned, unread)
    for is_dry in (True, False):
        assert clean(is_dry).models == 0
    assert fetched(unread, machine, old) == OLD
    unread.owner.delete(f"/models/{new}")
    # Its time in the trash begins when no machine is to hold it any more.
    assert clean(False).models == 0
    put_away_days_ago(unread, old, 30)
    assert (clean(True).models, clean(False).models) == (1, 1)


def cleaned(unread: Unread, is_dry: bool) -> Collected:
    parts = unread.parts
    return collect_garbage(parts.database, parts.store, parts.settings, Plan(timedelta(0), is_dry=is_dry))


def put_away_days_ago(unread: Unread, model_id: str, days: float) -> None:
    with unread.parts.database.writing() as session:
        put_away = update(ModelRow).where(ModelRow.id == UUID(model_id))
        session.execute(put_away.values(deleted_at=now() - timedelta(days=days)))


def test_a_team_that_is_gone_takes_what_stands_in_along(unread: Unread, old: str) -> None:
    unread.register(NEW, replaces=old)
    put_away_days_ago(unread, old, 30)
    assert unread.owner.delete("/teams/current").status_code == 204
    with unread.parts.database.writing() as session:
        ended = update(TeamRow).where(TeamRow.id == UUID(unread.owner.team_id))
        session.execute(ended.values(deleted_at=now() - timedelta(days=30)))
    assert (cleaned(unread, is_dry=True).models, cleaned(unread, is_dry=False).models) == (2, 2)
