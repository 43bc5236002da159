"""The rule of what a disk budget evicts."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.wire.uses.eviction import BudgetedModel, choose_evicted

NOW = datetime(2026, 11, 27, tzinfo=UTC)


def build_model(number: int, size: int, days_ago: int, *, may_evict: bool = True) -> BudgetedModel:
    return BudgetedModel(UUID(int=number), size, NOW - timedelta(days=days_ago), may_evict)


# Model 1 is the oldest, 3 the most recent; 4 may not be evicted.
MODELS = [
    build_model(1, 10, 90),
    build_model(2, 10, 60),
    build_model(3, 10, 1),
    build_model(4, 50, 400, may_evict=False),
]


@pytest.mark.parametrize(
    ("budget", "evicted"),
    [(100, []), (80, []), (79, [1]), (70, [1]), (69, [1, 2]), (60, [1, 2]), (50, [1, 2, 3]), (1, [1, 2, 3])],
)
def test_choose_evicted_returns_the_least_recently_used_until_the_rest_fits(budget: int, evicted: list[int]) -> None:
    assert [model.id.int for model in choose_evicted(MODELS, budget)] == evicted


def test_choose_evicted_of_equally_recent_models_the_largest_is_first() -> None:
    models = [build_model(1, 10, 5), build_model(2, 30, 5), build_model(3, 10, 5)]
    assert [model.id.int for model in choose_evicted(models, 25)] == [2]
    assert [model.id.int for model in choose_evicted(models, 15)] == [2, 1]


models = st.builds(build_model, st.integers(0, 20), st.integers(0, 50), st.integers(0, 9), may_evict=st.booleans())


@given(st.lists(models, max_size=12, unique_by=lambda model: model.id), st.integers(1, 400))
def test_choose_evicted_evicts_only_what_may_be_and_no_more_than_necessary(
    drawn: list[BudgetedModel], budget: int
) -> None:
    evicted = choose_evicted(drawn, budget)
    kept = [model for model in drawn if model not in evicted]
    assert evicted == choose_evicted(drawn[::-1], budget)
    assert all(model.may_evict for model in evicted)
    fits = sum(model.size for model in kept) <= budget
    assert fits or not any(model.may_evict for model in kept)
    if evicted:
        assert sum(model.size for model in [*kept, evicted[-1]]) > budget
        assert all(evicted[-1].recent_at <= model.recent_at for model in kept if model.may_evict)
