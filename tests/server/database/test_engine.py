"""What the engines of both databases have in common."""

import json
from typing import Any

import pytest

from modelyard.server.database.engine import parse_json


@pytest.mark.parametrize(
    "value",
    [None, {}, [1, 2.5, "é中"], {"a": {"b": [True, None]}}, 2**80, "half of a pair: \ud83d", float("inf")],
    ids=["null", "empty", "list", "nested", "large integer", "lone surrogate", "infinite"],
)
def test_parse_json_returns_every_value_that_was_written(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=True).encode()) == value
