"""Facets on both databases: their counts equal those of a plain count over the models that a search finds."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from modelyard.server.database.engine import is_sqlite
from modelyard.server.database.session import Database
from modelyard.server.models.listing import facets, pages
from modelyard.wire.model_filter import DEFAULT_FACETS, MAX_FACET_VALUES, Facet, FacetQuery
from tests.server.harness import ApiCaller
from tests.server.models.model_factory import BEGAN, ModelSpec, TeamModels
from tests.server.models.search_oracle import is_found
from tests.server.models.test_query_plans import assert_no_full_table_scan
from tests.server.query_plans import record_queries

pytestmark = pytest.mark.slow

GET_VALUES: dict[str, Callable[[dict[str, Any]], list[str | None]]] = {
    "type": lambda row: [row["canonical_type"]],
    "base": lambda row: [row["base_model"]],
    "by": lambda row: [row["creator_name"]],
    "tag": lambda row: row["tags"],
}
# Each search, and what is left of it for a facet that it has conditions for.
SEARCHES: list[tuple[str, dict[str, str]]] = [
    ("", {}),
    ("ink", {}),
    ("type:loras", {"type": ""}),
    ("type:loras|vae base:pony ink", {"type": "base:pony ink", "base": "type:loras|vae ink"}),
    ("tag:wide", {}),
    ("tag:wide tag:portrait -type:vae", {}),
    ('by:"mia ø" -base:pony', {"by": "-base:pony"}),
    ("zanzibar", {}),
    ("in -tag:wide size:>500", {}),
]


@pytest.fixture(scope="module")
def counted_team(database: Database) -> tuple[TeamModels, list[dict[str, Any]]]:
    """Return a team with 300 models, and the rows of those outside the trash."""
    rng = random.Random(7)
    team_models = TeamModels(database)
    specs = [
        ModelSpec(
            f"{rng.choice(['ink', 'oil', 'inkwash', 'clay'])} {number}",
            number,
            tuple(rng.sample(["wide", "portrait", "Größe", "old one"], rng.randrange(4))),
            rng.choice(["loras", "vae", "checkpoints"]),
            {
                "base_model": rng.choice([None, "Pony", "SDXL 1.0", "Flux.1 D"]),
                "creator_name": rng.choice(["Ada Lovelace", "Mia Ø"]),
                "model_status": "active" if number % 5 else "disabled",
                "deleted_at": BEGAN if rng.random() < 0.1 else None,
            },
        )
        for number in range(300)
    ]
    rows = team_models.insert_rows(specs)
    TeamModels(database).insert([ModelSpec("ink of another team", 1, ("wide",))])
    return team_models, [row for row in rows if row["deleted_at"] is None]


def count_facets(team_models: TeamModels, **query: Any) -> dict[str, Facet]:
    with team_models.database.reading() as session:
        listed = facets.count_facets(session, team_models.team, FacetQuery(**query)).facet_list
    return {facet.name: facet for facet in listed}


def get_counts(facet: Facet) -> list[tuple[str, int]]:
    return [(one.value, one.count) for one in facet.value_list]


def count_plainly(rows: list[dict[str, Any]], name: str, q: str) -> list[tuple[str, int]]:
    found = [value for row in rows if is_found(row, q) for value in GET_VALUES[name](row) if value is not None]
    return sorted(Counter(found).items(), key=lambda pair: (-pair[1], pair[0]))


@pytest.mark.parametrize(("q", "others"), SEARCHES, ids=[q for q, _ in SEARCHES])
def test_count_facets_equals_a_plain_count_that_ignores_the_facets_own_conditions(
    counted_team: tuple[TeamModels, list[dict[str, Any]]], q: str, others: dict[str, str]
) -> None:
    team_models, rows = counted_team
    counted = count_facets(team_models, q=q)
    assert list(counted) == [*DEFAULT_FACETS]
    for name in GET_VALUES:
        assert get_counts(counted[name]) == count_plainly(rows, name, others.get(name, q)), name
        assert not counted[name].is_capped
        assert not counted[name].has_more


@pytest.mark.parametrize("q", ["", "ink type:loras base:pony", "tag:wide", "zanzibar"])
def test_count_facets_model_count_of_tags_is_the_number_of_models_that_match(
    counted_team: tuple[TeamModels, list[dict[str, Any]]], q: str
) -> None:
    team_models, rows = counted_team
    counted = count_facets(team_models, q=q)
    assert counted["tag"].model_count == sum(is_found(row, q) for row in rows)
    assert counted["type"].model_count == sum(is_found(row, q.replace("type:loras", "")) for row in rows)
    [of_tags] = count_facets(team_models, q=q, facet="tag", prefix="wi").values()
    assert of_tags.model_count == counted["tag"].model_count


def test_count_facets_parameters_count_as_qualifiers_do(
    counted_team: tuple[TeamModels, list[dict[str, Any]]],
) -> None:
    team_models, rows = counted_team
    counted = count_facets(team_models, model_type="loras", tag="wide", q="ink")
    assert get_counts(counted["type"]) == count_plainly(rows, "type", "tag:wide ink")
    assert get_counts(counted["base"]) == count_plainly(rows, "base", "tag:wide ink type:loras")


def test_count_facets_of_one_facet_by_prefix(counted_team: tuple[TeamModels, list[dict[str, Any]]]) -> None:
    team_models, rows = counted_team
    counted = count_facets(team_models, facet="tag", prefix="GRÖ")
    assert {name: get_counts(facet) for name, facet in counted.items()} == {
        "tag": [pair for pair in count_plainly(rows, "tag", "") if pair[0] == "Größe"]
    }
    assert [one.value for one in count_facets(team_models, facet="tag", prefix="on")["tag"].value_list] == ["old one"]
    assert count_facets(team_models, facet="by", prefix="%")["by"].value_list == []


def test_count_facets_above_the_limit_counts_the_newest_and_says_so(
    counted_team: tuple[TeamModels, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    team_models, rows = counted_team
    monkeypatch.setattr(facets, "MAX_COUNTED_MODELS", 20)
    counted = count_facets(team_models, q="ink")
    newest = [row for row in rows if is_found(row, "ink")][-21:]
    assert all(facet.is_capped for facet in counted.values())
    assert {facet.model_count for facet in counted.values()} == {20}
    for name in GET_VALUES:
        assert get_counts(counted[name]) == count_plainly(newest, name, "")
    found = sum(is_found(row, "ink") for row in rows)
    monkeypatch.setattr(facets, "MAX_COUNTED_MODELS", found)
    exact = count_facets(team_models, q="ink").values()
    assert not any(facet.is_capped for facet in exact)
    assert {facet.model_count for facet in exact} == {found}


def test_count_facets_with_10_000_values_returns_the_most_frequent_and_finds_others(database: Database) -> None:
    team_models = TeamModels(database)
    team_models.insert(
        ModelSpec(f"model {number}", number, ("every", *(f"tag {number * 10 + each:05}" for each in range(10))))
        for number in range(1_000)
    )
    [facet] = count_facets(team_models, facet="tag").values()
    assert get_counts(facet)[:2] == [("every", 1_000), ("tag 00000", 1)]
    assert len(facet.value_list) == MAX_FACET_VALUES
    assert facet.has_more
    [facet] = count_facets(team_models, facet="tag", prefix="tag 0999").values()
    assert len(facet.value_list) == 10
    assert not facet.has_more


def test_count_facets_of_attention_counts_all_models_up_to_a_limit(
    counted_team: tuple[TeamModels, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    team_models, rows = counted_team
    disabled = sum(row["model_status"] == "disabled" and is_found(row, "ink") for row in rows)
    monkeypatch.setattr(facets, "MAX_COUNTED_MODELS", 20)
    for limit, counted in ((disabled + 1, disabled), (disabled, disabled), (5, 5)):
        monkeypatch.setattr(pages, "MAX_COUNTED_BY_READING", limit)
        [facet] = count_facets(team_models, facet="is", q="ink").values()
        assert get_counts(facet) == [("disabled", counted)]
        assert facet.is_capped == (counted >= limit)


@pytest.mark.parametrize("q", [None, "ink", "type:loras", "tag:wide base:pony"])
def test_count_facets_reads_no_whole_table(
    counted_team: tuple[TeamModels, list[dict[str, Any]]], q: str | None
) -> None:
    team_models, _ = counted_team
    if not is_sqlite(team_models.database.engine):
        pytest.skip("PostgreSQL reads so small a table without an index")
    with record_queries(team_models.database.engine) as statements:
        count_facets(team_models, q=q)
    with team_models.database.engine.connect() as connection:
        assert_no_full_table_scan("\n".join(statements.plans(connection)))


@pytest.fixture
def facets_of(team: ApiCaller) -> Callable[..., Any]:
    def count(**query: Any) -> Any:
        answer = team.get("/models/facets", **query)
        assert answer.status_code == 200, answer.text
        return {facet["name"]: facet["value_list"] for facet in answer.json()["facet_list"]}

    return count


def test_facets_route_follows_changes_of_models_at_once(team: ApiCaller, facets_of: Callable[..., Any]) -> None:
    one = team.register(path="loras/one.safetensors", tags=["ink"])
    assert facets_of()["tag"] == [{"value": "ink", "count": 1}]
    team.register(path="loras/two.safetensors", tags=["ink"])
    assert facets_of()["type"] == [{"value": "loras", "count": 2}]
    team.put(f"/models/{one}", tags=[])
    assert facets_of()["tag"] == [{"value": "ink", "count": 1}]
    assert facets_of(q="by:me type:vae")["type"] == [{"value": "loras", "count": 2}]


@pytest.mark.parametrize("query", [{"facet": "name"}, {"q": "size:>banana"}, {"prefix": "\n"}, {"model_status": "on"}])
def test_facets_route_invalid_query_returns_422_with_its_field(team: ApiCaller, query: dict[str, str]) -> None:
    refused = team.get("/models/facets", **query)
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == list(query)
