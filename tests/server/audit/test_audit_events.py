from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.server.world import Someone, World

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
    "\u202egnp.exe",
    "𝕊𝕥𝕦𝕕𝕚𝕠 🎨",
]


def _events(caller: Someone, **query: Any) -> list[dict[str, Any]]:
    answer = caller.get("/audit-events", **query)
    assert answer.status_code == 200, answer.text
    events: list[dict[str, Any]] = answer.json()["audit_event_list"]
    return events


def test_what_people_do_is_written_down_newest_first(world: World) -> None:
    owner = world.other_team()
    someone = world.person("viewer", owner)
    owner.put(f"/members/{someone.user_id}", member_role="member")
    owner.put(f"/members/{someone.user_id}", member_role="member")
    owner.put("/teams/current", display_name="Renamed")
    world.device(someone)
    world.key("integration", owner)
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


def test_an_event_says_who_did_what_to_what(world: World) -> None:
    someone = world.person("viewer")
    world.owner.put(f"/members/{someone.user_id}", member_role="admin")
    event = _events(world.owner, action="member.role_changed", object_id=someone.user_id)[0]
    assert event["actor_kind"] == "user"
    assert event["actor_id"] == world.owner.user_id
    assert event["actor_name"] == "Registry Owner"
    name = someone.get("/users/me").json()["display_name"]
    assert event["facts"] == {"before": "viewer", "after": "admin", "display_name": name}
    assert abs(datetime.fromisoformat(event["created_at"]) - datetime.now(UTC)) < timedelta(seconds=10)


def test_a_device_is_named_by_its_key_and_not_only_by_its_user(world: World) -> None:
    admin = world.person("admin")
    device = world.device(admin)
    key_id = admin.get("/credentials", kind="device").json()["credentials"][0]["id"]
    device.put("/teams/current", display_name="By device")
    event = _events(world.owner, action="team.changed", actor_id=key_id)[0]
    assert event["actor_kind"] == "device"
    assert event["actor_name"].startswith("Admin ")
    world.owner.put("/teams/current", display_name="Studio")


def test_what_failed_is_not_written_down(world: World) -> None:
    before = len(_events(world.owner, per_page=100))
    world.owner.put(f"/members/{world.owner.user_id}", member_role="viewer")
    world.owner.post("/invitations", email_address="owner@studio.test", invitation_role="viewer")
    world.person("viewer").put("/teams/current", display_name="x")
    # The viewer came in, and nothing else happened.
    assert len(_events(world.owner, per_page=100)) == before + 2


def test_each_filter_narrows(world: World) -> None:
    owner = world.other_team()
    someone = world.person("viewer", owner)
    assert {event["action"] for event in _events(owner, action="member.joined")} == {"member.joined"}
    assert {event["object_id"] for event in _events(owner, object_id=someone.user_id)} == {someone.user_id}
    assert {event["actor_id"] for event in _events(owner, actor_id=someone.user_id)} == {someone.user_id}
    middle = _events(owner, action="invitation.created")[0]["created_at"]
    assert [event["action"] for event in _events(owner, since=middle)] == ["member.joined", "invitation.created"]
    assert [event["action"] for event in _events(owner, until=middle)] == ["team.created"]
    assert _events(owner, action="member.joined", until=middle) == []


def test_the_trail_is_read_by_cursor_without_losing_or_repeating(world: World) -> None:
    owner = world.other_team()
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


def test_another_teams_trail_is_not_seen(world: World) -> None:
    stranger = world.other_team()
    canary = "Canary of another team"
    stranger.put("/teams/current", display_name=canary)
    team_id = str(stranger.team_id)
    for query in ({}, {"object_id": team_id}, {"actor_id": stranger.user_id}, {"action": "team.changed"}):
        answer = world.owner.get("/audit-events", per_page=100, **query)
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
def test_a_bad_filter_is_named(world: World, query: dict[str, str]) -> None:
    answer = world.owner.get("/audit-events", **query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == next(iter(query))


@pytest.mark.parametrize("text", INJECTIONS)
def test_text_stays_text_wherever_it_comes_from(world: World, text: str) -> None:
    owner = world.other_team()
    assert owner.put("/teams/current", display_name=text).status_code == 200
    assert owner.get("/teams/current").json()["display_name"] == text
    owner.post("/credentials", kind="agent", display_name=text)
    assert owner.get("/credentials").json()["credentials"][0]["display_name"] == text
    event = _events(owner, action="team.changed")[0]
    assert event["facts"] == {"display_name": text}
    assert _events(owner, action=text) == []
    assert _events(owner, object_id=text, actor_id=text) == []
    assert len(_events(owner)) == 3


def test_an_event_names_what_it_was_done_to_also_when_that_is_gone(world: World) -> None:
    someone = world.person("viewer")
    name = someone.get("/users/me").json()["display_name"]
    key = world.owner.post("/credentials", kind="agent", display_name="render farm").json()
    world.owner.delete(f"/credentials/{key['id']}")
    invited = world.owner.post("/invitations", email_address="gone@studio.test", invitation_role="viewer").json()
    world.owner.delete(f"/invitations/{invited['id']}")
    world.owner.delete(f"/members/{someone.user_id}")
    told = [event for event in _events(world.owner)[:5] if not event["action"].endswith(("created", "joined"))]
    assert [(event["action"], event["facts"]) for event in told] == [
        ("member.removed", {"display_name": name}),
        ("invitation.withdrawn", {"email_address": "gone@studio.test"}),
        ("credential.revoked", {"kind": "agent", "display_name": "render farm", "key_prefix": key["key_prefix"]}),
    ]


def test_a_changed_model_is_named_by_its_path_and_a_moved_one_by_the_old_one(world: World) -> None:
    model_id = world.owner.register(path="loras/named.safetensors")
    world.owner.put(f"/models/{model_id}", description="lines")
    world.owner.put(f"/models/{model_id}", model_path="loras/moved.safetensors")
    assert [event["facts"] for event in _events(world.owner, object_id=model_id, action="model.changed")] == [
        {"moved_from": "loras/named.safetensors", "model_path": "loras/moved.safetensors"},
        {"model_path": "loras/named.safetensors", "description": "lines"},
    ]
