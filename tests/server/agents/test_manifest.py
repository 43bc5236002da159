"""What a machine is told to hold, how it hears of news, and what ends its waiting."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import update

from modelyard.server.database.base import now
from modelyard.server.identity.tables import CredentialRow
from modelyard.server.models.tables import ModelRow
from modelyard.server.uploads.tables import BlobRow
from modelyard.server.verification.settling import settle_rotten
from tests.server.agents.machine import Machine, machine_of
from tests.server.plans import recorded
from tests.server.world import Someone, World, a_model_file

CONTENT = a_model_file("ink")
# Less than a request is held: what comes so soon was not the end of its time.
SOON, HELD_SECONDS = 40.0, 60


@pytest.fixture
def machine(shared_world: World, team: Someone) -> Machine:
    return machine_of(shared_world, team)


def model(team: Someone, word: str = "ink", **changed: Any) -> str:
    return team.register(a_model_file(word), f"loras/{word}.safetensors", **changed)


def rot(world: World, model_id: str) -> None:
    """What the scrubber does when it finds other bytes."""
    with world.parts.database.reading() as session:
        row = session.get_one(ModelRow, UUID(model_id))
        blob = session.get_one(BlobRow, row.blob_id)
    assert settle_rotten(world.parts.database, blob, "The bytes have changed.")


@contextmanager
def waiting(world: World, machine: Machine, seconds: int = HELD_SECONDS) -> Iterator[Future[httpx2.Response]]:
    """A request that is being held, of a machine that knows its manifest; the block begins when it is."""
    etag = machine.manifest().headers["ETag"]
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(machine.manifest, etag, seconds)
        wait_until_held(world, 1)
        yield asked


def wait_until_held(world: World, count: int) -> None:
    wait_until(lambda: len(world.app.state.fleet.waiting) == count)


def wait_until_no_connection_is_out(world: World) -> None:
    """The chores take one now and then, for a moment."""
    wait_until(lambda: world.parts.database.engine.pool.checkedout() == 0)  # type: ignore[attr-defined]  # the pool that we open has it


def wait_until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.005)


def test_a_manifest_names_what_a_machine_should_hold(team: Someone, machine: Machine) -> None:
    model_id = model(team)
    answer = machine.manifest()
    [entry] = answer.json()["model_list"]
    shown = team.get(f"/models/{model_id}").json()
    names = ("id", "model_path", "model_type", "file_size", "file_hash", "blake3_hash")
    assert {name: entry[name] for name in names} == {name: shown[name] for name in names}
    assert entry["keep"] is False
    assert "url" not in answer.text
    assert answer.headers["ETag"]


def test_only_active_verified_models_whose_labels_it_has_are_in_it(shared_world: World, team: Someone) -> None:
    machine = machine_of(shared_world, team, labels=("gpu24",))
    for word, labels in (("plain", []), ("fits", ["gpu24"]), ("not", ["gpu24", "north"])):
        model(team, word, required_labels=labels)
    team.put(f"/models/{model(team, 'disabled')}", model_status="disabled")
    team.delete(f"/models/{model(team, 'deleted')}")
    model(shared_world.new_team(), "foreign")
    assert list(machine.wanted()) == ["loras/plain.safetensors", "loras/fits.safetensors"]
    team.put("/agents/render-07", agent_labels=["north"])
    assert len(machine.wanted()) == 3


def test_rotten_bytes_stay_to_be_kept_and_are_not_handed_out(
    shared_world: World, team: Someone, machine: Machine
) -> None:
    model_id = model(team)
    rot(shared_world, model_id)
    assert machine.wanted() == {"loras/ink.safetensors": True}
    assert machine.key.get(f"/models/{model_id}/download").json()["error_code"] == "model_damaged"
    team.post("/models", **team.new_model(CONTENT))
    team.wait_until_read(model_id)
    assert machine.wanted() == {"loras/ink.safetensors": False}


def test_a_key_that_has_never_said_who_it_speaks_for_sends_a_heartbeat_first(
    shared_world: World, team: Someone, machine: Machine
) -> None:
    for stranger in (Machine(machine.key, "render-08"), Machine(shared_world.key("agent", team))):
        refused = stranger.manifest()
        assert (refused.status_code, refused.json()["error_code"]) == (409, "agent_unknown")


def test_an_unchanged_manifest_is_not_sent_again(team: Someone, machine: Machine) -> None:
    model_id = model(team)
    etag = machine.manifest().headers["ETag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        again = machine.manifest(known)
        assert (again.status_code, again.content) == (304, b"")
    # What machines do not care about is no news to them, though the revision has moved.
    team.put(f"/models/{model(team, 'off')}", model_status="disabled")
    assert machine.manifest(etag).status_code == 304
    team.put(f"/models/{model_id}", model_path="loras/other.safetensors")
    assert machine.manifest(etag).status_code == 200


def test_one_query_makes_it_for_all_machines_with_the_same_labels(
    shared_world: World, team: Someone, machine: Machine
) -> None:
    model(team)
    twin = Machine(machine.key, "render-08")
    twin.beat()
    with recorded(shared_world.parts.database.engine, of_all_threads=True) as statements:
        for each in (machine, twin, machine):
            each.manifest()
    made = [statement for statement, _ in statements.sent if "blake3_hash" in statement]
    assert len(made) == 1


def test_it_comes_compressed_to_whoever_can_read_that(team: Someone, machine: Machine) -> None:
    model(team)
    query = {"agent_id": machine.agent_id}
    sent = {
        coding: machine.key.call("GET", "/agent/manifest", params=query, headers={"Accept-Encoding": coding})
        for coding in ("gzip", "identity")
    }
    assert [answer.headers.get("Content-Encoding") for answer in sent.values()] == ["gzip", None]
    assert sent["gzip"].json() == sent["identity"].json()


@pytest.mark.parametrize("wait", ["-1", "61", "1.5", "soon"])
def test_a_wait_beyond_its_bounds_is_refused(machine: Machine, wait: str) -> None:
    refused = machine.key.get("/agent/manifest", agent_id="render-07", wait=wait)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "wait")


def test_a_wait_ends_with_its_time(team: Someone, machine: Machine) -> None:
    etag = machine.manifest().headers["ETag"]
    begun = time.monotonic()
    assert machine.manifest(etag, wait=1).status_code == 304
    assert time.monotonic() - begun >= 1


def test_whoever_waits_hears_of_a_new_model(shared_world: World, team: Someone, machine: Machine) -> None:
    with waiting(shared_world, machine) as asked:
        model(team)
        heard = asked.result(SOON)
    assert [entry["model_path"] for entry in heard.json()["model_list"]] == ["loras/ink.safetensors"]


def test_whoever_waits_is_not_woken_by_what_changes_nothing_for_it(
    shared_world: World, team: Someone, machine: Machine
) -> None:
    with waiting(shared_world, machine, 2) as asked:
        model(team, "labelled", required_labels=["gpu24"])
        assert asked.result(SOON).status_code == 304


def test_whoever_waits_hears_of_labels_given_elsewhere(shared_world: World, team: Someone, machine: Machine) -> None:
    model(team, required_labels=["night"])
    with waiting(shared_world, machine) as asked:
        team.put("/agents/render-07", agent_labels=["night"])
        assert len(asked.result(SOON).json()["model_list"]) == 1


@pytest.mark.parametrize("order", ["paused", "sync"])
def test_whoever_waits_is_called_when_its_heartbeat_has_something_to_hear(
    shared_world: World, team: Someone, machine: Machine, order: str
) -> None:
    with waiting(shared_world, machine) as asked:
        if order == "paused":
            team.put("/agents/render-07", paused=True)
        else:
            team.post("/agents/render-07/sync")
        assert asked.result(SOON).status_code == 304


def test_a_revoked_key_ends_the_waiting(shared_world: World, team: Someone, machine: Machine) -> None:
    [key] = team.get("/credentials", kind="agent").json()["credentials"]
    with waiting(shared_world, machine) as asked:
        team.delete(f"/credentials/{key['id']}")
        assert asked.result(SOON).status_code == 401


def test_a_key_that_expires_ends_the_waiting(shared_world: World, team: Someone, machine: Machine) -> None:
    [key] = team.get("/credentials", kind="agent").json()["credentials"]
    with waiting(shared_world, machine) as asked:
        with shared_world.parts.database.writing() as session:
            expired = update(CredentialRow).where(CredentialRow.id == UUID(key["id"])).values(expires_at=now())
            session.execute(expired.execution_options(synchronize_session=False))
        assert asked.result(SOON).status_code == 401


def test_a_forgotten_machine_ends_its_waiting(shared_world: World, team: Someone, machine: Machine) -> None:
    with waiting(shared_world, machine) as asked:
        team.delete("/agents/render-07")
        assert asked.result(SOON).json()["error_code"] == "agent_unknown"


def test_a_member_who_leaves_takes_the_machine_along(shared_world: World, team: Someone) -> None:
    member = shared_world.person("member", team)
    started = shared_world.nobody.post("/desktop/pair/start").json()
    member.post("/desktop/pair/confirm", user_code=started["user_code"])
    keys = shared_world.nobody.post("/desktop/pair/poll", device_code=started["device_code"]).json()
    machine = Machine(Someone(team.client, keys["agent_key"]))
    machine.beat()
    with waiting(shared_world, machine) as asked:
        team.delete(f"/members/{member.user_id}")
        assert asked.result(SOON).status_code == 401


def test_many_who_wait_hold_no_connection(shared_world: World, team: Someone, machine: Machine) -> None:
    etag = machine.manifest().headers["ETag"]
    with ThreadPoolExecutor(60) as threads:
        asked = [threads.submit(machine.manifest, etag, HELD_SECONDS) for _ in range(60)]
        wait_until_held(shared_world, 60)
        wait_until_no_connection_is_out(shared_world)
        model(team)
        assert {answer.result(SOON).status_code for answer in asked} == {200}


def test_a_server_that_stops_ends_all_waiting(world: World) -> None:
    machine = machine_of(world, world.owner)
    with waiting(world, machine) as asked:
        world.client.portal.call(world.app.state.fleet.waiting.stop)  # type: ignore[union-attr]  # the lifespan runs
        assert asked.result(SOON).status_code == 304
