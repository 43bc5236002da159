"""Limits of a search for models, and what the most expensive ones cost."""

import pytest

from modelyard.server.http.paging import Page
from modelyard.server.models.listing.pages import list_models
from modelyard.server.models.listing.suggestions import suggest_search
from modelyard.wire.model_filter import ModelFilter
from modelyard.wire.search.values import MAX_SEARCH_VALUES
from tests.server.harness import ApiCaller
from tests.server.models.model_factory import ModelSpec, TeamModels
from tests.server.query_plans import record_statements


@pytest.mark.parametrize("space", [" ", "\u3000 "], ids=["spaces", "wide spaces"])
def test_search_with_more_words_than_allowed_returns_422_naming_q(team: ApiCaller, space: str) -> None:
    assert team.get("/models", q=space.join(["a"] * MAX_SEARCH_VALUES)).status_code == 200
    refused = team.get("/models", q=space.join(["a"] * (MAX_SEARCH_VALUES + 1)))
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["q"]


# With the most statements that each may send. Every part of these is in every name but the last word, and the last
# search has few enough words that similar ones are looked for.
EXPENSIVE_SEARCHES = {
    "long word": ("ab" * 40 + " zq", 12),
    "eight words": (" ".join(["ab" * 12, "ba" * 11, "abab0", "baba1", "a0", "b1", "0a", "zq"]), 12),
    "short words": ("aba bab zq", 12),
    "suggestions": (" ".join(["ab" * 18 + "a", "ba" * 18 + "b", "zabab", "zqzq"]), 36),
}


@pytest.mark.parametrize(("q", "most"), EXPENSIVE_SEARCHES.values(), ids=EXPENSIVE_SEARCHES)
def test_expensive_search_sends_as_many_statements_for_200_models_as_for_20(
    team_models: TeamModels, q: str, most: int
) -> None:
    counts, model_filter = list[int](), ModelFilter(q=q, sort="file_size")
    for numbers in (range(20), range(20, 200)):
        team_models.insert(ModelSpec("ab" * 47 + f"{number:06}", number, ("ab" * 29,)) for number in numbers)
        with record_statements(team_models.database.engine) as statements, team_models.database.reading() as session:
            assert list_models(session, team_models.team, model_filter, Page(1, 100, None)).models == []
            suggest_search(session, team_models.team, model_filter)
        counts.append(len(statements))
    assert counts[0] == counts[1] <= most
