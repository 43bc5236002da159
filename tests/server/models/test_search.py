"""Search of models on both databases: results equal a substring search in Python, and follow every change."""

import logging
import re
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update

from modelyard.server.database.migrations import migrate
from modelyard.server.database.search import LONGEST_INDEXED, select_indexed_words
from modelyard.server.database.session import Database
from modelyard.server.http.paging import Page
from modelyard.server.models.operations import move_to_trash
from modelyard.server.models.tables import ModelRow
from modelyard.wire.model_filter import MAX_SEARCH_WORDS, SEARCH_PATTERN
from tests.postgres import RunningPostgres
from tests.server.models.model_factory import ModelSpec, TeamModels

pytestmark = pytest.mark.slow

# Characters that are special in patterns, quotes, operators, case folding, accents or encodings, and a few letters.
TRICKY = [
    *"abAB%_\"'\\*^()-:+~.ßéàΣςıİﬁ日本",
    "e\u0301",
    "\u0301",
    "𝔸",
    "🎨",
    "\ufffd",
    "\ufffe",
    "\uffff",
    "AND",
    "OR",
    "NOT",
]
SPACES = [chr(code) for code in range(0x20, 0x10000) if chr(code).isspace()]
letters = st.one_of(st.sampled_from(TRICKY), st.characters(exclude_categories=["Cs", "Cc"]))
texts = st.lists(st.one_of(letters, st.just(" ")), min_size=1, max_size=40).map("".join)
words = st.lists(letters, min_size=1, max_size=30).map("".join)


@st.composite
def models_and_search(draw: st.DrawFn) -> tuple[list[ModelSpec], str]:
    """Draw some models, created in any order, and a search text that is likely to match some."""
    seconds = draw(st.lists(st.integers(0, 9), min_size=1, max_size=7))
    named = [
        ModelSpec(f"{draw(texts)} {n}", second, tuple(draw(st.lists(words, max_size=2, unique=True))))
        for n, second in enumerate(seconds)
    ]
    text = draw(st.sampled_from(named)).searched
    begins = draw(st.lists(st.tuples(st.integers(0, len(text) - 1), st.integers(1, 30)), max_size=3))
    parts = [text[begin : begin + length] for begin, length in begins] + draw(st.lists(words, max_size=1))
    searched = " ".join(part.replace("\n", " ") for part in parts)[:255]
    # The spaces stay as drawn, unless there are too many words.
    filters = searched.split()
    return named, searched if len(filters) <= MAX_SEARCH_WORDS else " ".join(filters[:MAX_SEARCH_WORDS])


@pytest.mark.parametrize(
    ("words", "filters"),
    [
        (["ink", "inkwell"], ["inkwell"]),
        (["x" * count for count in range(3, 20)], ["x" * LONGEST_INDEXED]),
        (["ab", "abc", "a\uffffc"], ["abc"]),
        (["abc1", "abc2", "abc3", "abc4", "abc5"], ["abc1", "abc2", "abc3", "abc4"]),
    ],
    ids=["contained", "long and contained", "not indexed", "too many"],
)
def test_select_indexed_words_drops_contained_words_and_limits_number_and_length(
    words: list[str], filters: list[str]
) -> None:
    assert select_indexed_words(words) == filters


@settings(max_examples=150, deadline=None)
@given(case=models_and_search())
def test_search_models_random_texts_matches_python_substring_search(
    database: Database, case: tuple[list[ModelSpec], str]
) -> None:
    specs, q = case
    team_models = TeamModels(database)
    ids = team_models.insert(specs)
    folded = q.casefold().split()
    found = [
        (spec, row_id) for spec, row_id in zip(specs, ids, strict=True) if all(word in spec.searched for word in folded)
    ]
    newest = [spec.name for spec, _ in sorted(found, key=lambda pair: (pair[0].second, pair[1]), reverse=True)]
    assert team_models.list_names(q=q) == newest
    assert team_models.list_names(q=q, sort="created_at") == newest[::-1]
    assert team_models.list_names(q=q, sort="display_name") == sorted(newest)
    if folded:
        assert team_models.list_page(Page(1, 1, None), q=q).meta.total_count == len(newest)


@given(st.text(st.sampled_from(["a", "b", *SPACES]), max_size=40))
def test_search_pattern_random_spaces_matches_at_most_8_words(q: str) -> None:
    assert bool(re.search(SEARCH_PATTERN, q)) is (len(q.split()) <= MAX_SEARCH_WORDS)


@pytest.mark.parametrize("q", ["ink\ufffd", "ink\uffff", "ink\ufffe wash"])
def test_search_models_characters_with_equal_index_key_are_distinguished(team_models: TeamModels, q: str) -> None:
    team_models.insert([ModelSpec("ink\ufffe")])
    assert team_models.list_names(q=q) == []
    assert team_models.list_names(q="ink\ufffe") == ["ink\ufffe"]


