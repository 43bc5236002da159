"""Paging by number and by cursor, the same for every list."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.server.harness import ApiCaller, Harness, make_model_file

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
def filled_team(shared_registry: Harness) -> ApiCaller:
    """Return a team with five rows in every list, and more in its audit trail."""
    team = shared_registry.create_team()
    for number in range(5):
        team.register(make_model_file(f"page {number}"), f"loras/{number}.safetensors")
        team.post("/credentials", kind="integration", display_name=f"key {number}")
        team.post("/invitations", email_address=f"page{number}@studio.test", invitation_role="viewer")
    for _ in range(4):
        shared_registry.create_member("viewer", team)
    return team


@EVERY_LIST
def test_list_without_parameters_returns_20_rows_per_page_and_total_count(
    filled_team: ApiCaller, path: str, key: str, row_id: str
) -> None:
    listed = filled_team.get(path).json()
    assert set(listed) == {key, "page_meta"}
    assert set(listed["page_meta"]) >= {"current_page", "per_page", "total_count"}
    assert listed["page_meta"]["current_page"] == 1
    assert listed["page_meta"]["per_page"] == 20
    assert listed["page_meta"]["total_count"] == len(list_all_ids(filled_team, path, key, row_id)) >= 5


def list_all_ids(filled_team: ApiCaller, path: str, key: str, row_id: str) -> list[str]:
    """Return the ids of all rows, read in one page of 100."""
    return [row[row_id] for row in filled_team.get(path, per_page=100).json()[key]]


@EVERY_LIST
@pytest.mark.parametrize("per_page", [1, 2, 100])
def test_list_by_page_number_and_by_cursor_returns_each_row_once_in_the_same_order(
    filled_team: ApiCaller, path: str, key: str, row_id: str, per_page: int
) -> None:
    rows = list_all_ids(filled_team, path, key, row_id)
    numbered = [
        row[row_id]
        for page in range(1, -(-len(rows) // per_page) + 1)
        for row in filled_team.get(path, per_page=per_page, current_page=page).json()[key]
    ]
    assert numbered == rows
    assert (
        _list_by_cursor(lambda cursor: filled_team.get(path, per_page=per_page, cursor=cursor).json(), key, row_id)
        == rows
    )


def _list_by_cursor(get_page: Callable[[str | None], Any], key: str, row_id: str) -> list[str]:
    """Return the ids of all rows, read page by page with cursors."""
    ids: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = get_page(cursor)
        assert page["page_meta"]["current_page"] is None
        assert page["page_meta"]["total_count"] is None
        ids += [row[row_id] for row in page[key]]
        cursor = page["page_meta"]["next_cursor"]
    return ids


@EVERY_LIST
def test_list_page_past_the_end_returns_empty_list(filled_team: ApiCaller, path: str, key: str, row_id: str) -> None:
    for page in (1000, 10_000_000):
        listed = filled_team.get(path, current_page=page).json()
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
def test_list_with_invalid_paging_parameter_returns_422_with_its_name(
    filled_team: ApiCaller, path: str, key: str, row_id: str, name: str, value: str
) -> None:
    refused = filled_team.get(path, **{name: value})
    assert refused.status_code == 422, refused.text
    assert [error["field"] for error in refused.json()["errors"]] == [name]


@EVERY_LIST
def test_list_with_cursor_of_another_team_returns_no_row_of_that_team(
    shared_registry: Harness, filled_team: ApiCaller, path: str, key: str, row_id: str
) -> None:
    cursor = filled_team.get(path, cursor="", per_page=1).json()["page_meta"]["next_cursor"]
    own_ids = set(list_all_ids(filled_team, path, key, row_id))
    listed = shared_registry.create_other_team().get(path, cursor=cursor)
    assert listed.status_code == 200
    assert not {row[row_id] for row in listed.json()[key]} & own_ids
