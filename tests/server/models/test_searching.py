"""A search finds what Python finds, on both databases, whatever people write; and follows every change."""

import logging
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update

from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from modelyard.server.models.operations import trash_model
from modelyard.server.models.tables import ModelRow
from modelyard.server.paging import Page
from tests.postgres import RunningPostgres
from tests.server.models.shelf import Kept, Shelf

# What patterns, quotes, operators, folding, accents and encodings could trip over, and a few letters to collide with.
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
letters = st.one_of(st.sampled_from(TRICKY), st.characters(exclude_categories=["Cs", "Cc"]))
texts = st.lists(st.one_of(letters, st.just(" ")), min_size=1, max_size=40).map("".join)
words = st.lists(letters, min_size=1, max_size=30).map("".join)


@st.composite
def shelves(draw: st.DrawFn) -> tuple[list[Kept], str]:
    """Some models, made in any order, and a search that has a chance to find some."""
    seconds = draw(st.lists(st.integers(0, 9), min_size=1, max_size=7))
    named = [
        Kept(f"{draw(texts)} {n}", second, tuple(draw(st.lists(words, max_size=2, unique=True))))
        for n, second in enumerate(seconds)
    ]
    text = draw(st.sampled_from(named)).searched
    begins = draw(st.lists(st.tuples(st.integers(0, len(text) - 1), st.integers(1, 30)), max_size=3))
    parts = [text[begin : begin + length] for begin, length in begins] + draw(st.lists(words, max_size=1))
    return named, " ".join(part.replace("\n", " ") for part in parts)[:255]


@settings(max_examples=150, deadline=None)
@given(case=shelves())
def test_a_search_finds_exactly_what_python_finds(database: Database, case: tuple[list[Kept], str]) -> None:
    kept, q = case
    shelf = Shelf(database)
    ids = shelf.put(kept)
    folded = q.casefold().split()
    found = [
        (one, row_id) for one, row_id in zip(kept, ids, strict=True) if all(word in one.searched for word in folded)
    ]
    newest = [one.name for one, _ in sorted(found, key=lambda pair: (pair[0].second, pair[1]), reverse=True)]
    assert shelf.names(q=q) == newest
    assert shelf.names(q=q, sort="created_at") == newest[::-1]
    assert shelf.names(q=q, sort="display_name") == sorted(newest)
    if folded:
        assert shelf.listed(Page(1, 1, None), q=q).meta.total_count == len(newest)


@pytest.mark.parametrize("q", ["ink\ufffd", "ink\uffff", "ink\ufffe wash"])
def test_characters_that_the_index_confuses_are_told_apart(shelf: Shelf, q: str) -> None:
    shelf.put([Kept("ink\ufffe")])
    assert shelf.names(q=q) == []
    assert shelf.names(q="ink\ufffe") == ["ink\ufffe"]


@pytest.mark.parametrize("q", ["ink", "in", "i", "ink drawing", "ink dr"])
def test_a_search_knows_no_other_team(database: Database, q: str) -> None:
    mine, theirs = Shelf(database), Shelf(database)
    mine.put([Kept("ink drawing")])
    theirs.put([Kept("ink drawing of theirs"), Kept("ink drawing, too")])
    assert mine.names(q=q) == ["ink drawing"]
    assert mine.listed(Page(1, 1, None), q=q).meta.total_count == 1


@pytest.mark.parametrize("q", ["ink", "in"])
def test_a_search_follows_a_new_name_the_trash_and_the_way_back(shelf: Shelf, q: str) -> None:
    first, second = shelf.put([Kept("ink", 1), Kept("wash", 2)])
    _change(shelf, second, searched="ink wash", display_name="ink wash")
    assert shelf.names(q=q) == ["ink wash", "ink"]
    _trash(shelf, first)
    assert shelf.names(q=q) == ["ink wash"]
    assert shelf.names(q=q, deleted=True) == ["ink"]
    _change(shelf, first, searched="sink", display_name="sink")
    _change(shelf, first, deleted_at=None)
    assert shelf.names(q=q) == ["ink wash", "sink"]
    assert shelf.names(q="wash") == ["ink wash"]


@pytest.mark.parametrize("q", ["ink", "in"])
def test_what_is_gone_is_not_found_and_its_cursor_still_leads_on(shelf: Shelf, q: str) -> None:
    ids = shelf.put(Kept(f"ink {number}", number) for number in range(6))
    cursor = shelf.listed(Page(1, 3, ""), q=q).meta.next_cursor
    with shelf.database.writing(shelf.team_id) as session:
        session.execute(delete(ModelRow).where(ModelRow.id.in_(ids[2:4])))
    assert [model.display_name for model in shelf.listed(Page(1, 3, cursor), q=q).models] == ["ink 1", "ink 0"]
    assert shelf.names(q=q) == ["ink 5", "ink 4", "ink 1", "ink 0"]


@pytest.mark.parametrize("q", ["ink", "in"])
def test_what_was_undone_is_not_found(shelf: Shelf, q: str) -> None:
    [kept] = shelf.put([Kept("ink")])

    def rename_and_fail() -> None:
        with shelf.database.writing(shelf.team_id) as session:
            session.execute(update(ModelRow).where(ModelRow.id == kept).values(searched="oil"))
            raise RuntimeError("undone")

    with pytest.raises(RuntimeError, match="undone"):
        rename_and_fail()
    assert shelf.names(q=q) == ["ink"]
    assert shelf.names(q="oil") == []


def test_a_clock_that_was_set_back_changes_no_order(shelf: Shelf) -> None:
    shelf.put(Kept(f"ink {second}", second) for second in (5, 6, 1, 2, 9))
    assert shelf.names(q="ink") == ["ink 9", "ink 6", "ink 5", "ink 2", "ink 1"]


def test_a_filtered_list_is_counted_up_to_a_bound(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelyard.server.models.listing.pages.MOST_COUNTED", 4)
    monkeypatch.setattr("modelyard.server.models.listing.pages.MOST_SOUGHT", 3)
    shelf.put(Kept(f"ink {number}", number, ("drawn",)) for number in range(6))

    def total(**asked: str) -> int | None:
        return shelf.listed(Page(1, 2, None), **asked).meta.total_count

    assert [total(tag="drawn"), total(model_type="loras")] == [4, 4]
    assert [total(q="ink"), total(q="in"), total(tag="drawn", model_type="loras")] == [3, 3, 3]
    assert shelf.listed(Page(2, 4, None), q="ink").meta.total_count == 6, "The end was seen."


def test_without_pg_trgm_the_schema_is_made_and_a_search_reads_every_model(
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
        shelf = Shelf(database)
        shelf.put([Kept("ink"), Kept("oil")])
        assert shelf.names(q="ink") == ["ink"]
        database.close()
        postgres_server.execute(f"DROP OWNED BY {name}", name)
        postgres_server.execute(f"DROP ROLE {name}")


def _change(shelf: Shelf, model_id: UUID, **values: object) -> None:
    with shelf.database.writing(shelf.team_id) as session:
        session.execute(update(ModelRow).where(ModelRow.id == model_id).values(**values))


def _trash(shelf: Shelf, model_id: UUID) -> None:
    with shelf.database.writing(shelf.team_id) as session:
        trash_model(session, session.get_one(ModelRow, model_id))
