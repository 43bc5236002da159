"""Numbered pages and cursors, the same for every list."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.server.world import Someone, World, a_model_file

# path, the key of its rows, what identifies a row
LISTS = [
    ("/models", "model_list", "id"),
    ("/members", "member_list", "user_id"),
    ("/invitations", "invitation_list", "id"),
    ("/credentials", "credentials", "id"),
    ("/audit-events", "audit_event_list", "id"),
]
EVERY_LIST = pytest.mark.parametrize(("path", "key", "row_id"), LISTS, ids=[path for path, _, _ in LISTS])


@pytest.fixture(scope="module")
def full(shared_world: World) -> Someone:
    """A team with five of everything; its audit trail has more."""
    team = shared_world.new_team()
    for number in range(5):
        team.register(a_model_file(f"page {number}"), f"loras/{number}.safetensors")
        team.post("/credentials", kind="integration", display_name=f"key {number}")
        team.post("/invitations", email_address=f"page{number}@studio.test", invitation_role="viewer")
    for _ in range(4):
        shared_world.person("viewer", team)
    return team


@EVERY_LIST
def test_a_list_has_its_rows_and_where_they_stand(full: Someone, path: str, key: str, row_id: str) -> None:
    listed = full.get(path).json()
    assert set(listed) == {key, "page_meta"}
    assert set(listed["page_meta"]) >= {"current_page", "per_page", "total_count"}
    assert listed["page_meta"]["current_page"] == 1
    assert listed["page_meta"]["per_page"] == 20
    assert listed["page_meta"]["total_count"] == len(everything(full, path, key, row_id)) >= 5


def everything(full: Someone, path: str, key: str, row_id: str) -> list[str]:
    return [row[row_id] for row in full.get(path, per_page=100).json()[key]]


@EVERY_LIST
@pytest.mark.parametrize("per_page", [1, 2, 100])
def test_numbered_pages_and_cursor_pages_give_each_row_once_in_one_order(
    full: Someone, path: str, key: str, row_id: str, per_page: int
) -> None:
    rows = everything(full, path, key, row_id)
    numbered = [
        row[row_id]
        for page in range(1, -(-len(rows) // per_page) + 1)
        for row in full.get(path, per_page=per_page, current_page=page).json()[key]
    ]
    assert numbered == rows
    assert _walked(lambda cursor: full.get(path, per_page=per_page, cursor=cursor).json(), key, row_id) == rows


def _walked(page_at: Callable[[str | None], Any], key: str, row_id: str) -> list[str]:
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = page_at(cursor)
        assert page["page_meta"]["current_page"] is None
        assert page["page_meta"]["total_count"] is None
        found += [row[row_id] for row in page[key]]
        cursor = page["page_meta"]["next_cursor"]
    return found


@EVERY_LIST
def test_past_the_end_is_an_empty_list(full: Someone, path: str, key: str, row_id: str) -> None:
    for page in (1000, 10_000_000):
        listed = full.get(path, current_page=page).json()
        assert listed[key] == []
        assert listed["page_meta"]["total_count"] >= 5


@EVERY_LIST
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("current_page", value) for value in ("0", "-1", "x", "", "1.5", "1e3", str(2**70))],
        *[("per_page", value) for value in ("0", "101", "-1", "x", "true", "٣٣x")],
        *[("cursor", value) for value in ("x", "e30", "W10", "bnVsbA", "%00", "é", "W251bGxd", "x" * 2001)],
        ("cursor", "WyI5OTk5LTEyLTMxVDIzOjU5OjU5LTIzOjU5IiwgIngiXQ"),
    ],
)
def test_what_is_out_of_range_names_its_field(
    full: Someone, path: str, key: str, row_id: str, name: str, value: str
) -> None:
    refused = full.get(path, **{name: value})
    assert refused.status_code == 422, refused.text
    assert [error["field"] for error in refused.json()["errors"]] == [name]


@EVERY_LIST
def test_a_cursor_of_one_team_shows_nothing_of_it_to_another(
    shared_world: World, full: Someone, path: str, key: str, row_id: str
) -> None:
    cursor = full.get(path, cursor="", per_page=1).json()["page_meta"]["next_cursor"]
    mine = set(everything(full, path, key, row_id))
    listed = shared_world.other_team().get(path, cursor=cursor)
    assert listed.status_code == 200
    assert not {row[row_id] for row in listed.json()[key]} & mine
