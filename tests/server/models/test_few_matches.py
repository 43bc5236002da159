"""Searches that find few models although each condition has many: on PostgreSQL those are looked up before."""

from typing import Any

import pytest
from sqlalchemy import text

from modelyard.server.database.engine import is_sqlite
from modelyard.server.database.session import Database
from modelyard.server.http.paging import Page
from modelyard.server.models.listing import few_matches
from modelyard.server.models.listing.pages import list_models
from modelyard.wire.model_filter import ModelFilter
from tests.server.models.model_factory import ModelSpec, TeamModels
from tests.server.models.search_oracle import is_found
from tests.server.query_plans import record_queries

pytestmark = pytest.mark.slow
FIRST_PAGE = Page(1, 20, None)


@pytest.fixture(scope="module")
def sparse_team(database: Database) -> tuple[TeamModels, list[dict[str, Any]]]:
    """Return a team in which "ink" and "oil" are common, but only three old models have both, and its rows."""
    if is_sqlite(database.engine):
        pytest.skip("PostgreSQL only: the tested search does not exist on SQLite")  # its PostgreSQL case runs
    team_models = TeamModels(database)
    names = ["ink oil", "oil ink", "inkoil", *("ink" if number % 2 else "oil" for number in range(200))]
    return team_models, team_models.insert_rows(ModelSpec(f"{name} {at}", at) for at, name in enumerate(names))


@pytest.mark.parametrize(
    ("q", "is_looked_up"),
    [
        ("ink oil", True),
        ("ink oil type:loras", True),
        ("ink oil -inkoil", True),
        ("ink type:vae", True),
        ("ink type:loras", False),
        ("ink", False),
        ("in -il", False),
    ],
)
def test_list_models_of_a_large_team_looks_up_rare_combinations(
    sparse_team: tuple[TeamModels, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch, q: str, is_looked_up: bool
) -> None:
    team_models, rows = sparse_team
    monkeypatch.setattr(few_matches, "MIN_MODELS", 0)
    expected = [row["display_name"] for row in reversed(rows) if is_found(row, q)]
    with record_queries(team_models.database.engine) as statements:
        page = team_models.list_page(FIRST_PAGE, q=q)
    assert [model.display_name for model in page.models] == expected[: FIRST_PAGE.per_page]
    assert page.meta.total_count == len(expected)
    names = [statement for statement, _ in statements.sent if "models.id IN (" in statement]
    assert bool(names) == is_looked_up


def test_list_models_above_the_limit_of_few_counts_all_matches(
    sparse_team: tuple[TeamModels, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    team_models, _ = sparse_team
    monkeypatch.setattr(few_matches, "MIN_MODELS", 0)
    monkeypatch.setattr(few_matches, "SELECTIVE_LIMIT", 3)
    assert team_models.list_page(FIRST_PAGE, q="ink oil").meta.total_count == 3


def test_find_few_matches_changes_the_planner_only_for_its_own_statement(
    sparse_team: tuple[TeamModels, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    team_models, _ = sparse_team
    monkeypatch.setattr(few_matches, "MIN_MODELS", 0)
    with team_models.database.reading() as session:
        list_models(session, team_models.team, ModelFilter(q="ink oil"), FIRST_PAGE)
        settings = [session.scalar(text(f"SHOW enable_{way}")) for way in ("seqscan", "indexscan")]
    assert settings == ["on", "on"]
