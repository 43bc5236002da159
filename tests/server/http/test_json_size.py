from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, SkipValidation

from modelyard.server.http.execution.json_size import JsonSize, build_json_limits, measure_largest

Pair = Annotated[list[int], Field(max_length=2)]


class Item(BaseModel):
    name: str
    pair: Pair | None = None


class Batch(BaseModel):
    items: Annotated[list[SkipValidation[Item]], Field(min_length=1)] = Field(max_length=3)
    kind: Literal["a", "b"] = "a"


class Empty(BaseModel):
    pass


class Free(BaseModel):
    items: list[int]


@pytest.mark.parametrize(
    ("value_type", "largest"),
    [
        (str, ""),
        (Pair, "[,]"),
        (Annotated[list[str], Field(max_length=0)], "[]"),
        (Empty, "{}"),
        (Item, "{:,:[,]}"),
        (Batch, "{:[" + ",".join(["{:,:[,]}"] * 3) + "],:}"),
        (Item | Pair | str, "{:,:[,]}"),
    ],
)
def test_measure_largest_counts_brackets_and_separators_of_its_json(value_type: Any, largest: str) -> None:
    brackets = sum(character in "[]{}" for character in largest)
    assert measure_largest(value_type) == JsonSize(brackets, len(largest) - brackets)


@pytest.mark.parametrize("value_type", [list[int], dict[str, int], Any, object, Free, Free | None])
def test_measure_type_without_a_largest_value_raises(value_type: Any) -> None:
    with pytest.raises(TypeError):
        measure_largest(value_type)


def test_build_json_limits_allow_twice_the_largest_value_and_more_but_no_more_than_a_maximum() -> None:
    limits = build_json_limits(Item)
    assert (limits.brackets, limits.separators) == (2 * 4 + 1_000, 2 * 4 + 1_000)
    huge = build_json_limits(Annotated[list[Item], Field(max_length=10**6)])
    assert huge == build_json_limits(Annotated[list[Item], Field(max_length=10**7)])
