from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.server.harness import PASSWORD, ApiCaller, Harness
from tests.waiting import PATIENCE_SECONDS

BROWSER = "Mozilla/5.0 (X11; Linux x86_64)"


def _sign_in(registry: Harness, someone: ApiCaller, user_agent: str) -> ApiCaller:
    email = someone.get("/users/me").json()["email_address"]
    answer = registry.client.post(
        "/api/v1/auth/login",
        json={"email_address": email, "user_password": PASSWORD},
        headers={"User-Agent": user_agent},
    )
    return ApiCaller(registry.client, answer.json()["access_token"])


def _sessions(caller: ApiCaller, **query: Any) -> list[dict[str, Any]]:
    answer = caller.get("/users/me/sessions", **query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["session_list"]
    return found


def test_update_me_changes_names_and_is_recorded_in_each_team(registry: Harness) -> None:
    someone = registry.create_other_team()
    registry.create_member("viewer")
    second = ApiCaller(registry.client, someone.token, someone.post("/teams", display_name="Second").json()["id"])
    assert someone.put("/users/me", first_name="Ada", last_name="King").json() == {"id": someone.user_id}
    me = someone.get("/users/me").json()
    assert (me["first_name"], me["last_name"], me["display_name"]) == ("Ada", "King", "Ada King")
    for team in (someone, second):
        [event] = team.get("/audit-events", action="member.renamed").json()["audit_event_list"]
        assert (event["object_id"], event["actor_id"], event["facts"]["after"]) == (
            someone.user_id,
            someone.user_id,
            "Ada King",
        )


def test_update_me_keeps_absent_names_and_records_no_event_without_change(registry: Harness) -> None:
    someone = registry.create_other_team()
    last = someone.get("/users/me").json()["last_name"]
    assert someone.put("/users/me", first_name="Ada").status_code == 200
    assert someone.put("/users/me", first_name="Ada").status_code == 200
    assert someone.put("/users/me").status_code == 200
    assert someone.get("/users/me").json()["display_name"] == f"Ada {last}"
    assert len(someone.get("/audit-events", action="member.renamed").json()["audit_event_list"]) == 1


@pytest.mark.parametrize("name", ["", "x" * 101, None, 5, "a\nb"])
def test_update_me_invalid_name_returns_422_naming_the_field(registry: Harness, name: object) -> None:
    answer = registry.owner.put("/users/me", last_name=name)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "last_name"


@pytest.mark.parametrize("kind", ["device", "integration", "agent"])
def test_own_account_with_key_returns_403(registry: Harness, kind: str) -> None:
    key = registry.create_device(registry.owner) if kind == "device" else registry.create_key(kind)
    answers = [
        key.put("/users/me", first_name="Ada"),
        key.get("/users/me/sessions"),
        key.delete(f"/users/me/sessions/{uuid4()}"),
    ]
    assert {answer.json()["error_code"] for answer in answers} == {"key_not_allowed"}


def test_list_sessions_returns_own_ones_newest_first(registry: Harness) -> None:
    someone = registry.create_member("viewer")
    browser = _sign_in(registry, someone, BROWSER)
    newest, oldest = _sessions(browser)
    assert (newest["user_agent"], newest["is_current"], oldest["is_current"]) == (BROWSER, True, False)
    assert [row["id"] for row in _sessions(someone)] == [newest["id"], oldest["id"]]
    created, used, expires = (
        datetime.fromisoformat(newest[name]) for name in ("created_at", "last_used_at", "expires_at")
    )
    assert expires - used == timedelta(days=30)
    assert abs(used - created) < timedelta(seconds=PATIENCE_SECONDS)
    assert [row["id"] for row in _sessions(browser, per_page=1, cursor="")] == [newest["id"]]


def test_login_with_long_or_missing_user_agent_keeps_255_characters_or_null(registry: Harness) -> None:
    someone = registry.create_member("viewer")
    assert _sessions(_sign_in(registry, someone, "x" * 3000))[0]["user_agent"] == "x" * 255
    assert _sessions(_sign_in(registry, someone, " "))[0]["user_agent"] is None


def test_end_session_refuses_its_tokens_and_removes_it_from_the_list(registry: Harness) -> None:
    someone = registry.create_member("viewer")
    browser = _sign_in(registry, someone, BROWSER)
    session_id = _sessions(browser)[0]["id"]
    assert someone.delete(f"/users/me/sessions/{session_id}").status_code == 204
    assert browser.get("/users/me").status_code == 401
    assert [row["is_current"] for row in _sessions(someone)] == [True]
    assert someone.delete(f"/users/me/sessions/{session_id}").status_code == 204
    events = registry.owner.get("/audit-events", action="session.ended").json()["audit_event_list"]
    assert [event["object_id"] for event in events] == [session_id]


def test_end_current_session_signs_out(registry: Harness) -> None:
    someone = registry.create_member("viewer")
    assert someone.delete(f"/users/me/sessions/{_sessions(someone)[0]['id']}").status_code == 204
    assert someone.get("/users/me").status_code == 401


def test_end_session_of_another_user_or_malformed_id_returns_404(registry: Harness) -> None:
    someone, other = registry.create_member("viewer"), registry.create_member("viewer")
    foreign = _sessions(other)[0]["id"]
    for session_id in (foreign, str(uuid4()), "none"):
        answer = someone.delete(f"/users/me/sessions/{session_id}")
        assert (answer.status_code, answer.json()["error_code"]) == (404, "session_not_found")
    assert other.get("/users/me").status_code == 200
