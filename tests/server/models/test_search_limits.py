"""Limits of a search for models."""

import pytest

from modelyard.wire.search.values import MAX_SEARCH_VALUES
from tests.server.harness import ApiCaller


@pytest.mark.parametrize("space", [" ", "\u3000 "], ids=["spaces", "wide spaces"])
def test_search_with_more_words_than_allowed_returns_422_naming_q(team: ApiCaller, space: str) -> None:
    assert team.get("/models", q=space.join(["a"] * MAX_SEARCH_VALUES)).status_code == 200
    refused = team.get("/models", q=space.join(["a"] * (MAX_SEARCH_VALUES + 1)))
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["q"]
