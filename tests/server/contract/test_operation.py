"""Section 7 of the API contract: health, readiness and metrics; and the audit trail of models."""

from typing import Any

import pytest

from modelyard import __version__
from modelyard.build import get_build_id
from tests.server.environments import PARTS
from tests.server.harness import ApiCaller, Harness, make_model_file
from tests.waiting import wait_until

CONTENT = make_model_file()


def test_healthz_without_token_returns_200(shared_registry: Harness) -> None:
    answer = shared_registry.client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_readyz_reports_database_schema_and_store(shared_registry: Harness) -> None:
    answer = shared_registry.client.get("/readyz")
    found = answer.json()
    assert answer.status_code == 200
    assert (found["status"], found["database"], found["schema_state"], found["store"]) == (
        *("ready", "ok", "current", "ok"),
    )
    assert (found["version"], found["build"]) == (__version__, get_build_id())
    # A bucket has no known free space.
    assert (found["free_bytes"] is None) is (found["total_bytes"] is None) is ("s3" in PARTS)
    if "folder" in PARTS:
        assert 0 <= found["free_bytes"] < found["total_bytes"]


def test_readyz_reports_store_capabilities(shared_registry: Harness) -> None:
    capabilities = shared_registry.client.get("/readyz").json()["store_capabilities"]
    assert {name: seen for name, seen in capabilities.items() if name != "remarks"} == {
        "refuses_wrong_checksum": True,
        "refuses_overwrite": True,
        "refuses_tampered_signature": True,
        "reads_ranges_right": True,
        "reads_multipart_right": True,
    }


def test_readyz_with_newer_schema_returns_503(registry: Harness) -> None:
    with registry.resources.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    answer = registry.client.get("/readyz")
    assert (answer.status_code, answer.json()["schema_state"]) == (503, "too new")
    assert int(answer.headers["Retry-After"]) > 0
    assert registry.client.get("/healthz").status_code == 200


def test_metrics_count_requests_by_route_template_without_ids(team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    team.get(f"/models/{model_id}")
    # Metrics may be cached for a second.
    wait_until(lambda: 'route="/models/{model_id}",status="200"' in team.client.get("/metrics").text)
    answer = team.client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert model_id not in answer.text


def list_events(team: ApiCaller, **query: Any) -> list[dict[str, Any]]:
    """Return the audit events of users and keys; the registry's own, such as verification, come at any time."""
    answer = team.get("/audit-events", **query)
    assert answer.status_code == 200, answer.text
    return [event for event in answer.json()["audit_event_list"] if event["actor_kind"] != "system"]


def test_audit_trail_of_model_has_one_event_for_each_change(team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    team.put(f"/models/{model_id}", description="x")
    team.put(f"/models/{model_id}", description="x")
    team.put(f"/models/{model_id}", model_status="disabled")
    team.put(f"/models/{model_id}", model_status="active")
    team.delete(f"/models/{model_id}")
    team.post(f"/models/{model_id}/restore")
    team.register(make_model_file("new"), replaces=model_id)
    for _ in range(2):
        team.put(f"/models/{model_id}/versions/1", note="The first.")
        team.post(f"/models/{model_id}/versions/1/activate")
    team.delete(f"/models/{model_id}/versions/2")
    team.post(f"/models/{model_id}/versions/2/restore")
    events = [event["action"] for event in list_events(team, object_id=model_id)]
    # Who promotes a version depends on where it is verified: in the request or by a worker.
    assert [action for action in events if action != "version.promoted"] == [
        "version.restored",
        "version.deleted",
        "version.activated",
        "version.changed",
        "version.created",
        "model.restored",
        "model.deleted",
        "model.enabled",
        "model.disabled",
        "model.changed",
        "model.registered",
    ]


def test_audit_trail_after_reads_and_refused_requests_is_unchanged(shared_registry: Harness, team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    before = list_events(team)
    team.get("/models")
    team.get(f"/models/{model_id}/download")
    team.put(f"/models/{model_id}", model_path="x")
    team.post("/models", **team.new_model(CONTENT))
    shared_registry.create_other_team().delete(f"/models/{model_id}")
    assert list_events(team) == before


@pytest.mark.parametrize("kind", ["user", "integration", "device"])
def test_audit_event_of_registration_names_kind_and_id_of_caller(
    shared_registry: Harness, team: ApiCaller, kind: str
) -> None:
    caller = {
        "user": lambda: team,
        "integration": lambda: shared_registry.create_key("integration", team),
        "device": lambda: shared_registry.create_device(team),
    }[kind]()
    [event] = list_events(team, object_id=caller.register(CONTENT))
    assert (event["action"], event["actor_kind"]) == ("model.registered", kind)
    assert event["actor_name"]
    # The actor of a key is the key itself, also for a device, which acts for a user.
    assert (event["actor_id"] == team.user_id) is (kind == "user")


def test_list_audit_events_filters_by_action_actor_object_and_time(team: ApiCaller) -> None:
    one, two = (team.register(make_model_file(word), f"loras/{word}.safetensors") for word in ("one", "two"))
    team.delete(f"/models/{one}")
    assert [event["object_id"] for event in list_events(team, action="model.registered")] == [two, one]
    assert list_events(team, actor_id=team.user_id, object_id=one) == list_events(team, object_id=one)
    assert list_events(team, actor_id="unknown") == []
    moment = list_events(team, object_id=two)[0]["created_at"]
    assert {event["action"] for event in list_events(team, since=moment)} == {"model.registered", "model.deleted"}
    assert two not in {event["object_id"] for event in list_events(team, until=moment)}


def test_audit_events_contain_no_secrets(shared_registry: Harness, team: ApiCaller) -> None:
    key, device = shared_registry.create_key("integration", team), shared_registry.create_device(team)
    key.register(CONTENT)
    audit_text = team.get("/audit-events", per_page=100).text
    assert key.token is not None
    assert device.token is not None
    assert key.token not in audit_text
    assert device.token not in audit_text
    assert "eyJ" not in audit_text


def test_unexpected_exception_returns_500_problem_without_details_and_is_counted(registry: Harness) -> None:
    @registry.app.get("/bug")
    def raise_key_error() -> None:
        raise KeyError("secret")

    answer = registry.client.get("/bug")
    assert (answer.status_code, answer.json()["error_code"]) == (500, "internal_error")
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert "secret" not in answer.text
    assert 'route="/bug",status="500"} 1.0' in registry.client.get("/metrics").text
