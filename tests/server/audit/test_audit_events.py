from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.server.harness import ApiCaller, Harness
from tests.waiting import PATIENCE_SECONDS

INJECTIONS = [
    "'; DROP TABLE users; --",
    '" OR 1=1 --',
    "%",
    "_",
    "\\",
    "{{7*7}}",
    "${jndi:ldap://127.0.0.1/x}",
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "../../etc/passwd",
    "𝕊𝕥𝕦𝕕𝕚𝕠 🎨",
]


def _events(caller: ApiCaller, **query: Any) -> list[dict[str, Any]]:
    answer = caller.get("/audit-events", **query)
    assert answer.status_code == 200, answer.text
    events: list[dict[str, Any]] = answer.json()["audit_event_list"]
    return events


def test_list_audit_events_returns_user_actions_newest_first(registry: Harness) -> None:
    owner = registry.create_other_team()
    someone = registry.create_member("viewer", owner)
    owner.put(f"/members/{someone.user_id}", member_role="member")
    owner.put(f"/members/{someone.user_id}", member_role="member")
    owner.put("/teams/current", display_name="Renamed")
    registry.create_device(someone)
    registry.create_key("integration", owner)
    owner.delete(f"/members/{someone.user_id}")
    assert [event["action"] for event in _events(owner)] == [
        "member.removed",
        "credential.created",
        "device.paired",
        "device.confirmed",
        "team.changed",
        "member.role_changed",
        "member.joined",
        "invitation.created",
        "team.created",
    ]


def test_audit_event_contains_actor_action_and_object(registry: Harness) -> None:
    someone = registry.create_member("viewer")
    registry.owner.put(f"/members/{someone.user_id}", member_role="admin")
    event = _events(registry.owner, action="member.role_changed", object_id=someone.user_id)[0]
    assert event["actor_kind"] == "user"
    assert event["actor_id"] == registry.owner.user_id
    assert event["actor_name"] == "Registry Owner"
    name = someone.get("/users/me").json()["display_name"]
    assert event["facts"] == {"before": "viewer", "after": "admin", "display_name": name}
    assert abs(datetime.fromisoformat(event["created_at"]) - datetime.now(UTC)) < timedelta(seconds=PATIENCE_SECONDS)


def test_audit_event_of_device_contains_its_key(registry: Harness) -> None:
    admin = registry.create_member("admin")
    device = registry.create_device(admin)
    key_id = admin.get("/credentials", kind="device").json()["credentials"][0]["id"]
    device.put("/teams/current", display_name="By device")
    event = _events(registry.owner, action="team.changed", actor_id=key_id)[0]
    assert event["actor_kind"] == "device"
    assert event["actor_name"].startswith("Admin ")
    registry.owner.put("/teams/current", display_name="Studio")


def test_failed_operation_records_no_audit_event(registry: Harness) -> None:
    before = len(_events(registry.owner, per_page=100))
    registry.owner.put(f"/members/{registry.owner.user_id}", member_role="viewer")
    registry.owner.post("/invitations", email_address="owner@studio.test", invitation_role="viewer")
    registry.create_member("viewer").put("/teams/current", display_name="x")
    # The viewer came in, and nothing else happened.
    assert len(_events(registry.owner, per_page=100)) == before + 2


def test_list_audit_events_each_filter_returns_matching_events(registry: Harness) -> None:
    owner = registry.create_other_team()
    someone = registry.create_member("viewer", owner)
    assert {event["action"] for event in _events(owner, action="member.joined")} == {"member.joined"}
    assert {event["object_id"] for event in _events(owner, object_id=someone.user_id)} == {someone.user_id}
    assert {event["actor_id"] for event in _events(owner, actor_id=someone.user_id)} == {someone.user_id}
    middle = _events(owner, action="invitation.created")[0]["created_at"]
    assert [event["action"] for event in _events(owner, since=middle)] == ["member.joined", "invitation.created"]
    assert [event["action"] for event in _events(owner, until=middle)] == ["team.created"]
    assert _events(owner, action="member.joined", until=middle) == []