@pytest.mark.parametrize("q", ["ink", "in", "i", "ink drawing", "ink dr"])
def test_search_models_returns_only_models_of_the_team(database: Database, q: str) -> None:
    own_team, other_team = TeamModels(database), TeamModels(database)
    own_team.insert([ModelSpec("ink drawing")])
    other_team.insert([ModelSpec("ink drawing of other_team"), ModelSpec("ink drawing, too")])
    assert own_team.list_names(q=q) == ["ink drawing"]
    assert own_team.list_page(Page(1, 1, None), q=q).meta.total_count == 1


@pytest.mark.parametrize("q", ["ink", "in"])
def test_search_models_follows_rename_trash_and_restore(team_models: TeamModels, q: str) -> None:
    first, second = team_models.insert([ModelSpec("ink", 1), ModelSpec("wash", 2)])
    _change(team_models, second, searched="ink wash", display_name="ink wash")
    assert team_models.list_names(q=q) == ["ink wash", "ink"]
    _trash(team_models, first)
    assert team_models.list_names(q=q) == ["ink wash"]
    assert team_models.list_names(q=q, deleted=True) == ["ink"]
    _change(team_models, first, searched="sink", display_name="sink")
    _change(team_models, first, deleted_at=None)
    assert team_models.list_names(q=q) == ["ink wash", "sink"]
    assert team_models.list_names(q="wash") == ["ink wash"]


@pytest.mark.parametrize("q", ["ink", "in"])
def test_search_models_deleted_rows_are_skipped_also_by_their_cursor(team_models: TeamModels, q: str) -> None:
    ids = team_models.insert(ModelSpec(f"ink {number}", number) for number in range(6))
    cursor = team_models.list_page(Page(1, 3, ""), q=q).meta.next_cursor
    with team_models.database.writing(team_models.team_id) as session:
        session.execute(delete(ModelRow).where(ModelRow.id.in_(ids[2:4])))
    assert [model.display_name for model in team_models.list_page(Page(1, 3, cursor), q=q).models] == ["ink 1", "ink 0"]
    assert team_models.list_names(q=q) == ["ink 5", "ink 4", "ink 1", "ink 0"]


@pytest.mark.parametrize("q", ["ink", "in"])
def test_search_models_rolled_back_rename_is_not_found(team_models: TeamModels, q: str) -> None:
    [specs] = team_models.insert([ModelSpec("ink")])

    def rename_and_fail() -> None:
        with team_models.database.writing(team_models.team_id) as session:
            session.execute(update(ModelRow).where(ModelRow.id == specs).values(searched="oil"))
            raise RuntimeError("undone")

    with pytest.raises(RuntimeError, match="undone"):
        rename_and_fail()
    assert team_models.list_names(q=q) == ["ink"]
    assert team_models.list_names(q="oil") == []


def test_search_models_rows_inserted_out_of_time_order_are_newest_first(team_models: TeamModels) -> None:
    team_models.insert(ModelSpec(f"ink {second}", second) for second in (5, 6, 1, 2, 9))
    assert team_models.list_names(q="ink") == ["ink 9", "ink 6", "ink 5", "ink 2", "ink 1"]


def test_list_models_filtered_total_is_limited_unless_the_last_page_was_read(
    team_models: TeamModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelyard.server.models.listing.pages.MAX_COUNTED_BY_INDEX", 4)
    monkeypatch.setattr("modelyard.server.models.listing.pages.MAX_COUNTED_BY_READING", 3)
    team_models.insert(ModelSpec(f"ink {number}", number, ("drawn",)) for number in range(6))

    def total(**filters: str) -> int | None:
        return team_models.list_page(Page(1, 2, None), **filters).meta.total_count

    assert [total(tag="drawn"), total(model_type="loras")] == [4, 4]
    assert [total(q="ink"), total(q="in"), total(tag="drawn", model_type="loras")] == [3, 3, 3]
    assert team_models.list_page(Page(2, 4, None), q="ink").meta.total_count == 6, "The end was seen."


def test_migrate_without_permission_for_pg_trgm_logs_a_warning_and_search_works(
    postgres_server: RunningPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    with postgres_server.database() as url:
        name = url.rpartition("/")[2]
        postgres_server.execute(f"CREATE ROLE {name} LOGIN")
        postgres_server.execute(f"GRANT ALL ON SCHEMA public TO {name}", name)
        with caplog.at_level(logging.WARNING):
            database = Database(url.replace("modelyard@", f"{name}@"))
            migrate(database.engine)
        assert "CREATE EXTENSION pg_trgm" in caplog.text
        team_models = TeamModels(database)
        team_models.insert([ModelSpec("ink"), ModelSpec("oil")])
        assert team_models.list_names(q="ink") == ["ink"]
        database.close()
        postgres_server.execute(f"DROP OWNED BY {name}", name)
        postgres_server.execute(f"DROP ROLE {name}")


def _change(team_models: TeamModels, model_id: UUID, **values: object) -> None:
    with team_models.database.writing(team_models.team_id) as session:
        session.execute(update(ModelRow).where(ModelRow.id == model_id).values(**values))


def _trash(team_models: TeamModels, model_id: UUID) -> None:
    with team_models.database.writing(team_models.team_id) as session:
        move_to_trash(session, session.get_one(ModelRow, model_id))
