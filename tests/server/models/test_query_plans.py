"""Query plans of model lists: no list reads or sorts all models of a team where an index can be used."""

from itertools import pairwise

import pytest

from modelyard.server.database.engine import is_sqlite
from modelyard.server.database.session import Database
from modelyard.server.http.paging import Page
from tests.server.models.model_factory import BEGAN, ModelSpec, TeamModels
from tests.server.query_plans import record_queries

pytestmark = pytest.mark.slow

MODELS = 6_000
TYPES = ("loras", "loras", "checkpoints")
FIRST_BY_CURSOR, FIRST_WITH_TOTAL = Page(1, 10, ""), Page(1, 10, None)


@pytest.fixture(scope="module")
def large_team(database: Database) -> TeamModels:
    """Return a team whose models have common and rare values; the database has another team like it."""
    teams = TeamModels(database), TeamModels(database)
    for team_models in teams:
        team_models.insert(_build_model(number) for number in range(MODELS))
    if not is_sqlite(database.engine):
        with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
    return teams[0]


def _build_model(number: int) -> ModelSpec:
    rare = number % 1000 == 7
    columns = {
        "model_status": "disabled" if rare else "active",
        "verification": "pending" if rare else "verified",
        "deleted_at": BEGAN if number % 500 == 3 else None,
    }
    name = f"{'watercolour' if number % 2 else 'charcoal'} {'zanzibar' if rare else 'sketch'} {number * 7919 % MODELS}"
    tags = ("wide", *(["narrow"] if rare else []))
    return ModelSpec(name, number, tags, "vae" if rare else TYPES[number % 3], columns)


def explain_list(large_team: TeamModels, page: Page, **filters: object) -> str:
    with record_queries(large_team.database.engine) as statements:
        large_team.list_page(page, **filters)
    with large_team.database.engine.connect() as connection:
        return "\n".join(statements.plans(connection))


# Filters with common values, and the index that returns their models in order, on both databases.
ORDERED_FILTERS: list[tuple[dict[str, object], str]] = [
    ({}, "ix_models_team_id_created_at"),
    ({"sort": "created_at"}, "ix_models_team_id_created_at"),
    ({"sort": "display_name"}, "ix_models_team_id_display_name"),
    ({"sort": "-display_name"}, "ix_models_team_id_display_name"),
    ({"sort": "-file_size"}, "ix_models_team_id_content_size"),
    ({"sort": "last_used_at"}, "ix_models_team_id_last_used"),
    ({"model_type": "loras"}, "ix_models_team_id_type"),
    ({"model_status": "active"}, "ix_models_team_id_"),
    ({"verification": "verified"}, "ix_models_team_id_"),
    ({"tag": "wide"}, "ix_model_tags_team_id_tag"),
    ({"model_type": "loras", "sort": "display_name"}, "ix_models_team_id_display_name"),
    ({"model_type": "loras", "sort": "-file_size"}, "ix_models_team_id_content_size"),
    ({"q": "sketch", "sort": "display_name"}, "ix_models_team_id_display_name"),
    ({"q": "added:>2025"}, "ix_models_team_id_created_at"),
]
# Filters with rare values, and the index that is read, on SQLite and on PostgreSQL.
SELECTIVE_FILTERS: list[tuple[dict[str, object], str, str]] = [
    ({"model_type": "vae"}, "ix_models_team_id_type", "ix_models_team_id_type"),
    ({"model_status": "disabled"}, "ix_models_team_id_status", "ix_models_team_id_status"),
    ({"verification": "pending"}, "ix_models_team_id_verification", "ix_models_team_id_verification"),
    ({"tag": "narrow"}, "ix_model_tags_team_id_tag", "ix_model_tags_team_id_tag"),
    ({"deleted": True}, "ix_models_team_id_trash", "ix_models_"),
    ({"q": "zanzibar"}, "search_words VIRTUAL TABLE INDEX", "ix_models_searched"),
    ({"q": "nothing of this"}, "search_words VIRTUAL TABLE INDEX", "ix_models_searched"),
    ({"model_type": "vae", "sort": "display_name"}, "ix_models_team_id_type", "ix_models_team_id_type"),
    ({"tag": "narrow", "sort": "file_size"}, "ix_model_tags_team_id_tag", "ix_model_tags_"),
    ({"q": "zanzibar", "sort": "display_name"}, "search_words VIRTUAL TABLE INDEX", "ix_models_searched"),
    ({"q": "zanzibar", "model_type": "loras"}, "search_words VIRTUAL TABLE INDEX", "ix_models_"),
    ({"q": "is:pending"}, "ix_models_team_id_verification", "ix_models_"),
    ({"q": "state:failed"}, "ix_agent_models_problems", "agent_models"),
]


