"""Which index answers which list: no list reads all models of a team, or sorts them, where an index could tell."""

import pytest

from modelyard.server.database.engine import is_sqlite
from modelyard.server.database.session import Database
from modelyard.server.paging import Page
from tests.server.models.shelf import BEGAN, Kept, Shelf
from tests.server.plans import recorded

MODELS = 6_000
TYPES = ("loras", "loras", "checkpoints")
FIRST, COUNTED = Page(1, 10, ""), Page(1, 10, None)


@pytest.fixture(scope="module")
def crowd(database: Database) -> Shelf:
    """A team in which most of everything is common, and a few are rare; and another one like it."""
    crowds = Shelf(database), Shelf(database)
    for shelf in crowds:
        shelf.put(_kept(number) for number in range(MODELS))
    if not is_sqlite(database.engine):
        with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
    return crowds[0]


def _kept(number: int) -> Kept:
    rare = number % 1000 == 7
    columns = {
        "file_hash": f"sha256:{number % 3000:064}",
        "model_status": "disabled" if rare else "active",
        "verification": "pending" if rare else "verified",
        "deleted_at": BEGAN if number % 500 == 3 else None,
    }
    name = f"{'watercolour' if number % 2 else 'charcoal'} {'zanzibar' if rare else 'sketch'} {number * 7919 % MODELS}"
    tags = ("wide", *(["narrow"] if rare else []))
    return Kept(name, number, tags, "vae" if rare else TYPES[number % 3], columns)


def plans(crowd: Shelf, page: Page, **asked: object) -> str:
    with recorded(crowd.database.engine) as statements:
        crowd.listed(page, **asked)
    with crowd.database.engine.connect() as connection:
        return "\n".join(statements.plans(connection))


# What is asked, and the index that answers it in the order of the newest, on both databases.
ORDERED: list[tuple[dict[str, object], str]] = [
    ({}, "ix_models_team_id_created_at"),
    ({"sort": "created_at"}, "ix_models_team_id_created_at"),
    ({"sort": "display_name"}, "ix_models_team_id_display_name"),
    ({"sort": "-display_name"}, "ix_models_team_id_display_name"),
    ({"sort": "-file_size"}, "ix_models_team_id_file_size"),
    ({"model_type": "loras"}, "ix_models_team_id_type"),
    ({"model_status": "active"}, "ix_models_team_id_"),
    ({"verification": "verified"}, "ix_models_team_id_"),
    ({"tag": "wide"}, "ix_model_tags_team_id_tag"),
    ({"model_type": "loras", "sort": "display_name"}, "ix_models_team_id_display_name"),
    ({"model_type": "loras", "sort": "-file_size"}, "ix_models_team_id_file_size"),
    ({"q": "sketch", "sort": "display_name"}, "ix_models_team_id_display_name"),
]
# What is asked, and the index that leads to the few models that are found.
NARROW: list[tuple[dict[str, object], str, str]] = [
    ({"model_type": "vae"}, "ix_models_team_id_type", "ix_models_team_id_type"),
    ({"model_status": "disabled"}, "ix_models_team_id_status", "ix_models_team_id_status"),
    ({"verification": "pending"}, "ix_models_team_id_verification", "ix_models_team_id_verification"),
    ({"file_hash": f"sha256:{7:064}"}, "ix_models_team_id_file_hash", "ix_models_team_id_file_hash"),
    ({"tag": "narrow"}, "ix_model_tags_team_id_tag", "ix_model_tags_team_id_tag"),
    ({"deleted": True}, "ix_models_team_id_trash", "ix_models_"),
    ({"q": "zanzibar"}, "search_words VIRTUAL TABLE INDEX", "ix_models_searched"),
    ({"q": "nothing of this"}, "search_words VIRTUAL TABLE INDEX", "ix_models_searched"),
    ({"model_type": "vae", "sort": "display_name"}, "ix_models_team_id_type", "ix_models_team_id_type"),
    ({"tag": "narrow", "sort": "file_size"}, "ix_model_tags_team_id_tag", "ix_model_tags_"),
    ({"q": "zanzibar", "sort": "display_name"}, "search_words VIRTUAL TABLE INDEX", "ix_models_searched"),
    ({"q": "zanzibar", "model_type": "loras"}, "search_words VIRTUAL TABLE INDEX", "ix_models_"),
]


@pytest.mark.parametrize(("asked", "index"), ORDERED)
def test_what_is_common_is_read_off_an_index_in_its_order(crowd: Shelf, asked: dict[str, object], index: str) -> None:
    found = plans(crowd, FIRST, **asked)
    assert index in found
    assert "Sort" not in found
    assert "TEMP B-TREE" not in found
    assert_reads_no_table_whole(found)


@pytest.mark.parametrize(("asked", "sqlite", "postgresql"), NARROW)
def test_what_is_rare_is_found_by_its_index(
    crowd: Shelf, asked: dict[str, object], sqlite: str, postgresql: str
) -> None:
    for page in (FIRST, COUNTED):
        found = plans(crowd, page, **asked)
        assert (sqlite if is_sqlite(crowd.database.engine) else postgresql) in found
        assert_reads_no_table_whole(found)


@pytest.mark.parametrize(
    "asked", [{"model_type": "loras"}, {"model_status": "active"}, {"verification": "verified"}, {"tag": "wide"}]
)
def test_what_one_filter_finds_is_counted_in_an_index_alone(crowd: Shelf, asked: dict[str, object]) -> None:
    counted = plans(crowd, COUNTED, **asked)
    assert "USING COVERING INDEX" in counted if is_sqlite(crowd.database.engine) else "Index Only Scan" in counted


@pytest.mark.parametrize("sort", ["created_at", "-created_at", "display_name", "-display_name", "file_size"])
@pytest.mark.parametrize("asked", [{}, {"model_type": "loras"}, {"tag": "wide"}, {"q": "sketch"}])
def test_a_cursor_goes_on_in_the_index_where_it_was(crowd: Shelf, asked: dict[str, object], sort: str) -> None:
    cursor = crowd.listed(Page(1, 10, ""), sort=sort, **asked).meta.next_cursor
    found = plans(crowd, Page(1, 10, cursor), sort=sort, **asked)
    assert "TEMP B-TREE" not in found
    assert_reads_no_table_whole(found)


@pytest.mark.parametrize("asked", [{"q": "sketch"}, {"q": "sketch water", "model_type": "loras"}, {"q": "sk"}])
def test_a_search_reads_its_own_team_only(crowd: Shelf, asked: dict[str, object]) -> None:
    """On SQLite the index of words has all teams in it: the search says between which places its team is."""
    if not is_sqlite(crowd.database.engine):
        assert "team_id" in plans(crowd, FIRST, **asked)
        return
    with recorded(crowd.database.engine) as statements:
        crowd.listed(FIRST, **asked)
    [(statement, _)] = [sent for sent in statements.sent if "FROM search_" in sent[0] and "LIMIT" in sent[0]][-1:]
    assert "BETWEEN" in statement


def assert_reads_no_table_whole(plan: str) -> None:
    for whole in (
        "SCAN models",
        "SCAN model_tags",
        "SCAN search_places",
        "Seq Scan on models",
        "Seq Scan on model_tags",
    ):
        assert whole not in plan, plan
