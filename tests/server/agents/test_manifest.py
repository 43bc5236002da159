"""Manifests: their content, ETag and caching, and long polling for a new one."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import update

from modelyard.server.agents.manifest_waiters import AgentSnapshot
from modelyard.server.database.base import now
from modelyard.server.identity.tables import CredentialRow
from modelyard.server.models.objects.damage import mark_damaged
from modelyard.server.models.tables import ModelRow
from modelyard.server.uploads.tables import BlobRow
from tests.server.agents.machine import Machine, add_machine, register_model
from tests.server.harness import ApiCaller, Harness, make_model_file
from tests.server.previews.drawings import make_png
from tests.server.query_plans import record_queries
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

CONTENT = make_model_file("ink")
# Less than LONG_POLL_SECONDS: a response within this time did not wait for its timeout.
WAIT_LIMIT, LONG_POLL_SECONDS = 40.0, 60


def mark_stored_object_damaged(registry: Harness, model_id: str) -> None:
    """Mark the stored object of a model as damaged, as the scrubber does."""
    with registry.resources.database.reading() as session:
        row = session.get_one(ModelRow, UUID(model_id))
        blob = session.get_one(BlobRow, row.blob_id)
    assert mark_damaged(registry.resources.database, blob, "The bytes have changed.")


@contextmanager
def waiting_request(
    registry: Harness, machine: Machine, seconds: int = LONG_POLL_SECONDS
) -> Iterator[Future[httpx2.Response]]:
    """Send a manifest request with the current ETag; run the block once the server lets it wait."""
    etag = machine.manifest().headers["ETag"]
    with ThreadPoolExecutor(1) as threads:
        request = threads.submit(machine.manifest, etag, seconds)
        wait_until(lambda: request.done() or len(registry.app.state.fleet.waiters) == 1)
        yield request


def wait_until_requests_wait(registry: Harness, count: int) -> None:
    """Wait until so many manifest requests wait."""
    wait_until(lambda: len(registry.app.state.fleet.waiters) == count)


def wait_until_no_connection_is_used(registry: Harness) -> None:
    """Wait until no database connection is checked out; jobs use one now and then, for a moment."""
    wait_until(lambda: registry.resources.database.engine.pool.checkedout() == 0)  # type: ignore[attr-defined]  # QueuePool has it, its base class has not


def test_manifest_entry_has_path_size_and_hashes_of_the_model(team: ApiCaller, machine: Machine) -> None:
    model_id = register_model(team)
    answer = machine.manifest()
    [entry] = answer.json()["model_list"]
    shown = team.get(f"/models/{model_id}").json()
    names = ("id", "model_path", "model_type", "file_size", "file_hash", "blake3_hash")
    assert {name: entry[name] for name in names} == {name: shown[name] for name in names}
    assert entry["keep"] is False
    assert "url" not in answer.text
    assert answer.headers["ETag"]


def test_manifest_names_pictures_only_if_asked_for(shared_registry: Harness, team: ApiCaller, machine: Machine) -> None:
    """A new picture is no new manifest for a machine that does not write pictures."""
    shown, plain = register_model(team, "shown"), register_model(team, "plain")
    sent = register_model(team, "sent", required_labels=["gpu24"])
    team.put(f"/agents/{machine.agent_id}/models/{sent}")
    etag, etag_with_previews = (machine.manifest(previews=previews).headers["ETag"] for previews in (False, True))
    pictures = {}
    for model_id, color in ((shown, "#101112"), (sent, "#131415")):
        path = f"/models/{model_id}/versions/1/preview"
        answer = team.call("PUT", path, content=make_png(color)).json()
        pictures[model_id] = answer["preview_url"].rpartition("/")[2]
    assert machine.manifest(etag).status_code == 304
    answer = machine.manifest(etag_with_previews, previews=True)
    named = {entry["id"]: entry["preview_sha256"] for entry in answer.json()["model_list"]}
    assert named == {shown: pictures[shown], sent: pictures[sent], plain: None}
    assert {entry["preview_sha256"] for entry in machine.manifest().json()["model_list"]} == {None}
    for picture in pictures.values():
        assert machine.key.get(f"/previews/{picture}", format="png").status_code == 200


def test_manifest_has_only_active_models_whose_labels_the_machine_has(
    shared_registry: Harness, team: ApiCaller
) -> None:
    machine = add_machine(shared_registry, team, labels=("gpu24",))
    for word, labels in (("plain", []), ("fits", ["gpu24"]), ("not", ["gpu24", "north"])):
        register_model(team, word, required_labels=labels)
    team.put(f"/models/{register_model(team, 'disabled')}", model_status="disabled")
    team.delete(f"/models/{register_model(team, 'deleted')}")
    register_model(shared_registry.create_team(), "foreign")
    assert list(machine.desired()) == ["loras/plain.safetensors", "loras/fits.safetensors"]
    team.put("/agents/render-07", agent_labels=["north"])
    assert len(machine.desired()) == 3


def test_manifest_of_damaged_model_says_keep_and_its_download_is_refused(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    model_id = register_model(team)
    mark_stored_object_damaged(shared_registry, model_id)
    assert machine.desired() == {"loras/ink.safetensors": True}
    assert machine.key.get(f"/models/{model_id}/download").json()["error_code"] == "model_damaged"
    team.post("/models", **team.new_model(CONTENT))
    team.wait_until_verified(model_id)
    assert machine.desired() == {"loras/ink.safetensors": False}


def test_manifest_before_the_first_heartbeat_returns_409(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    for other_machine in (Machine(machine.key, "render-08"), Machine(shared_registry.create_key("agent", team))):
        refused = other_machine.manifest()
        assert (refused.status_code, refused.json()["error_code"]) == (409, "agent_unknown")


def test_manifest_with_current_etag_returns_304(team: ApiCaller, machine: Machine) -> None:
    model_id = register_model(team)
    etag = machine.manifest().headers["ETag"]
    for etag_header in (etag, f"W/{etag}", f'"other", {etag}'):
        again = machine.manifest(etag_header)
        assert (again.status_code, again.content) == (304, b"")
    # A change that does not affect the manifest keeps its ETag, though the revision increased.
    team.put(f"/models/{register_model(team, 'off')}", model_status="disabled")
    assert machine.manifest(etag).status_code == 304
    team.put(f"/models/{model_id}", model_path="loras/other.safetensors")
    assert machine.manifest(etag).status_code == 200


def test_manifest_is_built_once_for_machines_with_equal_labels(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    register_model(team)
    second = Machine(machine.key, "render-08")
    second.beat()
    with record_queries(shared_registry.resources.database.engine, of_all_threads=True) as statements:
        for sender in (machine, second, machine):
            sender.manifest()
    # Jobs read models too, with other columns.
    manifest_queries = [
        text for text, _ in statements.sent if text.startswith("SELECT models.id, models.current_version")
    ]
    assert len(manifest_queries) == 1


def test_manifest_is_compressed_for_clients_that_accept_gzip(team: ApiCaller, machine: Machine) -> None:
    register_model(team)
    query = {"agent_id": machine.agent_id}
    sent = {
        coding: machine.key.call("GET", "/agent/manifest", params=query, headers={"Accept-Encoding": coding})
        for coding in ("gzip", "identity")
    }
    assert [answer.headers.get("Content-Encoding") for answer in sent.values()] == ["gzip", None]
    assert sent["gzip"].json() == sent["identity"].json()


@pytest.mark.parametrize("wait", ["-1", "61", "1.5", "soon"])
def test_manifest_with_invalid_wait_returns_422(machine: Machine, wait: str) -> None:
    refused = machine.key.get("/agent/manifest", agent_id="render-07", wait=wait)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "wait")


def test_manifest_wait_without_change_returns_304_after_waiting_up_to_the_given_time(
    shared_registry: Harness, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiters, timeouts = shared_registry.app.state.fleet.waiters, list[float]()
    wait_for_change = waiters.wait_for_change

    async def record_and_wait(snapshot: AgentSnapshot, timeout_seconds: float) -> bool:
        timeouts.append(timeout_seconds)
        has_changed: bool = await wait_for_change(snapshot, timeout_seconds)
        timeouts.append(0)
        return has_changed

    monkeypatch.setattr(waiters, "wait_for_change", record_and_wait)
    etag = machine.manifest().headers["ETag"]
    assert machine.manifest(etag, wait=1).status_code == 304
    # Building the first answer takes some of the second.
    assert 0 == timeouts[-1] < timeouts[0] <= 1


def test_manifest_wait_ends_when_a_model_is_registered(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    with waiting_request(shared_registry, machine) as request:
        register_model(team)
        response = request.result(WAIT_LIMIT)
    assert [entry["model_path"] for entry in response.json()["model_list"]] == ["loras/ink.safetensors"]


def test_manifest_wait_continues_when_the_machine_s_manifest_is_unchanged(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    with waiting_request(shared_registry, machine, 2) as request:
        register_model(team, "labelled", required_labels=["gpu24"])
        assert request.result(WAIT_LIMIT).status_code == 304


def test_manifest_wait_ends_when_central_labels_change(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    register_model(team, required_labels=["night"])
    with waiting_request(shared_registry, machine) as request:
        team.put("/agents/render-07", agent_labels=["night"])
        assert len(request.result(WAIT_LIMIT).json()["model_list"]) == 1


@pytest.mark.parametrize("order", ["paused", "sync"])
def test_manifest_wait_ends_with_304_when_the_machine_is_paused_or_asked_to_sync(
    shared_registry: Harness, team: ApiCaller, machine: Machine, order: str
) -> None:
    with waiting_request(shared_registry, machine) as request:
        if order == "paused":
            team.put("/agents/render-07", paused=True)
        else:
            team.post("/agents/render-07/sync")
        assert request.result(WAIT_LIMIT).status_code == 304


def test_manifest_wait_ends_with_401_when_its_key_is_revoked(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    [key] = team.get("/credentials", kind="agent").json()["credentials"]
    with waiting_request(shared_registry, machine) as request:
        team.delete(f"/credentials/{key['id']}")
        assert request.result(WAIT_LIMIT).status_code == 401


def test_manifest_wait_ends_with_401_when_its_key_expires(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    [key] = team.get("/credentials", kind="agent").json()["credentials"]
    with waiting_request(shared_registry, machine) as request:
        with shared_registry.resources.database.writing() as session:
            expired = update(CredentialRow).where(CredentialRow.id == UUID(key["id"])).values(expires_at=now())
            session.execute(expired.execution_options(synchronize_session=False))
        assert request.result(WAIT_LIMIT).status_code == 401


def test_manifest_wait_ends_when_its_machine_is_removed(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    with waiting_request(shared_registry, machine) as request:
        team.delete("/agents/render-07")
        assert request.result(WAIT_LIMIT).json()["error_code"] == "agent_unknown"


def test_manifest_wait_ends_with_401_when_the_key_s_creator_leaves_the_team(
    shared_registry: Harness, team: ApiCaller
) -> None:
    member = shared_registry.create_member("member", team)
    started = shared_registry.anonymous.post("/desktop/pair/start").json()
    member.post("/desktop/pair/confirm", user_code=started["user_code"])
    keys = shared_registry.anonymous.post("/desktop/pair/poll", device_code=started["device_code"]).json()
    machine = Machine(ApiCaller(team.client, keys["agent_key"]))
    machine.beat()
    with waiting_request(shared_registry, machine) as request:
        team.delete(f"/members/{member.user_id}")
        assert request.result(WAIT_LIMIT).status_code == 401


def test_60_waiting_manifest_requests_hold_no_database_connection(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    machines = [machine, *(Machine(machine.key, f"render-{number}") for number in range(30, 59))]
    for each in machines:
        each.beat()
    etag = machine.manifest().headers["ETag"]
    with ThreadPoolExecutor(60) as threads:
        request = [threads.submit(each.manifest, etag, LONG_POLL_SECONDS) for each in 2 * machines]
        wait_until_requests_wait(shared_registry, 60)
        wait_until_no_connection_is_used(shared_registry)
        register_model(team)
        assert {answer.result(WAIT_LIMIT).status_code for answer in request} == {200}


def test_manifest_wait_ends_with_304_when_the_server_stops(registry: Harness) -> None:
    machine = add_machine(registry, registry.owner)
    with waiting_request(registry, machine) as request:
        registry.client.portal.call(registry.app.state.fleet.waiters.stop)  # type: ignore[union-attr]  # the lifespan runs
        assert request.result(WAIT_LIMIT).status_code == 304