def test_list_audit_events_by_cursor_returns_each_event_once(registry: Harness) -> None:
    owner = registry.create_other_team()
    for number in range(6):
        owner.put("/teams/current", display_name=f"Name {number}")
    whole = [event["id"] for event in _events(owner)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = owner.get("/audit-events", per_page=3, cursor=cursor).json()
        seen += [event["id"] for event in answer["audit_event_list"]]
        cursor = answer["page_meta"]["next_cursor"]
        owner.put("/teams/current", display_name=f"Meanwhile {len(seen)}")
    assert seen == whole


def test_list_audit_events_excludes_other_teams(registry: Harness) -> None:
    stranger = registry.create_other_team()
    canary = "Canary of another team"
    stranger.put("/teams/current", display_name=canary)
    team_id = str(stranger.team_id)
    for query in ({}, {"object_id": team_id}, {"actor_id": stranger.user_id}, {"action": "team.changed"}):
        answer = registry.owner.get("/audit-events", per_page=100, **query)
        assert canary not in answer.text
        assert team_id not in answer.text


@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"},
        {"since": "2026-11-24T12:00:00"},
        {"since": "0001-01-01T00:00:00+14:00"},
        {"until": "9999-12-31T23:59:59-14:00"},
        {"action": "a\x00b"},
        {"action": "x" * 101},
        {"object_id": ""},
        {"actor_id": "a\nb"},
    ],
)
def test_list_audit_events_invalid_filter_returns_422_with_field(registry: Harness, query: dict[str, str]) -> None:
    answer = registry.owner.get("/audit-events", **query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == next(iter(query))


@pytest.mark.parametrize("text", INJECTIONS)
def test_names_with_hostile_text_are_stored_and_audited_unchanged(registry: Harness, text: str) -> None:
    owner = registry.create_other_team()
    assert owner.put("/teams/current", display_name=text).status_code == 200
    assert owner.get("/teams/current").json()["display_name"] == text
    owner.post("/credentials", kind="agent", display_name=text)
    assert owner.get("/credentials").json()["credentials"][0]["display_name"] == text
    event = _events(owner, action="team.changed")[0]
    assert event["facts"] == {"display_name": text}
    assert _events(owner, action=text) == []
    assert _events(owner, object_id=text, actor_id=text) == []
    assert len(_events(owner)) == 3


def test_audit_event_names_its_object_after_deletion(registry: Harness) -> None:
    someone = registry.create_member("viewer")
    name = someone.get("/users/me").json()["display_name"]
    key = registry.owner.post("/credentials", kind="agent", display_name="render farm").json()
    registry.owner.delete(f"/credentials/{key['id']}")
    invited = registry.owner.post("/invitations", email_address="gone@studio.test", invitation_role="viewer").json()
    registry.owner.delete(f"/invitations/{invited['id']}")
    registry.owner.delete(f"/members/{someone.user_id}")
    told = [event for event in _events(registry.owner)[:5] if not event["action"].endswith(("created", "joined"))]
    assert [(event["action"], event["facts"]) for event in told] == [
        ("member.removed", {"display_name": name}),
        (
            "invitation.withdrawn",
            {"email_address": "gone@studio.test", "role": "viewer", "invited_by": "Registry Owner"},
        ),
        ("credential.revoked", {"kind": "agent", "display_name": "render farm", "key_prefix": key["key_prefix"]}),
    ]


def test_audit_event_of_moved_model_contains_old_path(registry: Harness) -> None:
    model_id = registry.owner.register(path="loras/named.safetensors")
    registry.owner.put(f"/models/{model_id}", description="lines")
    registry.owner.put(f"/models/{model_id}", model_path="loras/moved.safetensors")
    assert [event["facts"] for event in _events(registry.owner, object_id=model_id, action="model.changed")] == [
        {"moved_from": "loras/named.safetensors", "model_path": "loras/moved.safetensors"},
        {"model_path": "loras/named.safetensors", "description": "lines"},
    ]
