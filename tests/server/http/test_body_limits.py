"""What the body of each route may have: refused before a parser sees it, accepted if any client of ours may send it."""

import json
import tracemalloc
from typing import Any

import pytest
from pydantic import ValidationError

from modelyard.server.http.api_route import build_body_limits
from modelyard.server.http.json_body import MAX_BODY_BYTES, BodyLimits, parse_json
from modelyard.wire.long_lists import MAX_INVALID_ENTRIES
from modelyard.wire.models import NewModel
from modelyard.wire.problems import MalformedJson
from modelyard.wire.schemas import Schema
from modelyard.wire.uploads import MultipartCompletion
from tests.attacks.request_head import BRACKETS
from tests.server.harness import Harness
from tests.server.http.largest_bodies import BATCH, BODY_ROUTES, build_batch_of_folders, build_largest_body

NESTED_LISTS = b'{"x":[' + b",".join([b"[" * 9 + b"]" * 9] * 49_800) + b"]}"
UNKNOWN_FIELDS = {f"field_{number}": {"a": [number]} for number in range(30)}
EACH_ROUTE = pytest.mark.parametrize("name", BODY_ROUTES)


@pytest.fixture(scope="module")
def document(quiet_registry: Harness) -> dict[str, Any]:
    return quiet_registry.app.openapi()


def get_limits(name: str) -> BodyLimits:
    return build_body_limits(BODY_ROUTES[name].dependant)


@EACH_ROUTE
@pytest.mark.parametrize("body", [NESTED_LISTS, BRACKETS], ids=["nested", "flat"])
def test_parse_body_of_brackets_is_refused_before_a_list_is_built(name: str, body: bytes) -> None:
    limits = get_limits(name).json_limits
    tracemalloc.start()
    try:
        with pytest.raises(MalformedJson, match="brackets of lists and objects"):
            parse_json(body, limits)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Copies of what is counted; the lists would take more than 20 MB.
    assert peak < 4 * len(body)


@EACH_ROUTE
def test_parse_largest_body_of_the_api_is_accepted(document: dict[str, Any], name: str) -> None:
    body = build_largest_body(document, name)
    assert parse_json(json.dumps(body).encode(), get_limits(name).json_limits) == body


@EACH_ROUTE
def test_parse_largest_body_with_unknown_fields_is_accepted(document: dict[str, Any], name: str) -> None:
    body = build_largest_body(document, name) | UNKNOWN_FIELDS
    assert parse_json(json.dumps(body).encode(), get_limits(name).json_limits) == body


def test_parse_batch_of_folders_that_fills_the_largest_body_is_accepted() -> None:
    document = json.dumps(build_batch_of_folders(), separators=(",", ":")).encode()
    assert 0.98 * MAX_BODY_BYTES < len(document) <= MAX_BODY_BYTES
    parse_json(document, get_limits(BATCH).json_limits)


@EACH_ROUTE
def test_validate_text_of_200000_characters_ends(document: dict[str, Any], name: str) -> None:
    """A pattern that goes back from the bad character at the end would take minutes."""
    body = build_largest_body(document, name, "a" * 200_000 + "\n")
    field = BODY_ROUTES[name].body_field
    assert field is not None
    field.validate(body, loc=("body",))


@pytest.mark.parametrize(
    ("schema", "field", "length"), [(NewModel, "file_list", 20_000), (MultipartCompletion, "part_list", 10_000)]
)
def test_validate_long_list_of_invalid_entries_reports_the_first_ones(
    schema: type[Schema], field: str, length: int
) -> None:
    with pytest.raises(ValidationError) as refused:
        schema.model_validate({field: [{}] * length})
    places = [error["loc"] for error in refused.value.errors()]
    assert {place[1] for place in places if place[0] == field} == set(range(MAX_INVALID_ENTRIES))
    assert len([place for place in places if place[0] == field]) == 2 * MAX_INVALID_ENTRIES
