"""Pages of models whose records have long texts."""

from uuid import UUID

import pytest

from modelyard.server.models.responses.record_parts import MAX_RECORD_BYTES, RECORDS_PER_ARRAY
from tests.server.harness import ApiCaller, Harness
from tests.server.models.model_factory import ModelSpec, TeamModels

# More text than a record may have, so that the tests need few of them: an array of records fills a page.
LONG = {"description": "\N{LOWER LEFT PAINTBRUSH}" * (MAX_RECORD_BYTES // 4 // RECORDS_PER_ARRAY + 1)}


@pytest.fixture
def models(shared_registry: Harness, team: ApiCaller) -> TeamModels:
    """The team, to insert models into."""
    assert team.team_id is not None
    return TeamModels(shared_registry.resources.database, UUID(team.team_id))


@pytest.mark.parametrize("sort", ["-created_at", "display_name"])
def test_list_by_cursor_ends_pages_of_long_records_early_and_leaves_none_out(
    team: ApiCaller, models: TeamModels, sort: str
) -> None:
    ids = models.insert(ModelSpec(f"ink {n}", n, columns=LONG) for n in range(2 * RECORDS_PER_ARRAY + 1))
    counts, found = list[int](), list[str]()
    cursor: str | None = ""
    while cursor is not None:
        page = team.get("/models", per_page=2 * RECORDS_PER_ARRAY, cursor=cursor, sort=sort).json()
        counts.append(len(page["model_list"]))
        found += [each["id"] for each in page["model_list"]]
        cursor = page["page_meta"]["next_cursor"]
    assert counts == [RECORDS_PER_ARRAY, RECORDS_PER_ARRAY, 1]
    assert sorted(found) == sorted(map(str, ids))


def test_list_by_cursor_of_the_longest_records_has_at_most_4_mib_and_ten_of_them(
    team: ApiCaller, models: TeamModels
) -> None:
    of_one = 200_000
    models.insert(ModelSpec("ink", n, columns={"description": "x" * of_one}) for n in range(50))
    page = team.get("/models", per_page=50, cursor="")
    assert MAX_RECORD_BYTES == 4 * 1024 * 1024
    assert MAX_RECORD_BYTES < len(page.content) < MAX_RECORD_BYTES + 10 * (of_one + 5_000)


def test_list_of_a_numbered_page_of_long_records_returns_422_naming_per_page(
    team: ApiCaller, models: TeamModels
) -> None:
    models.insert(ModelSpec("ink", n, columns=LONG) for n in range(RECORDS_PER_ARRAY + 1))
    refused = team.get("/models", per_page=RECORDS_PER_ARRAY + 1)
    assert refused.status_code == 422
    [error] = refused.json()["errors"]
    assert (error["field"], f"at most {RECORDS_PER_ARRAY} a page, from the first page" in error["message"]) == (
        "per_page",
        True,
    )
    assert len(team.get("/models", per_page=RECORDS_PER_ARRAY).json()["model_list"]) == RECORDS_PER_ARRAY
