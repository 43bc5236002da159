"""Search of models on both databases: results equal a substring search in Python, and follow every change."""

import logging
import re
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update

from modelyard.server.database.migrations import migrate
from modelyard.server.database.search import select_lookups
from modelyard.server.database.session import Database
from modelyard.server.http.paging import Page
from modelyard.server.models.operations import move_to_trash
from modelyard.server.models.tables import ModelRow
from modelyard.wire.model_filter import SEARCH_PATTERN
from modelyard.wire.search.grammar import parse_search, quote_value, quote_word
from modelyard.wire.search.values import MAX_SEARCH_LENGTH, MAX_SEARCH_VALUES
from tests.postgres import RunningPostgres
from tests.server.models.model_factory import BEGAN, ModelSpec, TeamModels
from tests.server.models.search_oracle import is_found

pytestmark = pytest.mark.slow

# Characters that are special in patterns, quotes, operators, case folding, accents or encodings, and a few letters.
TRICKY = [
    *"abAB%_\"'\\*^()-:+~.|ßéàΣςıİﬁ日本",
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
# Of scripts without spaces only those that the plain meaning of a search distinguishes.
letters = st.one_of(
    st.sampled_from(TRICKY),
    st.characters(exclude_categories=["Cs", "Cc"]).filter(lambda character: not 0xE00 <= ord(character) <= 0xFFFFF),
)
texts = st.lists(st.one_of(letters, st.just(" ")), min_size=1, max_size=40).map("".join)
words = st.lists(letters, min_size=1, max_size=30).map("".join)
TYPES = ("loras", "vae", "diffusion_models", "checkpoints")
LICENSES = (None, "MIT", "Apache 2.0", "mit")
BASES = (None, "SDXL 1.0", "Pony", "Pony V7", "Flux.1", "Flux.1 D", "Flux.1 Dev2", "Flux2")
PEOPLE = ("Ada Lovelace", "Mia Ø", "日本")


@st.composite
def models_and_searches(draw: st.DrawFn) -> tuple[list[ModelSpec], list[str]]:
    """Draw some models, created in any order, and searches that are likely to match some."""
    seconds = draw(st.lists(st.integers(0, 9), min_size=1, max_size=7))
    specs = [_draw_model(draw, number, second) for number, second in enumerate(seconds)]
    visible = [text for spec in specs for text in (spec.name, *spec.tags, *_list_triggers(spec))]
    terms = st.one_of(words, st.sampled_from(visible).flatmap(_draw_part), _draw_qualifiers(specs))
    searches = st.lists(terms, max_size=4).map(" ".join)
    return specs, [draw(searches)[:MAX_SEARCH_LENGTH] for _ in range(6)]


def _draw_model(draw: st.DrawFn, number: int, second: int) -> ModelSpec:
    columns = {
        "license": draw(st.sampled_from(LICENSES)),
        "preview_sha256": draw(st.sampled_from([None, "0" * 64])),
        "base_model": draw(st.sampled_from(BASES)),
        "trigger_words": [{"text": word, "source": "file"} for word in draw(st.lists(words, max_size=2))] or None,
        "creator_name": draw(st.sampled_from(PEOPLE)),
        "facts": draw(st.sampled_from([{}, {"architecture": "sdxl"}, {"architecture": "flux"}])),
        "model_status": draw(st.sampled_from(["active", "disabled"])),
        "verification": draw(st.sampled_from(["verified", "pending", "failed"])),
        "file_size": draw(st.sampled_from([1, 999, 2_000_000, 2_100_000_000])),
        "total_size": draw(st.sampled_from([None, None, 2_000_000, 2_100_000_000])),
    }
    tags = tuple(draw(st.lists(words, max_size=2, unique=True)))
    return ModelSpec(f"{draw(texts)} {number}", second, tags, draw(st.sampled_from(TYPES)), columns)


def _list_triggers(spec: ModelSpec) -> list[str]:
    return [word["text"] for word in spec.columns["trigger_words"] or ()]


def _draw_part(text: str) -> st.SearchStrategy[str]:
    """Draw a part of a text, sometimes in quotes or excluded."""
    places = st.tuples(st.integers(0, len(text) - 1), st.integers(1, 30))
    part = places.map(lambda place: text[place[0] : place[0] + place[1]])
    return st.tuples(st.sampled_from(["", "", "-", '"', '-"']), part).map(
        lambda drawn: drawn[0] + drawn[1] + ('"' if '"' in drawn[0] else "")
    )


def _draw_qualifiers(specs: list[ModelSpec]) -> st.SearchStrategy[str]:
    """Draw a qualifier with one or two values, most of which some model could have."""
    tags = [tag for spec in specs for tag in spec.tags] or ["none"]
    values = {
        "type": ["lora", "LORAS", "unet", "vae", "none"],
        "tag": tags,
        "trigger": [word for spec in specs for word in _list_triggers(spec)] or ["none"],
        "base": ["sdxl 1.0", "SDXL", "PONY", "flux", "flux.", "flux.1", "flux.1 d", "flu"],
        "license": ["mit", "apache 2.0", "apache"],
        "by": ["ada lovelace", "mia ø", "日本", "ada"],
        "architecture": ["SDXL", "flux", "flu"],
        "is": ["disabled", "damaged", "pending", "unpreviewed"],
        "size": [">2mb", "<=999", "2.1gb", "1kb..2gb", "2mb"],
        "added": ["2026", ">2026-01-01", "<2026-01", "2026-01-01"],
    }
    one = st.sampled_from(sorted(values)).flatmap(
        lambda key: st.tuples(
            st.just(key), st.lists(st.sampled_from(values[key]).flatmap(_quote_sometimes), min_size=1, max_size=2)
        )
    )
    return st.tuples(st.sampled_from(["", "-"]), one).map(
        lambda drawn: f"{drawn[0]}{drawn[1][0]}:{'|'.join(drawn[1][1])}"
    )


def _quote_sometimes(value: str) -> st.SearchStrategy[str]:
    return st.sampled_from([quote_value(value), quote_word(value)])


@pytest.mark.parametrize(
    ("words", "lookups", "applied"),
    [
        (["ink", "inkwell"], ["inkwell"], {"ink", "inkwell"}),
        (["x" * count for count in range(3, 20)], ["x" * 16], {"x" * count for count in range(3, 17)}),
        (["ab", "abc", "a\uffffc"], ["abc"], {"abc"}),
        (["abc1", "abc2", "abc3", "abc4", "abc5"], ["abc1", "abc2", "abc3", "abc4"], {"abc1", "abc2", "abc3", "abc4"}),
    ],
    ids=["contained", "long and contained", "not indexed", "too many"],
)
def test_select_lookups_drops_contained_words_and_limits_number_and_length(
    words: list[str], lookups: list[str], applied: set[str]
) -> None:
    assert select_lookups({word: (word,) for word in words}) == ([(text,) for text in lookups], frozenset(applied))


def test_select_lookups_of_several_texts_are_kept_together() -> None:
    parts = {"a": ("ink", "oil"), "b": ("inkwell",), "c": tuple(f"abc{number}" for number in range(9))}
    assert select_lookups(parts) == ([("inkwell",), ("ink", "oil")], frozenset({"a", "b"}))


@pytest.mark.extended(reason="150 generated cases take a minute; the other tests of this file cover each rule")
@settings(max_examples=150, deadline=None)
@given(case=models_and_searches())
def test_search_models_random_texts_matches_the_plain_meaning(
    database: Database, case: tuple[list[ModelSpec], list[str]]
) -> None:
    specs, searches = case
    team_models = TeamModels(database)
    rows = team_models.insert_rows(specs)
    for q in searches:
        found = [row for row in rows if is_found(row, q)]
        newest = [
            row["display_name"] for row in sorted(found, key=lambda row: (row["created_at"], row["id"]), reverse=True)
        ]
        assert team_models.list_names(q=q) == newest, q
        assert team_models.list_names(q=q, sort="created_at") == newest[::-1]
        assert team_models.list_names(q=q, sort="display_name") == sorted(newest)
        assert sorted(team_models.list_names(q=q, sort=None)) == sorted(newest)
        if parse_search(q):
            assert team_models.list_page(Page(1, 1, None), q=q).meta.total_count == len(newest)


@pytest.mark.parametrize(
    ("q", "names"),
    [
        ("base:flux", ["Flux.1", "Flux.1 D", "Flux.1 Dev2", "Flux.2 D"]),
        ("base:FLUX.1", ["Flux.1", "Flux.1 D", "Flux.1 Dev2"]),
        ('base:"flux.1"', ["Flux.1"]),
        ('base:"Flux.1 D"', ["Flux.1 D"]),
        ("base:flu", []),
        ("base:d", []),
        ('base:"flux.1"|sdxl', ["Flux.1", "SDXL 1.0"]),
        ('base:"flux.1" base:flux.1', ["Flux.1", "Flux.1 D", "Flux.1 Dev2"]),
        ("-base:flux", ["SDXL 1.0", "Wan Video 2.2"]),
        ("base:wan", ["Wan Video 2.2"]),
    ],
)
def test_search_models_base_without_quotes_is_compared_with_first_words(
    team_models: TeamModels, q: str, names: list[str]
) -> None:
    bases = ["Flux.1", "Flux.1 D", "Flux.1 Dev2", "Flux.2 D", "SDXL 1.0", "Wan Video 2.2"]
    team_models.insert(ModelSpec(base, columns={"base_model": base}) for base in bases)
    assert team_models.list_names(q=q, sort="display_name") == names


@given(st.text(st.sampled_from(["a", "b", *SPACES]), max_size=80))
def test_search_pattern_random_spaces_matches_at_most_24_words(q: str) -> None:
    assert bool(re.search(SEARCH_PATTERN, q)) is (len(q.split()) <= MAX_SEARCH_VALUES)


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
    _change(team_models, second, display_name="ink wash")
    assert team_models.list_names(q=q) == ["ink wash", "ink"]
    _trash(team_models, first)
    assert team_models.list_names(q=q) == ["ink wash"]
    assert team_models.list_names(q=q, deleted=True) == ["ink"]
    _change(team_models, first, display_name="pink ink")
    _change(team_models, first, deleted_at=None)
    assert team_models.list_names(q=q) == ["ink wash", "pink ink"]
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


@pytest.mark.parametrize("days", [(1, 2, 3, 4, 5, 6), (4, 6, 2, 1, 5, 3)], ids=["in order", "out of order"])
@pytest.mark.parametrize(
    ("q", "names"),
    [
        ("added:2026-01-03 ink", ["ink 3"]),
        ("added:2026-01-02..2026-01-04 ink", ["ink 4", "ink 3", "ink 2"]),
        ("added:>2026-01-04 ink", ["ink 5"]),
        ("added:<2026-01-03 ink|oil", ["ink 2", "ink 1"]),
        ("added:>2026-01-01 added:<2026-01-03 type:loras", ["ink 2"]),
        ("added:2026-01-06 ink", []),
        ("added:2025 ink", []),
        ("added:2027 ink", []),
        ("added:2026-01-05|2026-01-01 ink", ["ink 5", "ink 1"]),
        ("-added:2026-01-03 ink", ["ink 5", "ink 4", "ink 2", "ink 1"]),
    ],
)
def test_search_by_time_and_words_finds_models_of_that_time(
    team_models: TeamModels, days: tuple[int, ...], q: str, names: list[str]
) -> None:
    """The newest model is in the trash."""
    team_models.insert(
        ModelSpec(f"ink {day}", 86_400 * (day - 1) + 60, columns={"deleted_at": BEGAN if day == 6 else None})
        for day in days
    )
    assert team_models.list_names(q=q) == names
    assert team_models.list_names(q=q, sort="created_at") == names[::-1]


def test_search_with_type_filter_finds_only_models_of_exactly_this_type(team_models: TeamModels) -> None:
    for number, model_type in enumerate(("vae", "VAE", "loras", "diffusion_models")):
        team_models.insert([ModelSpec(f"ink {model_type}", number, model_type=model_type)])
    found = {name: team_models.list_names(q="ink", model_type=name) for name in ("vae", "VAE", "Vae", "unet", "vaes")}
    assert found == {"vae": ["ink vae"], "VAE": ["ink VAE"], "Vae": [], "unet": ["ink diffusion_models"], "vaes": []}
    assert team_models.list_names(q="in", model_type="VAE") == ["ink VAE"]


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
        model = session.get_one(ModelRow, model_id)
        for name, value in values.items():
            setattr(model, name, value)


def _trash(team_models: TeamModels, model_id: UUID) -> None:
    with team_models.database.writing(team_models.team_id) as session:
        move_to_trash(session, session.get_one(ModelRow, model_id))