@pytest.mark.parametrize(("filters", "index"), ORDERED_FILTERS)
def test_list_models_common_filter_reads_an_index_in_order_without_sorting(
    large_team: TeamModels, filters: dict[str, object], index: str
) -> None:
    found = explain_list(large_team, FIRST_BY_CURSOR, **filters)
    assert index in found
    assert "Sort" not in found
    assert "TEMP B-TREE" not in found
    assert_no_full_table_scan(found)


@pytest.mark.parametrize(("filters", "sqlite", "postgresql"), SELECTIVE_FILTERS)
def test_list_models_rare_filter_reads_its_own_index(
    large_team: TeamModels, filters: dict[str, object], sqlite: str, postgresql: str
) -> None:
    for page in (FIRST_BY_CURSOR, FIRST_WITH_TOTAL):
        found = explain_list(large_team, page, **filters)
        assert (sqlite if is_sqlite(large_team.database.engine) else postgresql) in found
        assert_no_full_table_scan(found)


@pytest.mark.parametrize(
    "filters", [{"model_type": "loras"}, {"model_status": "active"}, {"verification": "verified"}, {"tag": "wide"}]
)
def test_count_models_single_filter_reads_only_an_index(large_team: TeamModels, filters: dict[str, object]) -> None:
    counted = explain_list(large_team, FIRST_WITH_TOTAL, **filters)
    assert "USING COVERING INDEX" in counted if is_sqlite(large_team.database.engine) else "Index Only Scan" in counted


@pytest.mark.parametrize("sort", ["created_at", "-created_at", "display_name", "-display_name", "file_size"])
@pytest.mark.parametrize("filters", [{}, {"model_type": "loras"}, {"tag": "wide"}, {"q": "sketch"}])
def test_list_models_by_cursor_reads_an_index_without_sorting_or_full_scan(
    large_team: TeamModels, filters: dict[str, object], sort: str
) -> None:
    cursor = large_team.list_page(Page(1, 10, ""), sort=sort, **filters).meta.next_cursor
    found = explain_list(large_team, Page(1, 10, cursor), sort=sort, **filters)
    assert "TEMP B-TREE" not in found
    assert_no_full_table_scan(found)


@pytest.mark.parametrize("filters", [{"q": "sketch"}, {"q": "sketch water", "model_type": "loras"}, {"q": "sk"}])
def test_search_models_limits_the_index_to_the_team(large_team: TeamModels, filters: dict[str, object]) -> None:
    """On SQLite the word index contains all teams, and the query limits it to the places of one team."""
    if not is_sqlite(large_team.database.engine):
        assert "team_id" in explain_list(large_team, FIRST_BY_CURSOR, **filters)
        return
    with record_queries(large_team.database.engine) as statements:
        large_team.list_page(FIRST_BY_CURSOR, **filters)
    [(statement, _)] = [sent for sent in statements.sent if "FROM search_" in sent[0] and "LIMIT" in sent[0]][-1:]
    assert "BETWEEN" in statement


@pytest.mark.parametrize("q", ["is:disabled", "added:2026-01-01"])
def test_search_by_one_column_reads_its_index_in_order(large_team: TeamModels, q: str) -> None:
    if not is_sqlite(large_team.database.engine):
        pytest.skip("PostgreSQL chooses by its statistics")  # SQLite runs the same test beside this one
    assert "TEMP B-TREE" not in explain_list(large_team, FIRST_BY_CURSOR, q=q)


def test_search_by_time_limits_the_word_index_to_that_time(large_team: TeamModels) -> None:
    if not is_sqlite(large_team.database.engine):
        pytest.skip("only the word index of SQLite has places")  # PostgreSQL has no such index to test
    with record_queries(large_team.database.engine) as statements:
        assert large_team.list_page(FIRST_BY_CURSOR, q="added:<2026-01 sketch").models == []
    [values] = [values for sql, values in statements.sent if "BETWEEN" in sql and "ORDER BY" in sql]
    assert (1, 0) in pairwise(values)


def assert_no_full_table_scan(plan: str) -> None:
    for scan in (
        "SCAN models",
        "SCAN model_tags",
        "SCAN search_places",
        "Seq Scan on models",
        "Seq Scan on model_tags",
    ):
        assert scan not in plan, plan
