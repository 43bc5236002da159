"""The filter of model lists."""

from typing import Any

import pytest
from pydantic import ValidationError

from modelyard.wire.model_filter import ModelFilter


@pytest.mark.parametrize(
    ("fields", "query"),
    [
        ({}, {}),
        ({"deleted": False, "sort": None, "tag": None}, {}),
        ({"deleted": True, "q": "sdxl base"}, {"deleted": "true", "q": "sdxl base"}),
        ({"model_status": "disabled", "sort": "file_size"}, {"model_status": "disabled", "sort": "file_size"}),
    ],
)
def test_build_query_contains_only_fields_that_differ_from_defaults(
    fields: dict[str, Any], query: dict[str, str]
) -> None:
    assert ModelFilter(**fields).build_query() == query


def test_build_query_parsed_again_gives_an_equal_filter() -> None:
    model_filter = ModelFilter(model_type="loras", tag="ink", deleted=True, missing_on="any", sort="display_name")
    assert ModelFilter.model_validate(model_filter.build_query()) == model_filter


@pytest.mark.parametrize(
    "fields", [{"model_status": "on"}, {"sort": "size"}, {"q": " ".join(map(str, range(25)))}, {"q": "size:>banana"}]
)
def test_create_filter_invalid_value_names_the_field(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as raised:
        ModelFilter.model_validate(fields)
    assert [error["loc"] for error in raised.value.errors()] == [tuple(fields)]
