"""Section 7 of the contract: what an operator sees, and the trail of who did what to a model."""

from typing import Any

import pytest

from tests.server.places import PARTS
from tests.server.world import Someone, World, a_model_file

CONTENT = a_model_file()


def test_alive_is_told_to_everybody(shared_world: World) -> None:
    answer = shared_world.client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_tells_of_every_part(shared_world: World) -> None:
    answer = shared_world.client.get("/readyz")
    found = answer.json()
    assert answer.status_code == 200
    assert (found["status"], found["database"], found["schema_state"], found["store"]) == (
        *("ready", "ok", "current", "ok"),
    )
    # Nobody can tell how much fits into a bucket.
    assert (found["free_bytes"] is None) is (found["whole_bytes"] is None) is ("s3" in PARTS)
    if "folder" in PARTS:
        assert 0 <= found["free_bytes"] < found["whole_bytes"]


def test_ready_tells_what_the_store_was_seen_to_enforce(shared_world: World) -> None:
    honesty = shared_world.client.get("/readyz").json()["store_honesty"]
    assert {name: seen for name, seen in honesty.items() if name != "remarks"} == {
        "refuses_wrong_checksum": True,
        "refuses_overwrite": True,
        "refuses_tampered_signature": True,
        "reads_ranges_right": True,
        "reads_multipart_right": True,
    }


def test_a_database_from_the_future_is_not_ready(world: World) -> None:
    with world.parts.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    answer = world.client.get("/readyz")
    assert (answer.status_code, answer.json()["schema_state"]) == (503, "too new")
    assert int(answer.headers["Retry-After"]) > 0
    assert world.client.get("/healthz").status_code == 200


def test_metrics_count_requests_by_their_route_and_never_by_their_address(team: Someone) -> None:
    model_id = team.register(CONTENT)
    team.get(f"/models/{model_id}")
    answer = team.client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert 'route="/models/{model_id}",status="200"' in answer.text
    assert model_id not in answer.text


def events(team: Someone, **query: Any) -> list[dict[str, Any]]:
    """What people and keys did; that the registry verified something is its own act, and may come at any time."""
    answer = team.get("/audit-events", **query)
    assert answer.status_code == 200, answer.text
    return [event for event in answer.json()["audit_event_list"] if event["actor_kind"] != "system"]


def test_every_change_of_a_model_is_in_the_trail_once(team: Someone) -> None:
    model_id = team.register(CONTENT)
    team.put(f"/models/{model_id}", description="x")
    team.put(f"/models/{model_id}", description="x")
    team.put(f"/models/{model_id}", model_status="disabled")
    team.put(f"/models/{model_id}", model_status="active")
    team.delete(f"/models/{model_id}")
    team.post(f"/models/{model_id}/restore")
    new = team.register(a_model_file("new"), replaces=model_id)
    assert [event["action"] for event in events(team, object_id=model_id)] == [
        "model.replaced",
        "model.restored",
        "model.deleted",
        "model.enabled",
        "model.disabled",
        "model.changed",
        "model.registered",
    ]
    [registered] = events(team, object_id=new)
    assert registered["facts"]["replaces"] == model_id


def test_reading_and_what_was_refused_leave_no_trace(shared_world: World, team: Someone) -> None:
    model_id = team.register(CONTENT)
    before = events(team)
    team.get("/models")
    team.get(f"/models/{model_id}/download")
    team.put(f"/models/{model_id}", model_path="x")
    team.post("/models", **team.new_model(CONTENT))
    shared_world.other_team().delete(f"/models/{model_id}")
    assert events(team) == before


@pytest.mark.parametrize("kind", ["user", "integration", "device"])
def test_an_event_tells_which_kind_of_caller_it_was(shared_world: World, team: Someone, kind: str) -> None:
    caller = {
        "user": lambda: team,
        "integration": lambda: shared_world.key("integration", team),
        "device": lambda: shared_world.device(team),
    }[kind]()
    [event] = events(team, object_id=caller.register(CONTENT))
    assert (event["action"], event["actor_kind"]) == ("model.registered", kind)
    assert event["actor_name"]
    # A key acts under its own id, also when it acts for somebody.
    assert (event["actor_id"] == team.user_id) is (kind == "user")


def test_events_can_be_narrowed_down(team: Someone) -> None:
    one, two = (team.register(a_model_file(word), f"loras/{word}.safetensors") for word in ("one", "two"))
    team.delete(f"/models/{one}")
    assert [event["object_id"] for event in events(team, action="model.registered")] == [two, one]
    assert events(team, actor_id=team.user_id, object_id=one) == events(team, object_id=one)
    assert events(team, actor_id="somebody") == []
    moment = events(team, object_id=two)[0]["created_at"]
    assert {event["action"] for event in events(team, since=moment)} == {"model.registered", "model.deleted"}
    assert two not in {event["object_id"] for event in events(team, until=moment)}


def test_the_trail_tells_no_secret(shared_world: World, team: Someone) -> None:
    key, device = shared_world.key("integration", team), shared_world.device(team)
    key.register(CONTENT)
    trail = team.get("/audit-events", per_page=100).text
    assert key.token is not None
    assert device.token is not None
    assert key.token not in trail
    assert device.token not in trail
    assert "eyJ" not in trail


def test_a_bug_is_answered_counted_and_headed_like_everything_else(world: World) -> None:
    @world.app.get("/bug")
    def fall_over() -> None:
        raise KeyError("secret")

    answer = world.client.get("/bug")
    assert (answer.status_code, answer.json()["error_code"]) == (500, "internal_error")
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert "secret" not in answer.text
    assert 'route="/bug",status="500"} 1.0' in world.client.get("/metrics").text
